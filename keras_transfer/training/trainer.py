"""Runs the phases of a method, one after the other, on one network."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from keras_transfer.data import pipeline
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.progress import Stopwatch
from keras_transfer.training import backup as backups
from keras_transfer.training import head, loop
from keras_transfer.training.feed import Feed
from keras_transfer.training.loop import Batches
from keras_transfer.training.phase import BEST_OR_BEFORE, HEAD, LAST, Phase, PhaseResult, Solve
from keras_transfer.training.setup import Setup

# Of the validation loss: the least share of it that a phase must gain to be kept. What the same weights lose or gain
# by another order of summation is a tenth of that.
_LEAST_GAIN = 1e-3


class Trainer:
    """Trains a network in phases and knows what each of them did.

    Args:
        setup: The network and the images.
        timer: Is told the seconds of each part.
        state: Folder that keeps each phase's weights after each epoch, to go on from after an interruption.

    Attributes:
        recipe: Complete but for what the method still has to choose.
        reason: Why the method fine-tunes what it does, in words.
        phases: Those that ran.
        results: What they did, and the refit if there was one.
    """

    def __init__(self, setup: Setup, timer: Stopwatch, state: Path | None = None) -> None:
        self.setup, self.recipe, self.timer, self.state = setup, setup.recipe, timer, state
        self.reason = ""
        self.phases: list[Phase] = []
        self.results: list[PhaseResult] = []
        self._feeds: dict[tuple[str, int | str], Feed] = {}
        self._start = self._weights() if setup.recipe.refit == "on" else []

    def choose(self, recipe: Recipe) -> Recipe:
        """Go on with a recipe in which more is chosen, and return it."""
        self.recipe = recipe
        return recipe

    def feed(self, trains: str, views: int | str = 1) -> Feed:
        """Return the images on both sides of the cut below what a phase trains, stored where they can be.

        Args:
            trains: `head`, the name of a block, or `all`.
            views: As in `Phase`.
        """
        if trains == HEAD:
            ready = [feed for feed in self._feeds.values() if feed.sets and feed.views == views]
            if ready:
                return ready[-1]
        if (trains, views) not in self._feeds:
            block = None if trains == HEAD else self.setup.source.row.thawed(trains)
            self._feeds[trains, views] = Feed(self.setup, block, views)
        feed = self._feeds[trains, views]
        with self.timer.time("features"):
            feed.extract()
        return feed

    def run(self, phase: Phase) -> PhaseResult:
        """Run a phase on the training images; validation images judge it."""
        feed = self.feed(phase.trains, phase.views)
        with self.timer.time(phase.name):
            if phase.keep == BEST_OR_BEFORE:
                result = self._kept_if_better(phase, feed)
            else:
                result = self._run(phase, feed, self.setup.train)
        self.phases.append(phase)
        self.results.append(result)
        return result

    def refit(self) -> None:
        """Train once more on training and validation images, as the recipe says, by what validation chose.

        A solved head is convex: of more images, the same penalty makes a better one. A thawed network is trained by
        the very schedule that chose its epoch: as many steps, ended at the same one. Nothing validates it; it is
        dropped where its loss on the training images is worse than that of the validated network.
        """
        kept = [pair for pair in zip(self.phases, self.results, strict=True) if pair[1].best_epoch]
        convex = all(isinstance(phase.by, Solve) for phase, _ in kept)
        kept = kept[-1:] if convex else kept
        if self.recipe.refit == "off" or (self.recipe.refit == "head" and not convex):
            return
        with self.timer.time("refit"):
            begun, last = time.monotonic(), kept[-1][1]
            feed = self.feed(kept[-1][0].trains, kept[-1][0].views)
            before, validated = self.scores(feed, self.setup.train), self._weights()
            if not convex:
                self._set_weights(self._start)
            for phase, result in kept:
                self._run(_as_chosen(phase, result), self.feed(phase.trains, phase.views), self.setup.seen)
                self.divide_logits(result.details.get("temperature", 1.0))
            after = self.scores(feed, self.setup.train)
            worse = not convex and not after["loss"] <= before["loss"]
            if worse:
                self._set_weights(validated)
            seconds = time.monotonic() - begun
            rate = last.epochs * len(self.setup.train) / max(seconds, 1e-9)
            scores = last.details["cross_validation"] if convex else {}
            losses = {"before": before["loss"], "after": after["loss"]}
            details = {key: last.details[key] for key in ("solver", "strength") if convex}
            details |= {"images": len(self.setup.seen), "training_loss": losses}
            best, parameters = 0 if worse else last.best_epoch, last.trainable_parameters
            self.results.append(
                PhaseResult("refit", last.best_epoch, best, seconds, parameters, rate, scores, [], details)
            )

    @property
    def exported(self) -> PhaseResult:
        """What made the network as it is."""
        return next(result for result in reversed(self.results) if result.best_epoch)

    def scores(self, feed: Feed, indices: np.ndarray) -> dict[str, float]:
        """Return score and loss of the network as it is on some images, in float32."""
        return self.setup.objective.judge(feed.logits(indices), self.setup.objective.targets[indices])

    def logits(self, indices: np.ndarray) -> np.ndarray:
        """Return the logits of the network as it is, float32 `[N, K]`."""
        return self.feed(self.phases[-1].trains, self.phases[-1].views).logits(indices)

    @property
    def engine(self) -> str:
        """What ran the frozen part, `cache` where all activations were found stored."""
        engines = [feed.extractor.engine_name for feed in self._feeds.values()]
        return next(filter(None, engines), "cache")

    @property
    def computed(self) -> int:
        """How many images, views counted one by one, passed the frozen part."""
        return sum(feed.extractor.computed for feed in self._feeds.values())

    @property
    def thawed(self) -> str:
        """The lowest block that a phase trained, `none` if none did."""
        return next((phase.trains for phase in reversed(self.phases) if phase.trains != HEAD), "none")

    def _kept_if_better(self, phase: Phase, feed: Feed) -> PhaseResult:
        """Run a phase and judge both of its ends in float32, in which the network is served, after calibration.

        A network that was trained by gradient is surer than it is right, or, with label smoothing, less sure: the loss
        is compared once the temperature is right, and the network that is kept gets it.
        """
        start, validation = self._weights(), self.setup.validation
        before, _ = self._calibrated(feed.logits(validation))
        result = self._run(phase, feed, self.setup.train)
        after, temperature = self._calibrated(feed.logits(validation))
        details = {"before": before, "reached": {"epoch": result.best_epoch, **after}, "temperature": temperature}
        if after["loss"] < before["loss"] * (1 - _LEAST_GAIN):
            self.divide_logits(temperature)
            return replace(result, validation=after, details=details)
        self._set_weights(start)
        return replace(result, best_epoch=0, validation=before, details=details)

    def _calibrated(self, logits: np.ndarray) -> tuple[dict[str, float], float]:
        """Return the scores of validation logits at their best temperature, and that temperature."""
        objective, targets = self.setup.objective, self.setup.objective.targets[self.setup.validation]
        temperature = objective.temperature(logits, targets)
        return objective.judge(logits / temperature, targets), temperature

    def divide_logits(self, temperature: float) -> None:
        """Divide all logits by a number, folded into the weights of their layer."""
        layer = self.setup.network.head.get_layer("logits")
        layer.set_weights([value / temperature for value in layer.get_weights()])

    def _run(self, phase: Phase, feed: Feed, indices: np.ndarray) -> PhaseResult:
        if isinstance(phase.by, Solve):
            with self.setup.progress.activity("Solving the head"):
                return head.solve(feed, indices, phase.by, phase.name)
        recipe, setup, embedding = self.recipe, self.setup, phase.trains == HEAD
        folder = self.state / f"{phase.name}-{len(indices)}" if self.state else None
        earlier = backups.logged(folder)
        size = int(recipe.batch_size)
        # An epoch is as many steps whether or not the images of validation are among those that are trained on.
        steps = -(-len(setup.train) // size)
        order = pipeline.Shuffled(len(indices), size, feed.views, recipe.seed, len(earlier) * steps)
        validation = None
        if phase.keep != LAST:
            validation = feed.batches(setup.validation, feed.in_order(setup.validation), embedding)
        train = feed.batches(indices, order, embedding, augmented=True)
        batches = Batches(train, len(setup.train), steps, validation, earlier)
        model = setup.network.head if embedding else feed.trainable
        keras.utils.set_random_seed(recipe.seed)
        with feed.computing(model):
            return loop.train(
                phase.name,
                model,
                batches,
                phase.by,
                setup.objective,
                setup.plan.xla,
                setup.progress,
                folder,
                phase.techniques,
            )

    def _weights(self) -> list[list[np.ndarray]]:
        return [model.get_weights() for model in (self.setup.network.base, self.setup.network.head)]

    def _set_weights(self, weights: list[list[np.ndarray]]) -> None:
        for model, values in zip((self.setup.network.base, self.setup.network.head), weights, strict=True):
            model.set_weights(values)


def _as_chosen(phase: Phase, result: PhaseResult) -> Phase:
    """Return the phase as it is run once more: by the same schedule, ended where its best epoch ended."""
    if isinstance(phase.by, Solve):
        return replace(phase, by=replace(phase.by, strength=result.details["strength"]))
    return replace(phase, by=replace(phase.by, stop=result.best_epoch), keep=LAST)
