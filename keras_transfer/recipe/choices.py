"""What a run was asked for, and what it chose for the user, in one line each."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from keras_transfer.recipe.options import AUTO, option_name
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.program import from_command_line

_UNDERSTOOD = ("base", "data", "weights", "size", "seed", "output")  # What other lines say.
_HEADS = {
    "newton-cg": "linear head (Newton-CG)",
    "lbfgs": "linear head (L-BFGS)",
    "adam": "head trained by Adam",
}
_REFITS = {
    "head": "solved again with the validation images at the end",
    "on": "trained again with the validation images at the end",
    "off": "not trained again with the validation images",
}
_FINE_TUNING = {"thaw": "{}", "fine_tune_epochs": "for {} epochs", "fine_tune_lr": "at a learning rate of {:g}"}
_REST = {"views": "{} views", "label_smoothing": "label smoothing {:g}", "batch_size": "batches of {}"}


def automatic(recipe: Recipe) -> list[str]:
    """Return the names of the fields that a run has to choose."""
    return [field.name for field in dataclasses.fields(recipe) if getattr(recipe, field.name) == AUTO]


def typed(options: Mapping[str, Any]) -> list[str]:
    """Return options as they are typed, of fields of the recipe; those that are None were not given."""
    words = []
    for field in dataclasses.fields(Recipe):
        value = options.get(field.name)
        if isinstance(value, bool):
            words.append(option_name(field) if value else option_name(field).replace("--", "--no-", 1))
        elif value is not None:
            separator = "/" if field.name == "split" else ","
            text = separator.join(f"{part:g}" for part in value) if isinstance(value, tuple) else str(value)
            words += [option_name(field), text]
    return words


def asked(recipe: Recipe, automatic: Collection[str]) -> list[str]:
    """Return the line that says which options were given, besides data, base and output; none where none was.

    Args:
        recipe: Complete or not.
        automatic: Names of the fields that were to be chosen.
    """
    usual = Recipe()
    given = {
        field.name: getattr(recipe, field.name)
        for field in dataclasses.fields(recipe)
        if field.name not in (*_UNDERSTOOD, *automatic) and getattr(recipe, field.name) != getattr(usual, field.name)
    }
    if not given:
        return []
    if from_command_line():
        return [f"As asked: {' '.join(typed(given))}."]
    return [f"As asked: {', '.join(f'{name}={value!r}' for name, value in given.items())}."]


def before_training(recipe: Recipe, automatic: Collection[str]) -> list[str]:
    """Return what is chosen before anything is trained, and what is asked for.

    Args:
        recipe: With what depends on the number of images alone.
        automatic: As in `asked`.
    """
    texts = _head(recipe, automatic) if recipe.method in ("two-phase", "frozen") else []
    lines = [f"Chosen automatically: {', '.join(texts)}."] if texts else []
    if recipe.method == "two-phase" and "thaw" in automatic and recipe.fine_tune_epochs != 0:
        lines.append("Whether the base is fine-tuned is decided once the head is fitted.")
    if recipe.views == 1 and "views" not in automatic and recipe.augment != "none":
        lines.append("Nothing is augmented: --views 1 is each image as it is.")
    return [*lines, *asked(recipe, automatic)]


def after_training(recipe: Recipe, automatic: Collection[str], thawed: str) -> list[str]:
    """Return what was chosen, and what had been asked for.

    Args:
        recipe: Complete.
        automatic: As in `asked`.
        thawed: The lowest block that was fine-tuned, `all` or `none`.
    """
    names = [*_FINE_TUNING, *_REST] if thawed != "none" else ["thaw", "views"]
    if thawed == "none" and (recipe.method != "two-phase" or recipe.fine_tune_epochs == 0):
        names.remove("thaw")  # That nothing is fine-tuned was asked for.
    texts = [*_head(recipe, automatic), *_tuning([name for name in names if name in automatic], recipe, thawed)]
    chosen = [f"Chosen automatically: {', '.join(texts)}."] if texts else []
    named = thawed != "none" and "thaw" not in automatic
    return [*chosen, *asked(recipe, automatic), *[f"Fine-tuned: {_blocks(thawed)}."] * named]


def _head(recipe: Recipe, automatic: Collection[str]) -> list[str]:
    """Return how the head is fitted, and whether once more; of a trained head, `head` asks for nothing."""
    texts = [_HEADS[str(recipe.head_solver)]] if "head_solver" in automatic else []
    if "refit" in automatic and recipe.solves_head:
        texts.append(_REFITS[recipe.refit])
    return texts


def _tuning(names: Sequence[str], recipe: Recipe, thawed: str) -> list[str]:
    """Return what a run chose of fine-tuning."""
    values = {name: getattr(recipe, name) for name in names}
    tuning = [name for name in names if name in _FINE_TUNING]
    if thawed == "none":
        texts = ["nothing fine-tuned"] * len(tuning)
    else:
        words = [_FINE_TUNING[name].format(_blocks(thawed) if name == "thaw" else values[name]) for name in tuning]
        texts = [" ".join(["fine-tuned:" if "thaw" in names else "fine-tuned", *words])] if words else []
    rest = [_REST[name].format(values[name]) for name in names if name in _REST]
    return texts + ["1 view" if text == "1 views" else text for text in rest]


def _blocks(thawed: str) -> str:
    return "all blocks" if thawed == "all" else f"{thawed} and above"
