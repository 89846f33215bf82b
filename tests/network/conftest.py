import numpy as np

from keras_transfer.network import weights
from keras_transfer.network.bases import find
from keras_transfer.network.network import build
from keras_transfer.recipe.recipe import Recipe


def network(name, size=64, **options):
    row = find(name)
    source = weights.load(name, "random", max(size, row.least_size), 0)
    return row, build(source.base, row, Recipe(base=name, **options), 3)


def pixels(size, count=2):
    return np.random.default_rng(0).uniform(0, 255, (count, size, size, 3)).astype("float32")
