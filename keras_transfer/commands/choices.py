"""What a run chose for the user, and what the user chose, in one line each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_transfer.recipe.recipe import Recipe

_HEADS = {
    "newton-cg": "linear head (Newton-CG)",
    "lbfgs": "linear head (L-BFGS)",
    "adam": "head trained by Adam",
}
_FINE_TUNING = {"thaw": "{}", "fine_tune_epochs": "for {} epochs", "fine_tune_lr": "at a learning rate of {:g}"}
_REST = {
    "views": "{} views",
    "label_smoothing": "label smoothing {:g}",
    "batch_size": "batches of {}",
    "refit": "refit {}",
    "minutes": "at most {:g} minutes",
}


def choices(metrics: dict[str, Any], recipe: Recipe) -> list[str]:
    """Return the lines, of those options that a run chooses where the user does not.

    Args:
        metrics: As in `metrics.json`.
        recipe: Complete.
    """
    tuned = metrics["thawed"] != "none"
    names = ["head_solver", *_FINE_TUNING, *_REST] if tuned else ["head_solver", "thaw", "views", "refit"]
    if recipe.minutes == "none":
        names = [name for name in names if name != "minutes"]
    automatic = metrics.get("automatic", names)
    groups = {
        "Chosen automatically": [name for name in names if name in automatic],
        "As asked": [name for name in names if name not in automatic],
    }
    return [f"{title}: {', '.join(_texts(group, metrics, recipe))}." for title, group in groups.items() if group]


def _texts(names: Sequence[str], metrics: dict[str, Any], recipe: Recipe) -> list[str]:
    values = {name: getattr(recipe, name) for name in names}
    texts = [_HEADS.get(values[name], values[name]) for name in names if name == "head_solver"]
    tuning = [name for name in names if name in _FINE_TUNING]
    if metrics["thawed"] == "none":
        texts += ["nothing fine-tuned"] * len(tuning)
    elif tuning:
        words = (
            _FINE_TUNING[name].format(_blocks(metrics["thawed"]) if name == "thaw" else values[name]) for name in tuning
        )
        texts.append(" ".join(["fine-tune", *words]))
    rest = [_REST[name].format(values[name]) for name in names if name in _REST]
    return texts + ["1 view" if text == "1 views" else text for text in rest]


def _blocks(thawed: str) -> str:
    return "all blocks" if thawed == "all" else f"{thawed} and above"
