import threading
import time

import numpy as np
import tensorflow as tf

from keras_transfer.data.decoding import memory


def test_large_pictures_are_decoded_one_at_a_time_and_small_ones_together():
    lock, running, most = threading.Lock(), 0, 0

    def work(number):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1
        if number % 3 == 0:
            raise ValueError("cannot be decoded")
        return number

    def most_at_once(large):
        nonlocal most
        most = 0

        def one(number):
            result = memory.in_turn(large, lambda: tf.numpy_function(work, [number], tf.int64))
            return tf.ensure_shape(result, ())

        dataset = tf.data.Dataset.range(12).map(one, num_parallel_calls=4).ignore_errors()
        assert sorted(dataset.as_numpy_iterator()) == [1, 2, 4, 5, 7, 8, 10, 11]
        return most

    assert most_at_once(tf.constant(True)) == 1
    assert most_at_once(tf.constant(False)) > 1


def test_composing_in_bands_gives_the_same_picture():
    image = np.random.default_rng(0).integers(0, 256, (33, 47, 4)).astype("uint8")
    share = image[..., 3:] / np.float32(255)
    expected = np.round(image[..., :3].astype("float32") * share + 255 * (1 - share)).astype("uint8")
    np.testing.assert_array_equal(memory.on_white(tf.constant(image)), expected)
    band, memory._BAND = memory._BAND, 200
    try:
        np.testing.assert_array_equal(memory.on_white(tf.constant(image)), expected)
    finally:
        memory._BAND = band
