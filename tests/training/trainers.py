"""Trainers of small networks, for the tests of training."""

import numpy as np

from keras_transfer.compute import device
from keras_transfer.data import sources, splits
from keras_transfer.data.inspection import inspector
from keras_transfer.network import network as model
from keras_transfer.network import weights
from keras_transfer.recipe import rule
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.progress import Progress, Stopwatch
from keras_transfer.tasks import task_of
from keras_transfer.training import methods
from keras_transfer.training.phase import GradientDescent, Phase
from keras_transfer.training.setup import Setup
from keras_transfer.training.trainer import Trainer
from keras_transfer.versions import teachers

QUIET = Progress(quiet=True)


def trainer(photos, progress=QUIET, state=None, **options):
    given = {"seed": 0, "refit": "off", "precision": "float32", "views": 1}
    if "method" not in options:
        given["thaw"] = "middle_conv"
    if not options["base"].endswith(".keras"):
        given["weights"] = "random"
    # Gentle and short, as most tests want it.
    given |= {"fine_tune_epochs": 3, "fine_tune_lr": 1e-4, "label_smoothing": 0.0}
    recipe, teacher = teachers.resolved(Recipe(data=str(photos), **given | options))
    examples, _ = inspector.inspect(sources.load(recipe.data), recipe.max_pixels, QUIET)
    examples = splits.assign(examples, recipe.shares, recipe.seed)
    recipe = rule.complete(recipe, len(examples.indices("train")))
    pretrained = weights.load(recipe.base, recipe.weights, int(recipe.size), recipe.seed)
    task = task_of(examples)
    network = model.build(pretrained.base, pretrained.spec, recipe, len(examples.classes), task.output())
    setup = Setup(recipe, pretrained, network, examples, task, device.plan(recipe), progress, teacher)
    return Trainer(setup, Stopwatch(), state)


class Elapsed(Stopwatch):
    """A watch by which a run has taken so many seconds, whenever it is asked."""

    def __init__(self, seconds):
        super().__init__()
        self._elapsed = seconds

    def total(self):
        return self._elapsed


def run(one):
    methods.run(one)
    return one.results


def fine_tune(one, **options):
    """Phase 2 alone, from the weights as they are."""
    recipe = one.recipe
    by = GradientDescent(int(recipe.fine_tune_epochs), float(recipe.fine_tune_lr))
    return one.run(Phase("fine-tune", recipe.thaw, by, recipe.views, **options))


def served_loss(one):
    """The validation loss of the network as it is served: float32, from decoded pixels."""
    held = one.setup.examples.at(one.setup.validation)
    probabilities = np.asarray(one.setup.network.classifier()(decoded(held, one.feed("head"))))
    return -np.log(probabilities[np.arange(len(held)), held.labels]).mean()


def decoded(examples, feed):
    """The pixels of images, decoded one by one."""
    return np.stack([feed.extractor.decoder.pixels(examples.contents.read(path)) for path in examples.paths])


TUNED = {"size": 24, "fine_tune_epochs": 4, "fine_tune_lr": 1e-3, "batch_size": 8, "patience": "none", "seed": 1}
