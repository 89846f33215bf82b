import shlex
import subprocess
import sys
import time

import click
import pytest

from keras_transfer import commands
from tests.command_line import run
from tests.conftest import REPOSITORY


def test_help_answers_in_under_half_a_second():
    times = []
    for _ in range(3):
        begun = time.monotonic()
        done = subprocess.run([sys.executable, "cli.py", "--help"], cwd=REPOSITORY, capture_output=True, text=True)
        times.append(time.monotonic() - begun)
        assert done.returncode == 0
        assert "fit" in done.stdout
    assert min(times) < 0.5


def test_help_imports_nothing_that_takes_long():
    heavy = ("numpy", "scipy", "sklearn", "PIL", "tensorflow", "keras", "openvino")
    script = (
        f"import sys; from keras_transfer import commands; print(*[name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("", 0)


def test_no_command_shows_the_start_page(capsys):
    code, out, err = run(capsys=capsys)
    assert (code, err) == (0, "")
    for line in ("fit photos/", "evaluate saved_models/photos-mobilenetv2", "--help"):
        assert f"keras-transfer {line}" in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "name"), [(["cli.py"], "python cli.py"), (["-m", "keras_transfer"], "python -m keras_transfer")]
)
def test_program_is_called_as_it_was_started(arguments, name):
    words = (
        (["fit", "--help"], f"Usage: {name} fit"),
        (["fit", "--help"], f"Example: {name} fit"),
        ([], f"  {name} fit"),
    )
    for rest, expected in words:
        done = subprocess.run([sys.executable, *arguments, *rest], cwd=REPOSITORY, capture_output=True, text=True)
        assert expected in done.stdout, done.stderr


def test_help_says_what_commands_do_in_whole_sentences(capsys):
    out = run("--help", capsys=capsys)[1]
    assert "..." not in out.partition("Commands:")[2]
    assert "and what interrupted runs left; KERAS_TRANSFER_CACHE moves their folder." in " ".join(out.split())


def test_check_has_no_base_by_default(capsys):
    text = run("check", "--help", capsys=capsys)[1].partition("\n  --base")[2].partition("--weights")[0]
    assert "labels" in text
    assert "default" not in text


def test_help_of_fit_is_in_sections(capsys):
    out = run("fit", "--help", capsys=capsys)[1]
    blocks = {block.split(":\n")[0]: block for block in out.split("\n\n") if ":\n  -" in block}
    assert list(blocks) == ["Data", "Network", "Head", "Fine-tuning", "Speed and storage", "Output"]
    assert all("Example: keras-transfer fit" in block for block in blocks.values())
    assert "--head-epochs INTEGER|auto" in blocks["Head"]
    assert "--pooling avg|max|flatten" in blocks["Network"]
    assert "--resume" in blocks["Speed and storage"]
    assert "--json" in blocks["Output"]


@pytest.mark.parametrize("name", sorted(commands.cli.commands))
def test_every_command_has_help_with_an_example_that_parses(name):
    command = commands.cli.commands[name]
    assert command.help
    assert command.help.endswith(".")
    for text in (command.example, *command.section_examples.values()):
        first, *words = shlex.split(text)
        assert first == name
        # As under the group: click keeps the first help option that a command is asked for.
        command.make_context(name, words, parent=click.Context(commands.cli, **commands.cli.context_settings))
    for option in command.params:
        assert option.param_type_name == "argument" or option.help, f"{name}: {option.name} has no help"
