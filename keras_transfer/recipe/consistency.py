"""Which options of a recipe exclude each other, or would do nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras_transfer.recipe.options import AUTO, INTERPOLATIONS, NOTHING, SOLVERS, WEIGHTS
from keras_transfer.support.errors import UsageError

if TYPE_CHECKING:
    from keras_transfer.recipe.recipe import Recipe

_THAWED = {"frozen": NOTHING, "full": ("all",), "scratch": ("all",)}  # By methods that leave no choice.


def demand_consistent(recipe: Recipe) -> None:
    """Refuse a recipe whose options, each right by itself, contradict each other.

    Raises:
        UsageError: naming the options, and which to leave out.
    """
    if recipe.method == "scratch" and recipe.weights not in WEIGHTS:
        raise UsageError(
            f"--method scratch starts from random weights: leave --weights out. Received: {recipe.weights!r}."
        )
    solver = f"--head-solver {recipe.head_solver}"
    if recipe.head_solver in SOLVERS and recipe.dense:
        raise UsageError(f"{solver} solves a linear head; with --dense use 'adam' or 'auto'.")
    for option, value in (("--head-epochs", recipe.head_epochs), ("--head-lr", recipe.head_lr)):
        if recipe.head_solver in SOLVERS and value != AUTO:
            raise UsageError(f"{option} trains the head by gradient; leave it out with {solver}.")
    _demand_fine_tuning(recipe)
    if recipe.minutes != "none":
        _demand_fine_tuning_once(recipe)
    if recipe.teacher != "none":
        _demand_teachable(recipe)


def of_earlier_release(record: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a recipe that a release wrote without the options that did nothing in it, which early ones
    took, and with how those enlarged pictures.
    """
    values = {"enlarge": INTERPOLATIONS[0], **record}
    method, thaw = values.get("method"), values.get("thaw")
    tunes = thaw not in NOTHING and values.get("fine_tune_epochs") != 0 if method == "two-phase" else method != "frozen"
    if method in _THAWED and thaw not in (AUTO, *_THAWED[method]):
        values["thaw"] = AUTO
    return values if tunes else values | idle(values.get("head_solver") in SOLVERS, values.get("label_smoothing", AUTO))


def idle(solved: bool, smoothing: float | str) -> dict[str, Any]:
    """Return the fields, as they are where they do nothing, that only fine-tuning has a use for, and, where the head is
    solved, those that only training by gradient has. Label smoothing that is still to be chosen stays so.
    """
    smoothing = AUTO if smoothing == AUTO else 0.0
    fields: dict[str, Any] = {"minutes": "none", "weight_decay": 0.0, "l2_sp": 0.0, "label_smoothing": smoothing}
    return fields | ({"ema": "none", "teacher": "none", "dropout": 0.0, "l2": 0.0} if solved else {})


def _demand_fine_tuning(recipe: Recipe) -> None:
    """Refuse what only fine-tuning has a use for, where there is none, and another depth than the method's."""
    method = f"--method {recipe.method}"
    if recipe.method in _THAWED and recipe.thaw not in (AUTO, *_THAWED[recipe.method]):
        does = "trains the head alone" if recipe.method == "frozen" else "trains everything"
        raise UsageError(f"{method} {does}: leave --thaw out. Received: {recipe.thaw!r}.")
    if recipe.method in ("full", "scratch") and recipe.fine_tune_epochs == 0:
        raise UsageError(f"{method} trains for --fine-tune-epochs: 0 would train nothing.")
    if recipe.l2_sp and recipe.weights == "random":
        raise UsageError("--l2-sp keeps weights near those of the source, and random weights have none. Leave it out.")
    if recipe.fine_tunes:
        return
    tuning = {
        "--weight-decay": recipe.weight_decay,
        "--l2-sp": recipe.l2_sp,
        "--label-smoothing": recipe.label_smoothing,
    }
    for option, given in tuning.items():
        if given not in (0.0, AUTO):
            raise UsageError(f"{option} is for fine-tuning, and nothing is fine-tuned. Leave it out, or set it to 0.")
    for option, given in (("--dropout", recipe.dropout), ("--l2", recipe.l2)):
        if given and recipe.head_solver in SOLVERS:
            raise UsageError(
                f"{option} is for training by gradient, and --head-solver {recipe.head_solver} solves all there is to "
                "train. Leave one of them out."
            )
    if recipe.ema != "none" and recipe.solves_head:
        raise UsageError("--ema averages over steps of training, and the head is solved without any. Leave it out.")


def _demand_fine_tuning_once(recipe: Recipe) -> None:
    """Refuse `minutes` where there is nothing that they could end, or more than one thing."""
    without = {
        "--method frozen": recipe.method == "frozen",
        f"--thaw {recipe.thaw}": recipe.thaw in NOTHING,
        "--fine-tune-epochs 0": recipe.fine_tune_epochs == 0,
    }
    again = {"--folds": recipe.folds != "none", "--refit on": recipe.refit == "on"}
    for options, why in ((without, "has none"), (again, "trains again")):
        for option, given in options.items():
            if given:
                raise UsageError(f"--minutes ends fine-tuning; {option} {why}. Leave one of them out.")


def _demand_teachable(recipe: Recipe) -> None:
    """Refuse a teacher that nothing would be learned from, or that knows what is tested."""
    if recipe.folds != "none":
        raise UsageError("--teacher: it was trained on images that --folds tests on. Leave one of them out.")
    if recipe.solves_head and not recipe.fine_tunes:
        tuning = "--thaw none" if recipe.fine_tune_epochs else "--fine-tune-epochs 0"
        raise UsageError(
            "--teacher needs a phase that is trained by gradient: a solved head learns from labels alone. Leave "
            f"{'--method frozen' if recipe.method == 'frozen' else tuning} out, or train the head, as by "
            "--head-epochs 20."
        )
