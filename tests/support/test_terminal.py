import io

import pytest

from keras_transfer.commands import layout
from keras_transfer.support.progress import Progress
from keras_transfer.support.terminal import message, printable


@pytest.mark.parametrize("text", ["\x1b[31mred", "a\rb", "a\u202eb", "a\u2028b", "a\x9bb"])
def test_what_moves_the_cursor_or_turns_lines_round_is_not_shown(text):
    assert "?" in printable(text)
    assert len(printable(text)) == len(text)


@pytest.mark.parametrize("text", ["Löwe", "写真", "a\u0301", "\u05d0\u05d1", "naïve, “quoted”"])
def test_names_in_any_script_are_shown_as_they_are(text):
    assert printable(text) == text


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_message_breaks_at_blanks_on_a_terminal_and_nowhere_in_a_log(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = "MODEL_URL must be http://HOST:PORT/v1/models/NAME or grpc://HOST:PORT/NAME. Received: 'x'.\nsecond"
    lines = message(text, Terminal()).split("\n")
    assert " ".join(lines) == text.replace("\n", " ")
    assert [len(line) <= 80 for line in lines] == [True] * 3
    assert message(text, io.StringIO()) == text


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_message_breaks_within_no_quotes(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    long = f"'{'far away/' * 10}a b.jpg'"
    command = "`fit --base mobilenetv2 --size 192 --views 4 --seed 1`"
    text = f"2 images are left out: {long} cannot be read; the model's 'x y z' is not the users' own. Run {command}."
    lines = message(text, Terminal()).split("\n")
    assert " ".join(lines) == text
    for unbroken in (long, "'x y z'", command):
        assert any(unbroken in line for line in lines)
    assert all(len(line) <= columns for line in lines if long not in line)


def test_lines_and_warnings_show_no_escape_codes_of_class_names(capsys):
    Progress().say("2 classes: \x1b[2Jcat, dog.")
    Progress().warn("first\nsecond \x1b[2J")
    assert capsys.readouterr().err == "2 classes: ?[2Jcat, dog.\nWarning: first\nsecond ?[2J\n"
    assert layout.wrapped("Fewer than 5 training images of \x1b[2Jcat: add some.", 80).startswith("Fewer than 5")
    assert "\x1b" not in layout.wrapped("\x1b[2Jcat", 80)
