"""Runs the phases of a method, one after the other, on one network."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict, replace
from typing import Any

import keras
import numpy as np

from keras_transfer.data import pipeline
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support import stopping
from keras_transfer.support.errors import UserError
from keras_transfer.support.progress import Stopwatch
from keras_transfer.training import head, loop, techniques
from keras_transfer.training.callbacks import Checkpoint
from keras_transfer.training.feed import Feed
from keras_transfer.training.feeds import Feeds
from keras_transfer.training.judgement import still_falling, worse
from keras_transfer.training.loop import Batches
from keras_transfer.training.phase import BEST_UNLESS_WORSE, HEAD, LAST, GradientDescent, Phase, PhaseResult, Solver
from keras_transfer.training.setup import Setup
from keras_transfer.training.state import Record, TrainingState, assign, values

_SHARE_OF_VIEWS = 1 / 3  # Of the time there is, after which no further view is stored.


class Trainer:
    """Trains a network in phases and knows what each of them did.

    Args:
        setup: The network and the images.
        timer: Is told the seconds of each part.
        state: What is kept of training, and what an interrupted run left; None keeps nothing.
        earlier_work: As `work` of what the same run trained before, as folds.

    Attributes:
        recipe: Complete but for what the method still has to choose.
        reason: Why the method fine-tunes what it does, in words.
        phases: Those that ran.
        results: What they did, and the refit if there was one.
        initial_weights: Of base and head before any phase, where a refit may begin with them.
    """

    def __init__(
        self, setup: Setup, timer: Stopwatch, state: TrainingState | None = None, earlier_work: Record | None = None
    ) -> None:
        self.setup, self.recipe, self.timer, self.state = setup, setup.recipe, timer, state
        self.reason = ""
        self.phases: list[Phase] = []
        self.results: list[PhaseResult] = []
        self._feeds = Feeds(setup)
        self.initial_weights = setup.network.weights() if setup.recipe.refit == "on" else []
        self._variables = [*setup.network.base.variables, *setup.network.head.variables]
        self._trained: set[int] = set()  # Numbers of the variables that phases have changed.
        self._ending = ExitStack()  # Between the last step of a part and its end, of which a signal waits.
        self._ended_parts = 0  # Of training: its phases, and those of the refit.
        self._earlier_work: Record = earlier_work or {"computed": 0, "engine": ""}

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
        left = self.seconds_left()
        seconds = None if left is None else _SHARE_OF_VIEWS * left
        with self.timer.time("features"):
            # Once a phase has fitted the head, those that follow train what is below it.
            feed = self._feeds.at(trains, views, stores_embedding=not self.results, seconds=seconds)
        if isinstance(views, int) and feed.views < views:
            self.choose(self.recipe.replace(views=feed.drawn))
        return feed

    def seconds_left(self) -> float | None:
        """Return the seconds until fine-tuning has to end; None where no time is set.

        The method may choose that nothing is fine-tuned; what else it does has no more time for that.
        """
        minutes = self.setup.recipe.minutes
        return None if minutes == "none" else 60 * float(minutes) - self.timer.total()

    def prepared(self, phase: Phase) -> Phase | None:
        """Compute what a phase trains on, and return it on the views that there was time for; None where, by then, none
        is left to train.
        """
        if self.seconds_left() is None:
            return phase
        feed = self.feed(phase.trains, phase.views)
        # What a teacher has to compute takes of the time too; when it is asked again, that is stored.
        with self.timer.time("features"):
            feed.soft_targets(self.setup.train, phase.techniques)
        return self._on_its_views(phase, feed) if (self.seconds_left() or 0.0) > 0 else None

    def run(self, phase: Phase) -> PhaseResult:
        """Run a phase on the training images, and evaluate it on the validation images."""
        feed = self.feed(phase.trains, phase.views)
        phase = self._on_its_views(phase, feed)
        with self.timer.time(phase.name):
            run = self._judged if phase.is_judged else self._validated
            result = self._run_part(phase.name, lambda: run(phase, feed))
        if not result.best_epoch:
            self.exported.validation = result.validation  # Of the network of before, which was calibrated once more.
        self.phases.append(phase)
        self.results.append(result)
        return result

    def _on_its_views(self, phase: Phase, feed: Feed) -> Phase:
        """Return a phase on the views that are stored, which may be fewer than it asks for, or on fresh ones."""
        return replace(phase, views=feed.drawn)

    def _within_time(self, phase: Phase) -> Phase:
        """Return a phase that is about to train, to be ended by what is left of the recipe's minutes.

        Raises:
            UserError: nothing is left, and no phase has trained anything that could be kept.
        """
        left = self.seconds_left()
        if left is None or phase.trains == HEAD or not isinstance(phase.by, GradientDescent):
            return phase
        if left <= 0 and not self.results:
            raise UserError(
                f"--minutes {self.setup.recipe.minutes:g} is too little: training could begin after "
                f"{self.timer.total() / 60:.1f} minutes only."
            )
        return replace(phase, by=replace(phase.by, seconds=max(left, 0.0)))

    def run_again(self, phase: Phase, result: PhaseResult) -> PhaseResult:
        """Run a phase once more, with the validation images, as validation chose, and return what that did."""

        def run() -> PhaseResult:
            again = self._run(phase, feed, self.setup.seen)
            self.setup.network.divide_logits(result.details.get("temperature", 1.0))
            return again

        phase = phase.as_chosen(result)
        feed = self.feed(phase.trains, phase.views)
        return self._run_part(phase.name, run)

    def _run_part(self, name: str, run: Callable[[], PhaseResult]) -> PhaseResult:
        """Run a part of training, unless it ended before an interruption: then the network is as that part left it."""
        ended = self.state.ended(self._ended_parts) if self.state else None
        if ended is not None:
            record, network = ended
            assign([self._variables[number] for number in network], list(network.values()))
            self._trained |= set(network)
            self._earlier_work = record["work"]
            result = PhaseResult(**record["result"])
            self.setup.progress.say(f"{name}: had ended before the run was interrupted.")
        else:
            with self._ending:
                result = run()
                if self.state:
                    numbers = sorted(self._trained)
                    network = dict(zip(numbers, values([self._variables[number] for number in numbers]), strict=True))
                    self.state.end(self._ended_parts, {"result": asdict(result), "work": self.work()}, network)
        self._ended_parts += 1
        return result

    def kept_when_stopped(self) -> AbstractContextManager[None]:
        """Return what keeps the state of training where the block is stopped, if anything is kept."""
        return nullcontext() if self.state is None else self.state.kept_when_stopped()

    def _checkpoint(self) -> Checkpoint | None:
        """Return how the state of the part that begins is kept, and what an interrupted run left of it."""
        if self.state is None:
            return None
        state, part = self.state, self._ended_parts
        begun = state.begun(part)
        if begun is not None:
            self._earlier_work = begun[0]
        return Checkpoint(begun and begun[1], state.always, state.due, lambda now: state.save(part, now, self.work()))

    def work(self) -> Record:
        """Return what ran the frozen part and for how many images, also before an interruption and for folds."""
        return {"computed": self.computed, "engine": self.engine}

    @property
    def history(self) -> list[dict[str, Any]]:
        """One record an epoch, or a solved head, of all phases in turn, as `history.csv` has them."""
        return [row for result in self.results for row in result.history]

    @property
    def exported(self) -> PhaseResult:
        """What made the network as it is."""
        return next(result for result in reversed(self.results) if result.best_epoch)

    def scores(self, feed: Feed, indices: np.ndarray) -> dict[str, float]:
        """Return score and loss of the network as it is on some images, in float32."""
        return self.setup.task.evaluate(feed.logits(indices), self.setup.targets_of(indices))

    def logits(self, indices: np.ndarray) -> np.ndarray:
        """Return the logits of the network as it is, float32 `[N, K]`."""
        return self.feed(self.phases[-1].trains, self.phases[-1].views).logits(indices)

    @property
    def engine(self) -> str:
        """What ran the frozen part: `cache` where all activations were found stored, `none` where there are none."""
        return self._feeds.engine(self._earlier_work["engine"])

    @property
    def computed(self) -> int:
        """How many images, views counted one by one, passed the frozen part."""
        return self._earlier_work["computed"] + self._feeds.computed

    @property
    def thawed(self) -> str:
        """The lowest block that a phase trained, `none` if none did."""
        return next((phase.trains for phase in reversed(self.phases) if phase.trains != HEAD), "none")

    def _judged(self, phase: Phase, feed: Feed) -> PhaseResult:
        """Run a phase, and keep what it trained unless that is `worse` on the validation images than before.

        Before and after are evaluated in float32, in which the network is served, and after calibration: a network that
        was trained by gradient is surer than it is right, or, with label smoothing, less sure. What is kept gets the
        temperature.
        """
        start, task = self.setup.network.weights(), self.setup.task
        targets = self.setup.targets_of(self.setup.validation)
        weights = self.setup.weights_of(targets)
        counts = 1.0 if weights is None else weights
        temperature, before = self._calibrated(feed)
        scores = scores_before = task.evaluate(before, targets)
        result = self._run(phase, feed, self.setup.train)
        details, drop = result.details, True
        if np.isfinite(result.validation["loss"]):
            temperature_after, after = self._calibrated(feed)
            losses = counts * task.losses(before, targets), counts * task.losses(after, targets)
            weighted = [{} if weights is None else {"weighted_loss": float(each.mean())} for each in losses]
            drop, chance = worse(*losses, phase.keep == BEST_UNLESS_WORSE)
            reached = task.evaluate(after, targets)
            if not drop:
                temperature, scores = temperature_after, reached
            details = {
                **details,
                "before": scores_before | weighted[0],
                "reached": {"epoch": result.best_epoch, **reached, **weighted[1]},
                "chance": chance,
                "still_falling": still_falling(result.history),
            }
        if drop:
            self.setup.network.set_weights(start)
            result = replace(result, best_epoch=0)
        self.setup.network.divide_logits(temperature)
        return replace(result, validation=scores, details={**details, "temperature": temperature})

    def _validated(self, phase: Phase, feed: Feed) -> PhaseResult:
        """Run a phase that is kept in any case. What it trained by gradient gets its temperature; solved heads have it
        by cross-validation.
        """
        result = self._run(phase, feed, self.setup.train)
        if isinstance(phase.by, Solver):
            return result
        temperature, logits = self._calibrated(feed)
        self.setup.network.divide_logits(temperature)
        scores = self.setup.task.evaluate(logits, self.setup.targets_of(self.setup.validation))
        return replace(result, validation=scores, details={**result.details, "temperature": temperature})

    def _calibrated(self, feed: Feed) -> tuple[float, np.ndarray]:
        """Return the temperature of the network as it is, and its logits on the validation images divided by it."""
        logits = feed.logits(self.setup.validation)
        temperature = self.setup.task.temperature(logits, self.setup.targets_of(self.setup.validation))
        return temperature, logits / temperature

    def _run(self, phase: Phase, feed: Feed, indices: np.ndarray) -> PhaseResult:
        setup, head_alone = self.setup, phase.trains == HEAD
        # A head that was compiled itself would be saved with its optimizer.
        model = keras.Model(setup.network.head.input, setup.network.head.output) if head_alone else feed.trainable
        changing = {id(variable) for variable in model.variables}
        self._trained |= {number for number, variable in enumerate(self._variables) if id(variable) in changing}
        if isinstance(phase.by, Solver):
            return head.solve(feed, indices, phase.by, phase.name)
        size, checkpoint = int(self.recipe.batch_size), self._checkpoint()
        # An epoch is as many steps whether or not the images of validation are among those that are trained on.
        steps = -(-len(setup.train) // size)
        xla = setup.plan.compiles(phase.by.last_epoch * steps)
        begun = checkpoint.begun if checkpoint else None
        start = len(begun.epochs) * steps + begun.step if begun else 0
        order = pipeline.Shuffled(len(indices), size, feed.views, self.recipe.seed, start)
        validation = None
        if phase.keep != LAST:
            validation = feed.batches(setup.validation, feed.in_order(setup.validation), head_alone)
        soft = feed.soft_targets(indices, phase.techniques)
        train = feed.batches(indices, order, head_alone, augmented=True, soft=soft)
        batches = Batches(train, len(setup.train), steps, validation, soft is not None)
        keras.utils.set_random_seed(self.recipe.seed)
        with feed.computing(model), techniques.in_force(phase.techniques, model, setup.network):
            phase = self._within_time(phase)
            result = loop.train(phase, model, batches, setup.task, xla, setup.progress, checkpoint)
        if self.state:
            self._ending.enter_context(stopping.deferred())
        return result
