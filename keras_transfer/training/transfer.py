"""From examples to a trained network: base, weights, head and the phases of a method, in the machine's precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np

from keras_transfer.compute import device
from keras_transfer.data.examples import SPLITS, Examples
from keras_transfer.data.inspection import sizes
from keras_transfer.network import network as networks
from keras_transfer.network import weights
from keras_transfer.network.bases import Base, RegisteredBase
from keras_transfer.network.weights import PretrainedBase
from keras_transfer.recipe import rule
from keras_transfer.recipe.options import AUTO, INTERPOLATIONS
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.paths import cache_folder
from keras_transfer.support.progress import Progress, Stopwatch
from keras_transfer.tasks import task_of
from keras_transfer.training import methods
from keras_transfer.training.setup import Setup
from keras_transfer.training.state import Record, TrainingState, folder_of
from keras_transfer.training.teacher import Teacher
from keras_transfer.training.trainer import Trainer

_ANEW = (
    "Nothing to go on from: no interrupted run has these options, images, labels and releases. Training begins from "
    "the start."
)


def train(
    recipe: Recipe,
    pretrained: PretrainedBase,
    examples: Examples,
    progress: Progress,
    timer: Stopwatch,
    resume: bool | None = None,
    teacher: Teacher | None = None,
    earlier_work: Record | None = None,
) -> Trainer:
    """Build the network of a recipe and run its method's phases.

    Args:
        recipe: Complete, but for what the method chooses while it trains.
        pretrained: The recipe's base, which is trained on.
        examples: With splits and digests.
        progress: Is told of everything.
        timer: Is told the seconds of each part.
        resume: Keep the state of training, and go on from what an interrupted run left (True); keep it only when a
            signal stops training, and not where minutes are counted (False); or never (None).
        teacher: Of the recipe.
        earlier_work: As in `Trainer`.

    Returns:
        What trained; its network, in float32, is ready to be served.
    """
    task = task_of(examples)
    plan = device.plan(recipe, task.needs_float32)
    xla = "" if plan.xla_from is None else ", XLA" + f" for {plan.xla_from:,} steps and more" * (plan.xla_from > 0)
    progress.say(f"Computing on the {plan.device.upper()}, engine {plan.engine}, {plan.precision}{xla}.")
    with built_in_float32():
        with timer.time("build"):
            network = networks.build(pretrained.base, pretrained.spec, recipe, len(examples.classes), task.output())
            setup = Setup(recipe, pretrained, network, examples, task, plan, progress, teacher)
            state = None
            if resume is not None and recipe.minutes == "none":
                # Not the temporary one, of which nothing is left after a stop.
                folder = folder_of(setup, cache_folder())
                state = TrainingState(folder, recipe.checkpoint_every, progress, always=resume)
        if state and state.always and not state.resumes and earlier_work is None:
            progress.say(_ANEW)
        trainer = Trainer(setup, timer, state, earlier_work)
        with trainer.kept_when_stopped():
            methods.run(trainer)
    return trainer


def with_pixels(recipe: Recipe, listed: Examples, progress: Progress) -> Recipe:
    """Return the recipe with how pictures become pixels: its input size, the base's own, unless it says otherwise, or
    pictures are small, and the interpolation of small ones.

    Args:
        recipe: May have both.
        listed: The images, of which a few are looked at.
        progress: Is told what is otherwise because pictures are small.
    """
    spec = weights.spec_of(recipe.base)
    if spec is None or isinstance(spec, RegisteredBase):
        # A base of one's own may take no other size.
        native, least = (spec.size, spec.size) if spec else (weights.native_size(recipe.base), 1)
        recipe = recipe.replace(size=rule.input_size(recipe, native, least))
        return recipe.replace(enlarge=rule.interpolation(recipe, "", None, 0))
    usual = rule.input_size(recipe, spec.size, spec.least_size)
    side = sizes.median_short_side(listed) if AUTO in (recipe.size, recipe.enlarge) else None
    sized = recipe.replace(size=rule.input_size(recipe, spec.size, spec.least_size, side, spec.name))
    complete = sized.replace(enlarge=rule.interpolation(sized, spec.name, side, _a_class(recipe, listed)))
    smaller = complete.size != usual
    cubic = complete.enlarge != INTERPOLATIONS[0] and recipe.enlarge == AUTO
    if side is None or not (smaller or cubic):
        return complete
    progress.say(_enlarged(complete, spec, side, smaller, cubic))
    return complete


def _enlarged(recipe: Recipe, spec: Base, side: float, smaller: bool, cubic: bool) -> str:
    """Return what to say of small pictures, and how to have it otherwise.

    Args:
        recipe: With its size.
        spec: Of its base.
        side: Short side of the median picture, px.
        smaller: The size is smaller than the base's own.
        cubic: Pictures are enlarged by cubic interpolation.
    """
    what, otherwise = f"Pictures of about {side:.0f} px are enlarged to {recipe.size} px", []
    if cubic:
        what += " by cubic interpolation"
    if smaller:
        what += f", not to the {spec.size} px of {spec.name}, at which they are told apart worse"
        otherwise.append(f"--size {spec.size}")
    if cubic:
        otherwise.append(f"--enlarge {INTERPOLATIONS[0]}")
    return f"{what}; {' and '.join(otherwise)} would do otherwise."


def _a_class(recipe: Recipe, listed: Examples) -> float:
    """Return how many images of each class there will be to train and to validate on, about."""
    given = np.count_nonzero(listed.splits == SPLITS.index("test"))
    kept_apart = given or len(listed) * recipe.shares[2] / 100
    return (len(listed) - kept_apart) / max(len(listed.classes), 1)


def load_base(recipe: Recipe, progress: Progress) -> PretrainedBase:
    """Load the base of a recipe that has its size, in float32; without ImageNet's weights, the built-in sample goes on
    with random ones.

    Raises:
        UserError: as `keras_transfer.network.weights.load`.
    """
    size = int(recipe.size)
    with built_in_float32():
        try:
            return weights.load(recipe.base, recipe.weights, size, recipe.seed, progress)
        except weights.ImageNetUnavailable as error:
            if recipe.data != "digits":
                raise
            progress.warn(
                f"{error}\nWarning: THE BUILT-IN SAMPLE RUNS ON WITH RANDOM WEIGHTS: it shows that everything works, "
                "not what transfer gains."
            )
            return weights.load(recipe.base, "random", size, recipe.seed)


@contextmanager
def built_in_float32() -> Iterator[None]:
    """Build layers in float32, whatever Keras's own dtype policy is: a plan's precision is set when they compute."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
