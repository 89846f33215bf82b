"""The default recipe: what `auto` means, from the number of training images and classes.

One rule in one place, in the manner of BiT's HyperRule (Kolesnikov et al. 2020). `docs/measurements.md`
says which numbers were measured, on what, over how many seeds, and with which command.
"""

from __future__ import annotations

from keras_transfer.recipe import AUTO, SOLVERS, Recipe

_SMALL = 2_000  # Training images up to which a set is small.
_DIGITS_SIZE = 48  # The built-in sample's 8x8 px scans, enlarged; every base whose least size allows it.


def complete(recipe: Recipe, images: int, classes: int) -> Recipe:
    """Return the recipe with every `auto` that depends on the data replaced.

    Args:
        recipe: As the user wrote it.
        images: Training images.
        classes: Classes.
    """
    small = images <= _SMALL
    solved = not recipe.dense and recipe.head_epochs == AUTO and not recipe.l2 and not recipe.dropout
    solver = (SOLVERS[0] if solved else "adam") if recipe.head_solver == AUTO else recipe.head_solver
    values: dict[str, object] = {
        "head_solver": solver,
        # On small sets phase 2 gains little over a solved head, so what it costs decides.
        "fine_tune_epochs": 3 if small else 6,
        "fine_tune_lr": 3e-4 if solver in SOLVERS and not small else 1e-4,
        "label_smoothing": 0.0,
        "patience": 3,
        # Of a thawed network that trained once more, nobody knows how good it is.
        "refit": "head",
        "views": 1,
        "batch_size": 32,
    }
    if solver == "adam":
        values |= {"head_epochs": 20 if small else 10, "head_lr": 1e-3}
    changes = {name: value for name, value in values.items() if getattr(recipe, name) == AUTO}
    return recipe.replace(**changes)


def input_size(recipe: Recipe, native: int, least: int) -> int:
    """Return the input side, px: the base's own, and a small one for the built-in sample."""
    if recipe.size != AUTO:
        return int(recipe.size)
    return max(_DIGITS_SIZE, least) if recipe.data == "digits" else native
