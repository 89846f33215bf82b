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
    """The row of a base, and a network on it. Networks of one base and size share it: a test that trains wants a base
    that no other takes.
    """
    row = find(name)
    return row, build(base(name, max(size, row.least_size)), row, Recipe(base=name, **options), 3)


def pixels(size, count=2):
    return np.random.default_rng(0).uniform(0, 255, (count, size, size, 3)).astype("float32")
