"""TensorFlow's threads do not survive a fork: what it is asked in the new process waits for ever."""

from __future__ import annotations

import os

from keras_transfer.support.errors import UserError

_process: int | None = None  # That TensorFlow computes in.


def check() -> None:
    """Note that TensorFlow computes in this process from now on.

    Raises:
        UserError: it did so before, in a process that this one was forked from.
    """
    global _process
    _process = _process or os.getpid()
    if _process != os.getpid():
        raise UserError(
            "TensorFlow computed before this process was forked, and would wait for ever in it. Start workers with "
            "multiprocessing.get_context('spawn'), or load and use models in the workers alone."
        )
