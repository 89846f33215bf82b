import numpy as np
import tensorflow as tf

from keras_transfer.data import augment


def pictures():
    return np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3)).astype("uint8")


def run(seed, flip=True):
    layers = augment.augmenter(seed, flip)
    batches = tf.data.Dataset.from_tensor_slices(pictures()).batch(3)
    return np.concatenate(list(batches.map(lambda x: augment.change(layers, x)).as_numpy_iterator()))


def test_pictures_change_and_stay_pictures():
    changed = run(0)
    assert (changed.dtype, changed.shape) == (np.uint8, (6, 32, 32, 3))
    assert all((one != other).any() for one, other in zip(changed, pictures(), strict=True))


def test_a_seed_gives_the_same_again():
    np.testing.assert_array_equal(run(3), run(3))
    assert (run(3) != run(4)).any()


def test_digits_are_not_mirrored():
    names = [type(layer).__name__ for layer in augment.augmenter(0, flip=False).layers]
    assert "RandomFlip" not in names
    assert "RandomFlip" in [type(layer).__name__ for layer in augment.augmenter(0, flip=True).layers]
