"""What a run was asked for, and what it chose for the user, in one line each."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from keras_transfer.recipe.options import AUTO, option_name
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.program import from_command_line

_UNDERSTOOD = ("base", "data", "weights", "size", "seed", "output")  # What other lines say.
_HEADS = {
    "newton-cg": "linear head (Newton-CG)",
    "lbfgs": "linear head (L-BFGS)",
    "ridge": "ridge regression",
    "adam": "head trained by Adam",
}
_REFIT = "solved again with the validation images at the end"
_FINE_TUNING = {"thaw": "{}", "fine_tune_epochs": "for {} epochs", "fine_tune_lr": "at a learning rate of {:g}"}
_REST = {"views": "{} views", "label_smoothing": "label smoothing {:g}", "batch_size": "batches of {}"}


def left_open(recipe: Recipe) -> list[str]:
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
            parts = value if isinstance(value, tuple | list) else [value]
            texts = (f"{part:.15g}" if isinstance(part, float) else str(part) for part in parts)
            words += [option_name(field), separator.join(texts)]
    return words


def asked(requested: Recipe) -> dict[str, Any]:
    """Return the options that were given, besides data, base and output, by name.

    Args:
        requested: As the user wrote it: methods change what does not apply.
    """
    usual = Recipe()
    return {
        field.name: getattr(requested, field.name)
        for field in dataclasses.fields(requested)
        if field.name not in _UNDERSTOOD and getattr(requested, field.name) != getattr(usual, field.name)
    }


def before_training(recipe: Recipe, solver: str, automatic: Collection[str], asked: Mapping[str, Any]) -> list[str]:
    """Return what is chosen before anything is trained, and what is asked for.

    Args:
        recipe: With what depends on the number of images alone.
        solver: What fits the head, as a `Task` names it.
        automatic: Names of the fields that were to be chosen.
        asked: Options that were given.
    """
    tunes = recipe.method == "two-phase" and recipe.fine_tunes
    refit = f"{_REFIT}, unless a fine-tuned network is kept" if tunes else _REFIT
    texts = _head(recipe, solver, automatic, refit)
    lines = [f"Chosen automatically: {', '.join(texts)}."] if texts else []
    if tunes and "thaw" in automatic:
        lines.append("Whether the base is fine-tuned is decided once the head is fitted.")
    if recipe.views == 1 and "views" not in automatic and recipe.augment != "none":
        lines.append("Nothing is augmented: --views 1 is each image as it is.")
    return [*lines, *_asked(asked)]


def after_training(recipe: Recipe, metrics: Mapping[str, Any]) -> list[str]:
    """Return what was chosen, and what had been asked for.

    Args:
        recipe: Complete.
        metrics: As in `metrics.json`.
    """
    automatic, thawed = metrics["automatic"], metrics["thawed"]
    refitted = metrics["phases"][-1]["name"] == "refit"
    names = [*_FINE_TUNING, *_REST] if thawed != "none" else ["thaw", "views"]
    if recipe.method != "two-phase" or (thawed == "none" and recipe.fine_tune_epochs == 0):
        names.remove("thaw")  # What is fine-tuned was asked for.
    chosen = [name for name in names if name in automatic]
    solver = metrics["phases"][0].get("solver", recipe.head_solver)
    texts = [*_head(recipe, solver, automatic, _REFIT if refitted else ""), *_tuning(chosen, recipe, thawed)]
    lines = [f"Chosen automatically: {', '.join(texts)}."] if texts else []
    lines += _asked(metrics["asked"])
    if thawed != "none" and "thaw" not in automatic:
        lines.append(f"Fine-tuning: {_blocks(thawed)}.")
    return lines


def _asked(given: Mapping[str, Any]) -> list[str]:
    if not given:
        return []
    if from_command_line():
        return [f"As asked: {shlex.join(typed(given))}."]
    return [f"As asked: {', '.join(f'{name}={value!r}' for name, value in given.items())}."]


def _head(recipe: Recipe, solver: str, automatic: Collection[str], refit: str) -> list[str]:
    """Return how a head that has a phase of its own is fitted, and whether once more, if that was chosen; of a trained
    head, `--refit head` asks for nothing.
    """
    if recipe.method not in ("two-phase", "frozen"):
        return []
    texts = [_HEADS[solver]] if "head_solver" in automatic else []
    if refit and "refit" in automatic and recipe.solves_head:
        texts.append(refit if texts else f"head {refit}")
    return texts


def _tuning(names: Sequence[str], recipe: Recipe, thawed: str) -> list[str]:
    """Return what a run chose of fine-tuning, or of training all at once."""
    texts = []
    tuning = [name for name in names if name in _FINE_TUNING]
    if thawed != "none" and tuning:
        values = {**{name: getattr(recipe, name) for name in tuning}, "thaw": _blocks(thawed)}
        verb = "fine-tuned" if recipe.method == "two-phase" else "trained"
        words = [_FINE_TUNING[name].format(values[name]) for name in tuning]
        texts.append(" ".join([f"{verb}:" if "thaw" in names else verb, *words]))
    elif tuning:
        texts.append("nothing fine-tuned")
    for name in names:
        value = getattr(recipe, name)
        if name == "views" and value == 1:
            texts.append("1 view")
        elif name in _REST and value != 0:
            texts.append(_REST[name].format(value))
    return texts


def _blocks(thawed: str) -> str:
    return "all blocks" if thawed == "all" else f"{thawed} and above"
