"""How training ends when it fails: with a message that says why, and without waiting for its pipelines for ever."""

from __future__ import annotations

import gc
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import keras
import tensorflow as tf

from keras_transfer.support.errors import Interruption, UserError


@contextmanager
def reported(model: keras.Model) -> Iterator[None]:
    """Turn an error of a pipeline's thread into one line, and let go of all pipelines whatever ends the block.

    A tf.data iterator that calls Python must be deleted before the interpreter ends: its destructor joins threads that
    wait for the interpreter's lock, and a process whose training failed would never exit (TensorFlow 2.18 to 2.21). An
    exception keeps iterators alive through the frames that it passed; so does a model whose validation was cut short.

    Raises:
        Interruption: with the message of the error within the pipeline.
        UserError: memory is too little, as it would be again.
    """
    try:
        yield
    except BaseException as error:
        _clear_frames(error)
        # Keras deletes it only where validation ends well (`keras.Model.fit`, Keras 3.8 to 3.15).
        vars(model).pop("_eval_epoch_iterator", None)
        gc.collect()
        if not isinstance(error, tf.errors.OpError):
            raise
        failure = UserError if isinstance(error, tf.errors.ResourceExhaustedError) else Interruption
        raise failure(f"Training stopped: {cause(error)}") from error


def cause(error: tf.errors.OpError) -> str:
    """Return the line of TensorFlow's message that says what went wrong, that of a Python function if one failed."""
    raised = re.search(r"(?:: )?\b\w*(?:Error|Exception|Exit): (.+)\nTraceback", error.message)
    raised = raised or re.search(r"transformation with iterator: \S+: (.+)", error.message)
    if raised:
        return raised.group(1)
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return "the device has too little memory. Lower --batch-size or --size."
    lines = [line.strip() for line in error.message.splitlines() if line.strip()]
    skipped = ("Graph execution error", "Detected at node", "<stack traces")
    return next((line for line in lines if not line.startswith(skipped)), type(error).__name__)


def _clear_frames(error: BaseException | None) -> None:
    """Drop the local variables of all frames that an error passed; Keras hides most of them from its traceback."""
    while error is not None:
        for passed, _ in traceback.walk_tb(error.__traceback__):
            frame: FrameType | None = passed
            while frame is not None:
                try:
                    frame.clear()
                except RuntimeError:  # It is still running, as all below it are.
                    break
                frame = frame.f_back
        error = error.__cause__ or error.__context__
