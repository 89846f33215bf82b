"""One run, described: every option of `fit`, validated in one place, to and from JSON.

The command line makes its options from the fields below, so that a default, a help text
and a check each stand once. This module must not import TensorFlow: option errors answer at once.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from keras_transfer.recipe.consistency import demand_consistent, idle, of_earlier_release
from keras_transfer.recipe.options import (
    AUTO,
    FRESH,
    INTERPOLATIONS,
    NOTHING,
    SOLVERS,
    WEIGHTS,
    column_roles,
    parse,
    split_shares,
)
from keras_transfer.support.errors import UsageError, demand_schema, nearest, nearest_options

T = TypeVar("T")
SCHEMA = 1  # Of `recipe.json`: raise it where a key changes its meaning.
# Of transfer, each with what it trains; the first is the default.
METHODS = {
    "two-phase": "a head and then the top blocks",
    "frozen": "the head alone",
    "full": "all at once",
    "scratch": "all at once from random weights",
}


def _option(section: str, default: Any, help: str, **rules: Any) -> Any:
    return dataclasses.field(default=default, metadata={"section": section, "help": help, **rules})


# An option, by the section of the help that it stands in.
_data = functools.partial(_option, "Data")
_network = functools.partial(_option, "Network")
_head = functools.partial(_option, "Head")
_fine_tuning = functools.partial(_option, "Fine-tuning")
_speed = functools.partial(_option, "Speed and storage")
_output = functools.partial(_option, "Output")


def _words(*choices: str) -> dict[str, Any]:
    return {"choices": choices}


def _with_hints(recipe: type[T]) -> type[T]:
    """Let a keyword that is no field be refused as the command line refuses an option."""
    initialize = recipe.__init__

    @functools.wraps(initialize)
    def checked(self: Any, *values: Any, **options: Any) -> None:
        names = [field.name for field in dataclasses.fields(recipe)]  # type: ignore[arg-type]
        for name in options:
            if name not in names:
                raise UsageError(f"No such option {name!r}.{nearest_options(name, names)}")
        initialize(self, *values, **options)

    recipe.__init__ = checked  # type: ignore[method-assign]
    return recipe


@_with_hints
@dataclass(frozen=True)
class Recipe:
    """What to transfer, onto what, and how.

    A field left at `"auto"` is filled in by `keras_transfer.recipe.rule` from the number of
    training images and classes. Values may be given as the command line gives them (`"70/15/15"`,
    `"256,128"`, `"3"`); they are stored parsed.

    Raises:
        UsageError: naming the option, the value received, and the nearest right one.
    """

    base: str = _network("mobilenetv2", "Base to transfer: a name from `bases`, or a .keras or .h5 model.", kind="path")
    data: str = _data(
        "digits", "Folder or .zip of class folders, CSV, .npz or TFRecord files, tfds:NAME, or 'digits'.", kind="path"
    )
    task: str = _data(AUTO, "What labels are.", **_words(AUTO, "classification", "multi-label", "regression"))
    columns: str = _data("", "Columns of a CSV file, as path=id,label=breed.", kind="columns")
    encoding: str = _data("", "Of a CSV file's text, as cp1252. [default: UTF-8]", kind="text")
    group_by: str = _data("", "CSV column whose equal cells stay in one split.", kind="text")
    group_duplicates: bool = _data(
        False, "Keep near duplicates, and cropped or turned copies, in one split.", kind="flag"
    )
    strict: bool = _data(False, "Stop at a file that cannot be decoded, instead of leaving it out.", kind="flag")
    max_pixels: int = _data(100_000_000, "Largest picture that is decoded, width times height.", kind="int", low=1)
    allow_outside: bool = _data(False, "Let a CSV name files outside of its folder.", kind="flag")
    tfds_dir: str = _data("", "Folder of data sets that tensorflow-datasets has prepared.", kind="folder")
    weights: str = _network("imagenet", "'imagenet', 'random', a weights file, or an earlier run.", kind="path")
    output: str = _output(AUTO, "Where versions go. [default: saved_models/DATA-BASE]", short=("-o",), kind="path")
    keep: int | str = _output(
        "all",
        "Versions of the model to keep; older ones go, but for what the new one came from.",
        kind="int",
        low=1,
        also="all",
    )
    size: int | str = _network(AUTO, "Side of the input image in pixels.", kind="int", low=16)
    resize: str = _network("crop", "How a photo becomes a square.", **_words("crop", "squash", "pad"))
    enlarge: str = _network(AUTO, "Interpolation of pictures smaller than the input.", **_words(AUTO, *INTERPOLATIONS))
    split: tuple[float, ...] | str = _data(
        "70/15/15", "Train/validation/test shares; of two, validation is cut from the first.", kind="split"
    )
    folds: int | str = _data("none", "Also cross-validate in so many folds.", kind="int", low=3, also="none")
    class_weights: str = _data("none", "Weigh rare classes more in training.", **_words("none", "balanced"))
    seed: int = _data(0, "Seed of splits, weights, order and augmentation.", kind="int", low=0, high=2**32 - 1)
    method: str = _network(
        next(iter(METHODS)),
        f"What to train: {', '.join(METHODS.values())}.",
        **_words(*METHODS),
    )
    pooling: str = _network("avg", "From feature map to vector.", **_words("avg", "max", "flatten"))
    dense: tuple[int, ...] | str = _head("", "Hidden Dense layers of the head, as 256,128.", kind="widths")
    dropout: float = _head(0.0, "Dropout before each Dense layer of the head.", kind="float", low=0, high=0.95)
    l2: float = _head(0.0, "L2 penalty on the head's kernels (trained heads).", kind="float", low=0)
    head_solver: str = _head(AUTO, "Solve a linear head, or train it.", **_words(AUTO, *SOLVERS, "adam"))
    head_epochs: int | str = _head(AUTO, "Epochs of the head; a number means adam.", kind="int", low=1)
    head_lr: float | str = _head(AUTO, "Learning rate of the head.", kind="float", low=1e-8)
    thaw: str = _fine_tuning(
        AUTO, "What is fine-tuned (unfrozen): N top blocks, a block's name, 'all' or 'none'.", kind="block"
    )
    fine_tune_epochs: int | str = _fine_tuning(AUTO, "Epochs of fine-tuning.", kind="int", low=0)
    fine_tune_lr: float | str = _fine_tuning(AUTO, "Peak learning rate of fine-tuning.", kind="float", low=1e-8)
    weight_decay: float = _fine_tuning(0.0, "Weight decay of AdamW in fine-tuning.", kind="float", low=0, high=1)
    l2_sp: float = _fine_tuning(0.0, "Penalty on the distance from the base's source weights.", kind="float", low=0)
    label_smoothing: float | str = _fine_tuning(AUTO, "Label smoothing in fine-tuning.", kind="float", low=0, high=0.9)
    ema: float | str = _fine_tuning(
        "none",
        "Average the weights over training steps with this momentum, as 0.99, or 'none'.",
        kind="float",
        low=0,
        high=0.99999,
        also="none",
    )
    teacher: str = _fine_tuning(
        "none", "A larger model of the same classes to learn from too, as saved_models/big.", kind="path"
    )
    patience: int | str = _fine_tuning(
        AUTO, "Epochs without gain before stopping, or 'none'.", kind="int", low=1, also="none"
    )
    refit: str = _fine_tuning(
        AUTO,
        "Train once more on training and validation images: the solved head, whatever is exported, or nothing.",
        **_words(AUTO, "head", "on", "off"),
    )
    augment: str = _fine_tuning("default", "Augmentation of training images.", **_words("none", "no-flip", "default"))
    views: int | str = _fine_tuning(
        AUTO, "Augmented views stored of each image, or 'fresh'.", kind="int", low=1, also=FRESH
    )
    batch_size: int | str = _fine_tuning(AUTO, "Images per training step.", kind="int", low=1)
    engine: str = _speed(AUTO, "What runs the frozen part.", **_words(AUTO, "tensorflow", "openvino"))
    precision: str = _speed(AUTO, "Arithmetic of training.", **_words(AUTO, "float32", "bfloat16", "float16"))
    xla: str = _speed(
        AUTO, "Compile with XLA; auto: only long training, on an NVIDIA GPU.", **_words(AUTO, "on", "off")
    )
    minutes: float | str = _speed(
        "none",
        "When fine-tuning ends, in minutes from the start; export and test come after.",
        kind="float",
        low=0.1,
        also="none",
    )
    cache_limit: float = _speed(20.0, "Disk for stored activations, in GB.", kind="float", low=0)
    checkpoint_every: int | str = _speed(
        "10m",
        "With --resume, keep the state after so many steps, or minutes as 5m, and after each epoch.",
        kind="interval",
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, parse(field, getattr(self, field.name)))
        if self.method == "scratch" and self.weights in WEIGHTS:
            object.__setattr__(self, "weights", "random")
        demand_consistent(self)

    @property
    def shares(self) -> tuple[float, float, float]:
        """Train, validation and test shares, in percent: of two, up to 15 of the first are for validation."""
        shares = split_shares(self.split)
        if len(shares) == 2:
            validation = min(15.0, shares[1], shares[0] / 2)
            shares = (shares[0] - validation, validation, shares[1])
        return shares[0], shares[1], shares[2]

    @property
    def column_roles(self) -> dict[str, str]:
        """The user's columns in lower case, by `path`, `label`, `labels` and `split`."""
        return column_roles(self.columns)

    @property
    def solves_head(self) -> bool:
        """Whether the head is one that can be solved, and nothing asks for gradients."""
        trained = self.dense or self.l2 or self.dropout or (self.head_epochs, self.head_lr) != (AUTO, AUTO)
        return self.head_solver in SOLVERS or (self.head_solver == AUTO and not trained)

    @property
    def fine_tunes(self) -> bool:
        """Whether anything below the head may be trained."""
        if self.method == "two-phase":
            return self.thaw not in NOTHING and self.fine_tune_epochs != 0
        return self.method != "frozen"

    def without_fine_tuning(self) -> Recipe:
        """Return the recipe of a head alone, without what only fine-tuning has a use for."""
        return self.replace(thaw="none", **idle(self.solves_head, self.label_smoothing))

    def to_json(self) -> str:
        """Return the recipe as JSON text, one key a field, and `schema`."""
        return json.dumps({"schema": SCHEMA, **dataclasses.asdict(self)}, indent=2)

    @classmethod
    def from_json(cls, text: str | Path) -> Recipe:
        """Read a recipe from JSON text, or from a file given as `Path`.

        Raises:
            UsageError: it cannot be read, is of a later release, or has an unknown key or a wrong value.
        """
        name = str(text) if isinstance(text, Path) else "The recipe"
        try:
            values = json.loads(text.read_text("utf-8") if isinstance(text, Path) else text)
        except (OSError, ValueError) as error:
            raise UsageError(f"{name} cannot be read as a recipe ({error}).") from error
        if not isinstance(values, dict):
            raise UsageError(f"{name} is not a recipe: it must be a JSON object, one key an option.")
        demand_schema(values, SCHEMA, name)
        if "schema" in values:  # Not by hand.
            values = of_earlier_release(values)
        known = [field.name for field in dataclasses.fields(cls)]
        unknown = sorted(set(values) - {"schema", *known})
        if unknown:
            raise UsageError(f"{name} has an unknown key {unknown[0]!r}.{nearest(unknown[0], known)}")
        return cls(**{key: value for key, value in values.items() if key != "schema"})

    def replace(self, **changes: Any) -> Recipe:
        """Return a copy with some fields changed, validated anew."""
        return dataclasses.replace(self, **changes)


def _with_attributes(docstring: str) -> str:
    """Return the docstring of `Recipe` with its options, each told as the command line's help tells it."""
    options = [f"{field.name}: {field.metadata['help']}" for field in dataclasses.fields(Recipe)]
    lines = [textwrap.fill(line, 116, initial_indent=" " * 4, subsequent_indent=" " * 8) for line in options]
    return inspect.cleandoc(docstring).replace("\nRaises:", "\n".join(["\nAttributes:", *lines, "", "Raises:"]))


Recipe.__doc__ = _with_attributes(Recipe.__doc__ or "")
