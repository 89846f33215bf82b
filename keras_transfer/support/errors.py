"""What can go wrong for a user, each with one line that says what, where and what to do."""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable
from typing import Any

from keras_transfer.support.program import worded


class UserError(Exception):
    """The work failed for a reason the user can mend; the command line exits with 1.

    Its text names options as the command line has them; in Python it reads with the names of arguments.
    """

    exit_code = 1

    def __str__(self) -> str:
        return worded(super().__str__())

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows of it, by IPython's protocol: the line that helps; `%debug` shows the rest."""
        return [f"{type(self).__name__}: {self}"]


class UsageError(UserError):
    """An option or argument is wrong; the command line exits with 2."""

    exit_code = 2


class Interruption(UserError):
    """The work failed by what lies outside of it, as a disk: what was done until then may be kept, and gone on with."""


FULL = (errno.ENOSPC, errno.EDQUOT)  # Errors of a disk on which nothing more can be written.
_FAILED_WRITES = (*FULL, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES)


def failed_write(error: Exception) -> OSError | None:
    """Return an error in writing in the operating system's words, also where TensorFlow or HDF5 have wrapped these in
    names of operations and of temporary files; None for other errors, and for those that are told already.
    """
    if isinstance(error, UserError):
        return None
    for code in _FAILED_WRITES:
        if getattr(error, "errno", None) == code or os.strerror(code) in str(error):
            return OSError(code, os.strerror(code))
    return None


def demand_schema(records: dict[str, Any], newest: int, file: str) -> None:
    """Raise `UsageError` where records were written in a form that only a later release reads; earlier ones have no
    number.
    """
    schema = records.get("schema", newest)
    if not isinstance(schema, int) or schema > newest:
        raise UsageError(
            f"{file} is of schema {schema!r}, and this release reads {newest} at most: update the program."
        )


# What is meant by words whose letters are closest to something else, or to nothing; in lower case, without - and _.
_MEANINGS = {
    "alexnet": "vgg16",
    "average": "avg",
    "bf16": "bfloat16",
    "convnext": "convnexttiny",
    "densenet": "densenet121",
    "efficientnet": "efficientnetb0",
    "efficientnetv2": "efficientnetv2b0",
    "false": "off",
    "fp16": "float16",
    "fp32": "float32",
    "gap": "avg",
    "gmp": "max",
    "googlenet": "inceptionv3",
    "half": "float16",
    "inception": "inceptionv3",
    "letterbox": "pad",
    "mean": "avg",
    "mobilenetv3": "mobilenetv3large",
    "nasnet": "nasnetmobile",
    "no": "off",
    "resnet": "resnet50",
    "resnet18": "resnet50",
    "resnet34": "resnet50",
    "stretch": "squash",
    "swin": "convnexttiny",
    "tf": "tensorflow",
    "true": "on",
    "vgg": "vgg16",
    "vit": "convnexttiny",
    "yes": "on",
}


def nearest(value: object, allowed: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` for the allowed word closest in meaning or letters to `value`, or an empty string."""
    word, words = str(value).lower(), list(allowed)
    meaning = _MEANINGS.get(word.replace("-", "").replace("_", ""))
    close = [meaning] if meaning in words else difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


# What other programs call an option, by the fields of the recipe, which have `_` where the command line has `-`.
_OPTIONS_MEANT = {
    "arch": ("base",),
    "architecture": ("base",),
    "backbone": ("base",),
    "batch": ("batch_size",),
    "bs": ("batch_size",),
    "dataset": ("data",),
    "early_stopping": ("patience",),
    "epochs": ("head_epochs", "fine_tune_epochs"),
    "freeze": ("thaw",),
    "image_size": ("size",),
    "img_size": ("size",),
    "imgsz": ("size",),
    "learning_rate": ("head_lr", "fine_tune_lr"),
    "lr": ("head_lr", "fine_tune_lr"),
    "model": ("base",),
    "optimizer": ("head_solver",),
    "out": ("output",),
    "output_dir": ("output",),
    "random_state": ("seed",),
    "test_split": ("split",),
    "unfreeze": ("thaw",),
    "val_split": ("split",),
    "validation_split": ("split",),
    "wd": ("weight_decay",),
}


def nearest_options(word: str, allowed: Iterable[str]) -> str:
    """Return ` Did you mean 'x' or 'y'?` for the allowed options closest in meaning or letters, or an empty string.

    Args:
        word: As the user spelled it, `--learning-rate` or `learning_rate`.
        allowed: All options, in that spelling.
    """
    names = {_field(name): name for name in allowed}
    meant = [field for field in _OPTIONS_MEANT.get(_field(word), ()) if field in names]
    meant = meant or difflib.get_close_matches(_field(word), names, n=1)
    return f" Did you mean {' or '.join(repr(names[field]) for field in meant)}?" if meant else ""


def _field(option: str) -> str:
    return option.lower().lstrip("-").replace("-", "_")
