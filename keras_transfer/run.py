"""A run, from labelled images to a served version: read `fit` first."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_transfer.data import prepare
from keras_transfer.data.examples import SPLITS
from keras_transfer.data.inspection import inspector
from keras_transfer.data.prepare import Prepared
from keras_transfer.evaluation.headline import headline
from keras_transfer.recipe import choices, rule
from keras_transfer.recipe.options import AUTO
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support import forks, logs, stopping
from keras_transfer.support.errors import UsageError
from keras_transfer.support.paths import (
    SAVED_MODELS,
    absolute,
    demand_outside,
    demand_utf8,
    demand_writable,
    portable,
    shown,
)
from keras_transfer.support.progress import Progress, Stopwatch
from keras_transfer.tasks import TASKS
from keras_transfer.versions import earlier, folders, teachers

if TYPE_CHECKING:
    from keras_transfer.training.state import Record, TrainingState
    from keras_transfer.training.trainer import Trainer
    from keras_transfer.versions.predictions import Evaluated
    from keras_transfer.versions.saved import SavedClassifier

_STOPPED = "Stopped; nothing was written."


@dataclass(frozen=True)
class Result:
    """What a run made.

    Attributes:
        folder: The new version.
        metrics: As in its `metrics.json`.
        recipe: Complete, as it ran.
    """

    folder: Path
    metrics: dict[str, Any]
    recipe: Recipe
    _place: Path = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_place", self.folder.absolute())  # A notebook may go on from another folder.

    @property
    def history(self) -> list[dict[str, Any]]:
        """Rows of the version's `history.csv`: a dict an epoch, with numbers as numbers and no key where a cell is
        empty. Empty if the run could not write it.
        """
        file = self._place / "assets.extra" / "history.csv"
        if not file.is_file():
            return []
        with file.open(newline="", encoding="utf-8") as stream:
            return [{key: _number(cell) for key, cell in row.items() if cell} for row in csv.DictReader(stream)]

    @property
    def report(self) -> Path:
        """The version's `report.html`: scores, curves, classes, confusions and mistakes, in one page."""
        return self._place / "assets.extra" / "report.html"

    def _repr_html_(self) -> str | None:
        """Return the report for a notebook, which shows it where a result ends a cell; None if there is none."""
        from keras_transfer.studies import page

        return page.without_links(self.report.read_text("utf-8")) if self.report.is_file() else None

    @cached_property
    def model(self) -> SavedClassifier:
        """The version, loaded when first asked for."""
        from keras_transfer.versions.saved import SavedClassifier

        return SavedClassifier(self._place)

    def __repr__(self) -> str:
        test = self.metrics["test"]
        name = headline(test)
        score = f", {name} {test[name]:.3f}" if name else ""
        return f"<Result {self.folder}: {self.metrics['base']}{score} on {test['images']} test images>"


def _number(cell: str) -> int | float | str:
    for number in (int, float):
        try:
            return number(cell)
        except ValueError:
            continue
    return cell


def fit(recipe: Recipe, progress: Progress | None = None, resume: bool = False) -> Result:
    """Transfer a base onto labelled images and write a version that serves.

    Args:
        recipe: What to do; fields at `"auto"` are chosen by `keras_transfer.recipe.rule`.
        progress: What to tell meanwhile; by default, a terminal.
        resume: Keep the state of training as it goes on, and go on from that which an interrupted run of the same
            recipe left: it ends as if it had not been interrupted. (Stored activations are found again in any case.)

    Raises:
        UserError: with one line that says what is wrong, where, and what to do. Nothing is left behind then.
        Stopped: Ctrl-C, SIGTERM or SIGHUP ended it; nothing is left behind but what `resume` goes on from.
    """
    if resume and recipe.minutes != "none":
        raise UsageError("--minutes counts from the start of a command, --resume goes on with another: leave one out.")
    with stopping.raised(stopping.RESUMABLE if resume else _STOPPED):
        return _fit(recipe, progress or Progress(), resume)


def _fit(recipe: Recipe, progress: Progress, resume: bool) -> Result:
    timer = Stopwatch()
    forks.check()
    folder, requested = output_folder(recipe), recipe
    if folder.absolute().parent.name != SAVED_MODELS:  # Which is passed over where models are in it.
        demand_outside(folder, recipe.data, "--output")
    demand_writable(folder, "--output")
    demand_utf8(folder, "--output")
    recipe, teacher = teachers.resolved(folders.with_weights_file(recipe))
    with timer.time("data"):
        listed = prepare.listing(recipe, progress)
        teachers.demand_same_classes(teacher, listed)
    with timer.time("import"), progress.activity("Importing TensorFlow"), stopping.at_once():
        logs.import_tensorflow()
        # Only now, so that everything wrong with options and data is said before TensorFlow's seconds are spent.
        from keras_transfer.studies import folds
        from keras_transfer.training import transfer
    with timer.time("build"):
        recipe = transfer.with_pixels(recipe, listed, progress)
        # Before images are read, for weights may have to be downloaded, or not fit.
        pretrained = transfer.load_base(recipe, progress)
    with timer.time("data"):
        prepared = prepare.inspected(recipe, listed, progress)
        runs = earlier.runs(recipe, teacher, progress)
        for run in reversed(runs):  # The oldest first: what it saw, those that came from it count as seen too.
            prepared = earlier.kept_out_of_the_test(prepared, run, progress)
            if teacher is None or run.name != teacher.name:
                earlier.flattered(prepared, run, progress)
        prepared = replace(prepared, seen_earlier=frozenset().union(*(run.seen for run in runs)))
    _announce(prepared, recipe, pretrained.weights, folder, progress)
    if pretrained.caution:
        progress.warn(pretrained.caution)
    teachers.announce(teacher, progress)
    examples = prepared.examples
    recipe = rule.complete(recipe, len(examples.indices("train")))
    blocks: dict[str, Any] = {"automatic": choices.left_open(requested), "asked": choices.asked(requested)}
    solver = TASKS[examples.task].solver(str(recipe.head_solver))
    for line in choices.before_training(recipe, solver, **blocks):
        progress.say(line)
    states: list[TrainingState] = []
    work: Record | None = None
    if recipe.folds != "none":
        again = stopping.RESUMABLE if resume else "Stopped; the same command begins with the folds anew."
        with timer.time("folds"), stopping.raised(again):
            blocks["folds"], states, work = folds.measure(recipe, examples, progress, resume)
    trained = transfer.train(recipe, pretrained, examples, progress, timer, resume, teacher, work)
    with trained.kept_when_stopped():
        result = _write(folder, prepared, trained, timer, progress, blocks)
    if recipe.keep != "all":
        with progress.optional("Deleting older versions", "they stay"):
            folders.prune(folder, int(recipe.keep), earlier.versions(recipe))
    for state in [*states, *filter(None, [trained.state])]:
        state.discard()
    return result


def _announce(prepared: Prepared, recipe: Recipe, weights: str, folder: Path, progress: Progress) -> None:
    """Say, before training, what was understood, what is left out, and what is strange about the images."""
    examples = prepared.examples
    counts = " / ".join(f"{len(examples.indices(split)):,}" for split in SPLITS)
    classes = examples.classes
    what = f"{len(classes)} classes" if TASKS[examples.task].has_classes else f"numbers ({classes[0]})"
    progress.say(f"{shown(recipe.data)}: {what}, {counts} images to train / validate / test, seed {recipe.seed}.")
    progress.say(f"{recipe.base}, weights {portable(weights)}, {recipe.size} px, to {shown(str(folder))}.")
    if prepared.rejected:
        progress.warn(inspector.left_out(prepared.rejected))
    for message in prepared.warnings:
        progress.warn(message)


def _write(
    folder: Path, prepared: Prepared, trained: Trainer, timer: Stopwatch, progress: Progress, blocks: dict[str, Any]
) -> Result:
    """Export, test and describe what was trained, as the next version in a folder."""
    from keras_transfer.versions import graph, records
    from keras_transfer.versions.predictions import Evaluated
    from keras_transfer.versions.saved import SavedClassifier

    examples = prepared.examples
    with folders.new_version(folder) as staging:
        with timer.time("export"), progress.activity("Exporting"):
            graph.save(trained.setup.network, trained.recipe, examples, staging)
        # A version that is not tested, or without a card, is better than a network that is lost.
        test = examples.at(examples.indices("test"))
        evaluated = Evaluated({"images": 0, "rejected": []}, test, [])
        with timer.time("test"), progress.optional("The test", "`evaluate` measures the version"):
            evaluated = SavedClassifier(staging).measure(test, progress)
        teacher = trained.setup.teacher
        if teacher is not None:
            with timer.time("test"), progress.optional("Comparing with the teacher", "metrics.json does not name it"):
                blocks["teacher"] = teachers.record(teacher, trained, evaluated.tested)
        rejected = [(image["path"], image["reason"]) for image in evaluated.report["rejected"]]
        if rejected:
            progress.warn(f"{len(rejected)} test images are no longer there to test: {inspector.listed(rejected)}.")
        extra = staging / "assets.extra"
        metrics = records.write(extra, prepared, trained, evaluated.report, timer, progress, **blocks)
        _describe(extra, Path(absolute(str(folder))).name, metrics, prepared, trained, evaluated, progress)
        return Result(folders.publish(staging), metrics, trained.recipe)


def _describe(
    extra: Path,
    name: str,
    metrics: dict[str, Any],
    prepared: Prepared,
    trained: Trainer,
    evaluated: Evaluated,
    progress: Progress,
) -> None:
    """Write what a version can do without: predictions of the test, report, warm-up requests and model card."""
    from keras_transfer.studies import report
    from keras_transfer.versions import card, predictions, warmup

    max_pixels, training, mean = trained.recipe.max_pixels, dict[str, int](), None
    with progress.optional("Counting the training images of each class"):
        training, mean = folders.training_counts(extra.parent), folders.training_mean(extra.parent)
    if evaluated.tested:
        with progress.optional("Writing predictions.csv"):
            predictions.write_tested(evaluated.tested, extra / "predictions.csv")
        with progress.activity("Writing the report"), progress.optional("Writing report.html"):
            report.write(extra / "report.html", name, metrics, trained.history, evaluated, max_pixels, training, mean)
    with progress.optional("Writing warm-up requests"):
        warmup.write(extra / warmup.FILE, prepared.samples(), name, max_pixels)
    with progress.optional("Writing the model card"):
        text = card.text(metrics, trained.recipe, name, training)
        (extra / "README.md").write_text(text, "utf-8", "backslashreplace")


def output_folder(recipe: Recipe) -> Path:
    """Return where the versions of a recipe go."""
    if recipe.output != AUTO:
        return Path(recipe.output).expanduser()
    data = recipe.data if ":" in recipe.data else Path(recipe.data).resolve()
    parts = [re.sub(r"[^\w.-]+", "-", str(part)) for part in (_stem(Path(data)), Path(recipe.base).stem.lower())]
    return Path(SAVED_MODELS) / "-".join(parts)


def _stem(data: Path) -> str:
    return data.stem if data.is_file() else data.name
