from pathlib import Path

import numpy as np
import pytest

from keras_transfer.data.examples import REGRESSION, Examples
from keras_transfer.data.targets import demand_learnable
from keras_transfer.support.errors import UserError
from tests.conftest import draw, prepared


def of(values, train=None):
    splits = np.zeros(len(values), "int8")
    splits[train or len(values) :] = 2
    return Examples(
        "t.csv", Path(), ["a"] * len(values), np.asarray(values)[:, None], splits, ("price",), task=REGRESSION
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            1.7e9 + np.arange(1100.0, 1600),
            r"from 1700001100 to 1700001599, too close together .* steps of 128 there",
        ),
        (1e39 * np.arange(1.0, 9), "beyond float32, in which networks compute. Give them in a larger unit"),
        (1e-39 * np.arange(1.0, 9), "too small for float32, in which networks compute. Give them in a smaller unit"),
        (0.5 + 1e-8 * np.arange(1.0, 9), "Subtract a constant from all, such as 0.50000001"),
    ],
)
def test_numbers_that_float32_cannot_tell_apart_are_refused(values, expected):
    with pytest.raises(UserError, match=f"^t.csv: the numbers in column 'price' reach .*{expected}"):
        demand_learnable(of(values))


def test_numbers_to_train_on_that_are_all_equal_are_refused():
    with pytest.raises(UserError, match=r"^t\.csv: all 4 numbers to train on in column 'price' are 2\.5, so"):
        demand_learnable(of([2.5] * 4 + [1.0, 2.0], train=4))


@pytest.mark.parametrize(
    "values", [1.7e9 + 60 * np.arange(1440.0), 1e20 * np.arange(9.0), 1e-30 * np.arange(9.0), [-3, 4.0]]
)
def test_other_numbers_are_learnt(values):
    demand_learnable(of(values))


def test_a_run_refuses_them_before_it_reads_an_image(tmp_path):
    rows = "".join(f"{number}.png,{1700001100 + number}\n" for number in range(30))
    for number in range(30):
        draw((0, 0, 0), number, (8, 8)).save(tmp_path / f"{number}.png")
    (tmp_path / "t.csv").write_text(f"path,target\n{rows}")
    with pytest.raises(UserError, match="too close together"):
        prepared(tmp_path / "t.csv", task="regression")


def test_numbers_are_written_as_they_were_read(tmp_path):
    numbers = ["1406.36", "1700001100.25", "0.1", "3"] * 6
    rows = "".join(f"{index}.png,{number}\n" for index, number in enumerate(numbers))
    for index in range(len(numbers)):
        draw((0, 0, 0), index, (8, 8)).save(tmp_path / f"{index}.png")
    (tmp_path / "t.csv").write_text(f"path,target\n{rows}")
    examples = prepared(tmp_path / "t.csv", task="regression").examples
    assert examples.labels.dtype == "float64"
    assert [examples.label_text(index) for index in range(len(examples))] == numbers
