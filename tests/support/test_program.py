import pytest

from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support import program
from keras_transfer.support.errors import UsageError
from keras_transfer.support.progress import Progress


@pytest.fixture
def in_python(monkeypatch):
    monkeypatch.setattr(program, "_from_command_line", False)


def refusal(**options):
    with pytest.raises(UsageError) as error:
        Recipe(**options)
    return str(error.value)


def test_errors_name_arguments_in_python(in_python):
    assert (
        refusal(pooling="mean")
        == "pooling must be one of 'avg', 'max', 'flatten'. Received: 'mean'. Did you mean 'avg'?"
    )
    assert refusal(head_solver="lbfgs", head_epochs=3).startswith("head_epochs trains the head by gradient")


def test_errors_name_options_on_the_command_line():
    assert refusal(head_epochs=0).startswith("--head-epochs must be")


def test_warnings_name_arguments_in_python(in_python, capsys):
    Progress().warn("imbalance: --class-weights balanced makes both count.")
    assert capsys.readouterr().err == "Warning: imbalance: class_weights balanced makes both count.\n"


@pytest.mark.parametrize("text", ["`check DATA --convert FOLDER` does", "a -- b", "x--y", "---"])
def test_commands_and_dashes_stay(text, in_python):
    assert program.worded(text) == text
