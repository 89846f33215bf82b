"""TensorFlow's start-up messages, kept from the terminal.

TensorFlow 2.18 to 2.21 writes a few lines about oneDNN and missing CUDA libraries to standard error while it is
imported, before it reads TF_CPP_MIN_LOG_LEVEL (https://github.com/tensorflow/tensorflow/issues/100442). They tell a
user nothing.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout


def import_tensorflow() -> None:
    """Import TensorFlow and Keras; where TF_CPP_MIN_LOG_LEVEL asks for silence, without what C++ writes meanwhile."""
    if "tensorflow" in sys.modules or os.environ.get("TF_CPP_MIN_LOG_LEVEL") != "3":
        import tensorflow

        return
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            import keras
            import tensorflow

            tensorflow.config.list_physical_devices()
            keras.backend.backend()
        except BaseException:
            said.seek(0)
            os.write(saved, said.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


@contextmanager
def without_notes() -> Iterator[None]:
    """Keep TensorFlow and Keras from saying, among the results, where they write a folder that is renamed afterwards.

    Keras 3.8 says so on standard output whatever `verbose` is.
    """
    logger = logging.getLogger("tensorflow")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(before)
