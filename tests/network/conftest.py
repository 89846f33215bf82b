import functools

import numpy as np

from keras_transfer.network import weights
from keras_transfer.network.bases import find
from keras_transfer.network.network import build
from keras_transfer.recipe.recipe import Recipe


@functools.cache
def base(name, size):
    return weights.load(name, "random", size, 0).base


def network(name, size=64, **options):
    """The spec of a base, and a network on it. Networks of one base and size share it: a test that trains wants a base
    that no other takes.
    """
    spec = find(name)
    return spec, build(base(name, max(size, spec.least_size)), spec, Recipe(base=name, **options), 3)


def pixels(size, count=2):
    return np.random.default_rng(0).uniform(0, 255, (count, size, size, 3)).astype("float32")
