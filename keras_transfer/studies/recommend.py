"""Which base to transfer: heads on the frozen features of each, cross-validated on the same images.

Heads on frozen features order bases much as fine-tuning does (Kornblith, Shlens and Le 2019,
https://arxiv.org/abs/1805.08974), at the price of one pass over the images a base. The activations stay in the cache,
where `fit` finds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from keras_transfer.data import prepare
from keras_transfer.data.examples import Examples
from keras_transfer.data.inspection import inspector
from keras_transfer.network.bases import TABLE, check_base, spec_of
from keras_transfer.recipe import rule
from keras_transfer.recipe.options import SOLVERS
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support import forks, logs
from keras_transfer.support.errors import UsageError, UserError
from keras_transfer.support.paths import absolute
from keras_transfer.support.progress import Progress
from keras_transfer.training.judgement import worse
from keras_transfer.versions import earlier


@dataclass(frozen=True)
class Candidate:
    """A base, and what heads on its features reach.

    Attributes:
        base: As `fit` takes it.
        weights: `imagenet`, or the file that they come from.
        size: Input side, px.
        gflops: Of one image at that size; None where nobody knows.
        download_mb: Size of the weights, MB.
        scores: Score (`accuracy`, or `r2`) and `loss` on images that a head was not solved on.
        as_good: Whether no more than chance tells its loss from the least.
        trained_on: How many of the images an earlier run fine-tuned it on: its scores are too good if there are any,
            and it is compared with no other.
    """

    base: str
    weights: str
    size: int
    gflops: float | None
    download_mb: int
    scores: dict[str, float]
    as_good: bool = False
    trained_on: int = 0


@dataclass(frozen=True)
class Recommendation:
    """Which base to transfer.

    Attributes:
        source: The labelled images.
        images: To train and validate on; those for the test took no part.
        candidates: The one of the least loss first; behind them, those that were trained on some of the images.
        recommended: The least costly base of those that are as good as the best; the smallest, where the cost of one
            is not known; None where all were trained on some of the images.
    """

    source: str
    images: int
    candidates: list[Candidate]
    recommended: str | None

    def __repr__(self) -> str:
        return f"<Recommendation {self.source}: {self.recommended}, of {len(self.candidates)} bases>"

    def record(self) -> dict[str, Any]:
        """Return it as `recommend --json` prints it."""
        fields = asdict(self)
        candidates = fields.pop("candidates")
        return {**fields, "bases": [candidate.pop("scores") | candidate for candidate in candidates]}


def recommend(recipe: Recipe, bases: Sequence[str], progress: Progress) -> Recommendation:
    """Compare bases on the training and validation images that `fit` would have of the same recipe.

    Args:
        recipe: Gives data, split, seed, size, resizing, pooling, precision and engine.
        bases: Names or files; none for those that the table of bases marks as the ones to begin with.
        progress: Is told of each base.

    Raises:
        UserError: a base cannot be had, or the ImageNet weights of all but one cannot, or the images cannot be used,
            or are too few to cross-validate on.
    """
    forks.check()
    if not bases:
        bases = [base.name for base in TABLE.values() if base.start_here]
    specs = {name: spec_of(name) for name in bases}
    # A file may be named in several ways too.
    names = {absolute(name) if spec is None else spec.name: spec.name if spec else name for name, spec in specs.items()}
    recipes = [check_base(recipe.replace(base=name)) for name in names.values()]
    if len(recipes) < 2:
        raise UsageError(f"{recipes[0].base} is the only base given: name two or more to compare.")
    listed = prepare.listing(recipe, progress)
    with progress.activity("Importing TensorFlow"):
        logs.import_tensorflow()
    from keras_transfer.network.weights import ImageNetUnavailable

    prepared = prepare.inspected(recipe, listed, progress)
    if prepared.rejected:
        progress.warn(inspector.left_out(prepared.rejected))
    examples = prepared.examples
    measured = []
    for number, entry in enumerate(recipes, 1):
        progress.say(f"Base {number} of {len(recipes)}: {entry.base}")
        try:
            measured.append(_measure(entry, listed, examples, progress))
        except ImageNetUnavailable as error:  # It must not cost what was measured of the others.
            progress.warn(f"{entry.base} is left out. {error.missing}.")
    if len(measured) < 2:
        raise UserError(f"{len(measured)} of {len(recipes)} bases could be measured: it takes two to compare.")
    return ranked(recipe.data, measured)


def _measure(recipe: Recipe, listed: Examples, examples: Examples, progress: Progress) -> tuple[Candidate, np.ndarray]:
    """Return a base's scores, and the loss of each image."""
    from keras_transfer.compute import device
    from keras_transfer.network import network
    from keras_transfer.tasks import task_of
    from keras_transfer.training import head, transfer
    from keras_transfer.training.feed import Feed
    from keras_transfer.training.setup import Setup

    trained_on, count = earlier.fine_tuned_on(examples, earlier.runs(recipe, None, progress))
    if trained_on:
        progress.warn(
            f"{recipe.base} was trained on {trained_on} of the {count} images that bases are compared on, so its "
            "scores are too good: it is not recommended by them."
        )
    recipe = rule.complete(transfer.with_pixels(recipe, listed, progress), len(examples.indices("train")))
    pretrained, task = transfer.load_base(recipe, progress), task_of(examples)
    if pretrained.caution:
        progress.warn(pretrained.caution)
    spec = pretrained.spec
    with transfer.built_in_float32():
        built = network.build(pretrained.base, spec, recipe, len(examples.classes), task.output())
        plan = device.plan(recipe, task.needs_float32)
        setup = Setup(recipe, pretrained, built, examples, task, plan, progress)
        if not head.solvable(setup, 1):
            raise UserError(f"{recipe.data}: the features of {recipe.base} are too large to solve heads in memory.")
        feed = Feed(setup, None)
        feed.extract()
        losses, scores = head.cross_validated(feed, SOLVERS[0])
    gflops = spec.gflops * (built.size / spec.size) ** 2 or None
    costs = (built.size, gflops, spec.download_mb)
    return Candidate(recipe.base, pretrained.weights, *costs, scores, trained_on=trained_on), losses


def ranked(source: str, measured: Sequence[tuple[Candidate, np.ndarray]]) -> Recommendation:
    """Return the candidates by loss, and the one to take: none that was trained on these images, which would win by
    what it remembers.

    Args:
        source: The labelled images.
        measured: Candidates, each with the loss of each image, float64 `[N]`, of the same images.
    """
    least = min(measured, key=lambda pair: (pair[0].trained_on > 0, pair[0].scores["loss"]))[1]
    # Not by what `worse` says: to it, a loss that is the same is no gain.
    candidates = [
        replace(
            candidate, as_good=not candidate.trained_on and bool((losses - least).mean() <= worse(least, losses)[1])
        )
        for candidate, losses in measured
    ]
    candidates.sort(key=lambda candidate: (candidate.trained_on > 0, candidate.scores["loss"]))
    equals = [candidate for candidate in candidates if candidate.as_good]
    known = all(candidate.gflops for candidate in equals)
    chosen = min(equals, key=lambda candidate: (known and candidate.gflops) or candidate.download_mb, default=None)
    return Recommendation(source, len(least), candidates, chosen.base if chosen else None)
