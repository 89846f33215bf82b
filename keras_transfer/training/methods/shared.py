"""What the methods of transfer have in common: how a recipe describes the head's phase and gradient training."""

from __future__ import annotations

from keras_transfer.recipe import rule
from keras_transfer.recipe.options import FRESH, SOLVERS
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.training import head, techniques
from keras_transfer.training.phase import HEAD, GradientDescent, Phase, Solver
from keras_transfer.training.trainer import Trainer


def head_phase(trainer: Trainer, views: int) -> Phase:
    """Return the phase that fits the head on frozen features: solved if it can be, else trained by gradient.

    Where the embeddings are too large to solve the head, the trainer's recipe says so afterwards.
    """
    recipe = trainer.recipe
    if recipe.head_solver in SOLVERS and head.solvable(trainer.setup, views):
        return Phase("head", HEAD, Solver(recipe.head_solver), views)
    if recipe.head_solver in SOLVERS:
        trainer.setup.progress.warn(
            "The embeddings are too large to solve the head in memory; it is trained by gradient."
        )
        recipe = trainer.choose(rule.complete(recipe.replace(head_solver="adam"), len(trainer.setup.train)))
    by = GradientDescent(int(recipe.head_epochs), float(recipe.head_lr), patience=patience(recipe))
    return Phase("head", HEAD, by, views, techniques=techniques.of(recipe))


def completed(trainer: Trainer, thaw: str) -> Recipe:
    """Let the trainer go on with a recipe that fine-tunes what a method says, and return it; nothing stays open."""
    setup = trainer.setup
    score = 1.0 if setup.task.single_label else None
    situation = rule.Situation(len(setup.train), len(setup.examples.classes), score, 1.0)
    return trainer.choose(rule.fine_tuning(trainer.recipe.replace(thaw=thaw), setup.pretrained.spec, situation)[0])


def fine_tuning(recipe: Recipe) -> GradientDescent:
    """Return how a complete recipe trains the base."""
    return GradientDescent(
        int(recipe.fine_tune_epochs),
        float(recipe.fine_tune_lr),
        float(recipe.weight_decay),
        float(recipe.label_smoothing),
        patience(recipe),
    )


def schedule(recipe: Recipe) -> str:
    """Return how a complete recipe trains the base, as the end of a sentence."""
    epochs = "1 epoch" if recipe.fine_tune_epochs == 1 else f"{recipe.fine_tune_epochs} epochs"
    rate = f"a learning rate of {recipe.fine_tune_lr:g}"
    smoothing = f", with label smoothing {recipe.label_smoothing:g}" if recipe.label_smoothing else ""
    return f", for {epochs} at {rate}, in batches of {recipe.batch_size}{smoothing}"


def stored_views(recipe: Recipe) -> int:
    """Return how many views of each image are stored."""
    return recipe.views if isinstance(recipe.views, int) and recipe.augment != "none" else 1


def patience(recipe: Recipe) -> int | None:
    """Return the epochs without gain before stopping; None runs all."""
    return None if recipe.patience == "none" else int(recipe.patience)


def mirrored(trainer: Trainer) -> str:
    """Return what to say where views are mirrored, in brackets; nothing where none is."""
    if not trainer.setup.flips or trainer.recipe.views == 1:
        return ""
    return " (mirrored ones among them: --augment no-flip where that means something else)"


def say_views(trainer: Trainer, views: int | str) -> None:
    """Say on how many views a method trains that has nothing to decide."""
    if views != 1 and trainer.recipe.augment != "none":
        told = "on new views of each image in each epoch" if views == FRESH else f"on {views} views of each image"
        trainer.setup.progress.say(f"Trained {told}{mirrored(trainer)}.")
