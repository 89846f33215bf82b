"""Training once more, on training and validation images, by what validation chose."""

from __future__ import annotations

import time
from typing import Any

from keras_transfer.training.phase import Phase, PhaseResult, Solver
from keras_transfer.training.trainer import Trainer


def refit(trainer: Trainer) -> None:
    """Train once more on training and validation images, as the recipe says, by what validation chose.

    A solved head is convex: of more images, the same penalty makes a better one. A thawed network is trained by
    the very schedule that chose its epoch: as many steps, ended at the same one. Nothing validates it; it is
    dropped where its loss on the images that it trained on is worse than the validated network's on the same.

    Args:
        trainer: Whose phases have run; its results get one more.
    """
    phases = zip(trainer.phases, trainer.results, strict=True)
    kept = [(phase, result) for phase, result in phases if result.best_epoch]
    convex = all(isinstance(phase.by, Solver) for phase, _ in kept)
    if trainer.recipe.refit == "off" or (trainer.recipe.refit == "head" and not convex):
        return
    started, last = time.monotonic(), kept[-1][1]
    details: dict[str, Any] = {"images": len(trainer.setup.seen)}
    with trainer.timer.time("refit"):
        if convex:
            parts = [trainer.run_again(*kept[-1])]
            details |= {key: last.details[key] for key in ("solver", "strength")}
            better, scores = True, last.details["cross_validation"]
        else:
            parts, details["training_loss"] = _network(trainer, kept)
            better, scores = details["training_loss"]["after"] <= details["training_loss"]["before"], {}
    seconds = time.monotonic() - started
    rate = sum(_images(trainer, part) for part in parts) / max(seconds, 1e-9)
    details["parts"] = {part.name: part.epochs for part in parts}
    history, epochs = [row for part in parts for row in part.history], parts[-1].epochs
    best, trainable = epochs if better else 0, last.trainable_parameters
    trainer.results.append(PhaseResult("refit", epochs, best, seconds, trainable, rate, scores, history, details))


def _images(trainer: Trainer, part: PhaseResult) -> int:
    """Return how many images a part was trained on, counted in each epoch; a head is solved on each once."""
    setup = trainer.setup
    return len(setup.seen) if "solver" in part.details else part.epochs * len(setup.train)


def _network(trainer: Trainer, kept: list[tuple[Phase, PhaseResult]]) -> tuple[list[PhaseResult], dict[str, float]]:
    """Run phases once more, from the beginning; return what they did, and the loss on all their images before and
    after.
    """
    images = trainer.setup.seen
    feed = trainer.feed(kept[-1][0].trains, kept[-1][0].views)
    network = trainer.setup.network
    before, validated = trainer.scores(feed, images), network.weights()
    network.set_weights(trainer.initial_weights)
    parts = [trainer.run_again(phase, result) for phase, result in kept]
    after = trainer.scores(feed, images)
    if not after["loss"] <= before["loss"]:
        network.set_weights(validated)
    return parts, {"before": before["loss"], "after": after["loss"]}
