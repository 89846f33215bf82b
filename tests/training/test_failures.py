import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.data import pipeline
from keras_transfer.support.errors import Interruption
from keras_transfer.training import failures
from tests.conftest import once

_PROGRAM = """
import time
import keras, numpy as np, tensorflow as tf
from keras_transfer.data import pipeline
from keras_transfer.training import failures

def read(view, rows):
    if view is None or calls["{where}"] > 5:
        time.sleep(0.2)
        raise {error}
    calls["train"] += len(rows) == 4
    calls["validation"] += len(rows) == 8
    return [np.ones((len(rows), 4), "float32")]

calls = {{"train": 0, "validation": 0}}
targets = np.eye(3, dtype="float32")[np.arange(80) % 3]
signature = [tf.TensorSpec((None, 4), "float32")]
train = pipeline.stored(read, signature, [[targets]], pipeline.Shuffled(80, 4, 1, 0))
validation = pipeline.stored(read, signature, [[targets]], pipeline.Sequential(80, 8))
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
model.compile("adam", "mse")
with failures.reported(model):
    model.fit(train, epochs=3, steps_per_epoch=20, validation_data=validation, verbose=0, shuffle=False)
"""


SHRUNK = "OSError('shard 7 has shrunk.')"


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("train", SHRUNK),
        ("validation", "KeyboardInterrupt"),
        *once(("train", "KeyboardInterrupt"), ("validation", SHRUNK)),
    ],
)
def test_an_error_in_a_pipeline_ends_the_process_with_its_message(where, error):
    """Without the guard, the interpreter waits for a thread that waits for the interpreter."""
    program = _PROGRAM.format(where=where, error=error)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert ended.returncode != 0
    if error.startswith("OSError"):
        assert ended.stderr.splitlines()[-1].endswith("Interruption: Training stopped: shard 7 has shrunk.")


def test_the_cause_is_one_line_of_tensorflows_many():
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        tf.matmul(tf.ones((2, 3)), tf.ones((2, 3)))
    assert "\n" not in failures.cause(caught.value)
    assert "Matrix size-incompatible" in failures.cause(caught.value)


def test_what_tf_data_puts_before_the_cause_is_left_out():
    data = tf.data.Dataset.from_tensor_slices(["none.jpg"]).map(tf.io.read_file)
    with pytest.raises(tf.errors.NotFoundError) as caught:
        next(iter(data))
    assert failures.cause(caught.value) == "none.jpg; No such file or directory"


def test_other_errors_pass():
    with pytest.raises(ZeroDivisionError), failures.reported(keras.Sequential()):
        1 / 0  # noqa: B018


def test_a_failed_fit_can_be_tried_again():
    def read(view, rows):
        if broken:
            raise OSError("gone")
        return [np.ones((len(rows), 4), "float32")]

    targets = np.eye(3, dtype="float32")[np.arange(8) % 3]
    signature = [tf.TensorSpec((None, 4), "float32")]
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile("adam", "mse")
    for broken in (True, False):
        batches = pipeline.stored(read, signature, [[targets]], pipeline.Shuffled(8, 4, 1, 0))
        held = pipeline.stored(read, signature, [[targets]], pipeline.Sequential(8, 4))
        if broken:
            with pytest.raises(Interruption, match="gone"), failures.reported(model):
                model.fit(batches, steps_per_epoch=2, validation_data=held, verbose=0, shuffle=False)
        else:
            model.fit(batches, steps_per_epoch=2, validation_data=held, verbose=0, shuffle=False)
