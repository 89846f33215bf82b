"""TensorFlow's start-up messages, kept from the terminal.

TensorFlow 2.18 to 2.21 writes a few lines about oneDNN and missing CUDA libraries to standard error while it is
imported, before it reads TF_CPP_MIN_LOG_LEVEL (https://github.com/tensorflow/tensorflow/issues/100442). They tell a
user nothing.
"""

from __future__ import annotations

import gc
import io
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout

from keras_transfer.support import program, stopping


@stopping.at_once()
def import_tensorflow() -> None:
    """Import TensorFlow and Keras without what C++ writes meanwhile, unless TF_CPP_MIN_LOG_LEVEL is set otherwise."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    _without_telemetry()
    if _silent():
        without_retracing_warnings()
    if "tensorflow" in sys.modules or not _silent():
        import tensorflow

        return
    with _without_standard_error(), _without_collections(), _without_pyplot():
        import keras
        import tensorflow

        tensorflow.config.list_physical_devices()
        keras.backend.backend()


def _without_telemetry() -> None:
    """Keep OpenVINO, which is imported later, from telling Intel of each run, and from writing into the home folder
    what for: it does so unasked, unless the package for it cannot be imported.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def without_retracing_warnings() -> None:
    """Keep TensorFlow from warning that functions are traced anew: each run and fold has a network of its own."""
    logging.getLogger("tensorflow").addFilter(_of_use)


def _of_use(record: logging.LogRecord) -> bool:
    return "triggered tf.function retracing" not in record.getMessage()


def _silent() -> bool:
    return os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "3"


@contextmanager
def _without_standard_error() -> Iterator[None]:
    """Keep what C++ writes to standard error from the terminal, unless the block fails."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except Exception:  # Ctrl-C is no reason to tell what C++ said.
            said.seek(0)
            os.write(saved, said.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


@contextmanager
def _without_collections() -> Iterator[None]:
    """Let no garbage be looked for among what the block imports, and, in the process of a command, later either: all of
    it stays, and is so much that each look takes half a second. Elsewhere the caller's own garbage would stay too.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if program.from_command_line():
            gc.freeze()
        if enabled:
            gc.enable()


@contextmanager
def _without_pyplot() -> Iterator[None]:
    """Keep Keras, as it is imported for a command, from importing pyplot, which takes an eighth of the time, for plots
    that no command shows. Where the home folder cannot be written, it would look for all fonts each time.
    """
    if "matplotlib" in sys.modules or not program.from_command_line():
        yield
        return
    sys.modules["matplotlib"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["matplotlib"]


@contextmanager
def without_notes() -> Iterator[None]:
    """Keep TensorFlow, Keras and converters from saying, among the results, where they write a folder that is renamed
    afterwards, and from warning of what is theirs to mend.

    Keras 3.8 says so on standard output whatever `verbose` is.
    """
    loggers = [logging.getLogger(name) for name in ("tensorflow", "absl", None)]
    before = [logger.level for logger in loggers]
    for logger, level in zip(loggers, (logging.WARNING, logging.ERROR, logging.ERROR), strict=True):
        logger.setLevel(level)
    native = _without_standard_error() if _silent() else nullcontext()
    try:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings(), native:
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
