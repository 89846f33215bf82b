"""The two phases of transfer: the head on frozen features, then the top blocks at a low rate.

"Linear probe, then fine-tune" (Kumar et al. 2022, https://arxiv.org/abs/2202.10054): a head that is solved first
lets the blocks above the boundary train without first being torn apart by a random one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from keras_transfer.recipe import rule
from keras_transfer.recipe.options import AUTO
from keras_transfer.training import techniques
from keras_transfer.training.methods import shared
from keras_transfer.training.phase import ALL, BEST_IF_BETTER, BEST_UNLESS_WORSE, Phase, Solver
from keras_transfer.training.setup import Setup
from keras_transfer.training.trainer import Trainer

NAME = "two-phase"


def phases(trainer: Trainer) -> Iterator[Phase]:
    """Yield the head's phase; then, by what it reached, one that fine-tunes, or the head's again, on more views."""
    recipe, setup = trainer.recipe, trainer.setup
    views = shared.stored_views(recipe)
    if recipe.thaw != AUTO and recipe.fine_tunes:
        # Features come with the activations at the boundary, in the same pass.
        trainer.feed(_lowest(setup, recipe.thaw), views if recipe.views == AUTO else recipe.views)
        views = shared.stored_views(trainer.recipe)
    yield shared.head_phase(trainer, views)
    base, situation = setup.pretrained.spec, _situation(trainer)
    recipe, why = rule.fine_tuning(trainer.recipe, base, situation)
    views, left = min(views, shared.stored_views(trainer.recipe)), trainer.seconds_left()
    if left is not None and left <= 0:
        recipe, why = recipe.without_fine_tuning().replace(views=views), "The minutes were over with the head"
    trainer.choose(recipe)
    if recipe.thaw != "none":
        trains = _lowest(setup, recipe.thaw)
        blocks = "the whole base is" if trains == ALL else f"{trains} of the base and all above it are"
        aside = f"{shared.schedule(recipe)}{shared.mirrored(trainer)}"
        _say(trainer, f"{why}: {blocks} fine-tuned on {_views(recipe.views)} of each image", aside)
        keep = BEST_UNLESS_WORSE if rule.expects_gain(base, situation) else BEST_IF_BETTER
        tuning = shared.fine_tuning(recipe)
        phase = trainer.prepared(Phase("fine-tune", trains, tuning, recipe.views, keep, techniques.of(recipe)))
        if phase is not None:
            yield phase
        else:
            trainer.choose(recipe.without_fine_tuning().replace(views=views))
            _say(trainer, "The minutes were over before fine-tuning began: the head is kept")
    elif shared.stored_views(recipe) > views and isinstance(trainer.phases[-1].by, Solver):
        _say(trainer, f"{why}; the head is fitted on {_views(recipe.views)} of each image", shared.mirrored(trainer))
        yield replace(shared.head_phase(trainer, shared.stored_views(recipe)), name="head, views")
    else:
        _say(trainer, why)


def _say(trainer: Trainer, reason: str, aside: str = "") -> None:
    """Say and keep what was decided and why."""
    trainer.reason = f"{reason}."
    trainer.setup.progress.say(f"{reason}{aside}.")


def _views(views: int | str) -> str:
    return "1 view" if views == 1 else f"{views} views"


def _lowest(setup: Setup, thaw: str) -> str:
    """Return the name of the lowest block that `--thaw` means, where it is one, or `all`."""
    block = setup.pretrained.spec.thawed(thaw)
    return block.name if block else thaw


def _situation(trainer: Trainer) -> rule.Situation:
    setup, result = trainer.setup, trainer.results[-1]
    base = setup.pretrained.spec
    gflops = base.gflops * (setup.network.size / base.size) ** 2 if setup.plan.device == "cpu" else 0.0
    if not setup.task.single_label:
        return rule.Situation(len(setup.train), 1, None, 1.0, gflops)
    scores = result.details.get("cross_validation") or result.validation
    sides = setup.examples.short_sides(setup.train)
    enlarged = setup.network.size / float(np.median(sides)) if len(sides) else 1.0
    score, classes = scores[setup.task.score], len(setup.examples.classes)
    return rule.Situation(len(setup.train), classes, score, enlarged, gflops)
