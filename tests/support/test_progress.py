import errno
import io
import os
import sys
import time

import pytest

from keras_transfer.support import progress
from keras_transfer.support.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def written_to(monkeypatch):
    """Make a stream standard error, within the test, for pytest has one of its own for each part of it."""

    def write_to(stream):
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return write_to


def test_a_log_file_gets_a_plain_line_a_task(written_to, monkeypatch):
    monkeypatch.setattr(progress, "_WORTH_A_LINE", 0.0)
    log = written_to(io.StringIO())
    shown = Progress()
    with shown.task("Features", 40) as advance:
        advance(16)
        advance(24)
        shown.say("a line")
    with shown.activity("Exporting"):
        pass
    first, second, third = log.getvalue().splitlines()
    assert first == "a line"
    assert second.startswith("Features: 40 images, 0.0 s (")
    assert third == "Exporting, 0.0 s"


def test_a_log_file_is_told_how_far_a_long_task_is(written_to, monkeypatch):
    monkeypatch.setattr(progress, "_TELL_EVERY", 0.0)
    log = written_to(io.StringIO())
    with Progress().task("Choosing the penalty", 2_000, "folds") as advance:
        advance(500)
        advance(1_500)
    assert log.getvalue() == "Choosing the penalty: 500 of 2,000 folds, about 1 min left\n"
    with Progress(quiet=True).task("Features", 2) as advance:
        advance(1)
    assert log.getvalue().count("\n") == 1


def test_one_is_no_plural(written_to, monkeypatch):
    monkeypatch.setattr(progress, "_WORTH_A_LINE", 0.0)
    log = written_to(io.StringIO())
    with Progress().task("Testing", 1) as advance:
        advance(1)
    assert log.getvalue().startswith("Testing: 1 image, ")


def test_what_takes_no_time_is_not_told(written_to):
    log = written_to(io.StringIO())
    with Progress().task("Features", 1) as advance:
        advance(1)
    assert log.getvalue() == ""


def test_a_terminal_gets_a_bar_and_lines_above_it(written_to):
    terminal = written_to(Terminal())
    shown = Progress()
    with shown.task("Fine-tuning", 100) as advance:
        advance(50)
        shown.say("fine-tune epoch 1/2 [red]")
        time.sleep(0.2)
    text = terminal.getvalue()
    assert "Fine-tuning" in text
    assert "fine-tune epoch 1/2 [red]" in text
    assert "50/50 images" in text, "what ended early is shown as ended"


def test_quiet_is_quiet_but_for_warnings(written_to):
    log = written_to(io.StringIO())
    shown = Progress(quiet=True)
    with shown.task("Features", 1) as advance, shown.activity("Exporting"):
        advance(1)
        shown.say("a line")
    assert log.getvalue() == ""
    shown.warn("this changes what the results mean")
    assert log.getvalue() == "Warning: this changes what the results mean\n"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_nothing_is_optional_on_a_full_disk(written_to, code):
    log = written_to(io.StringIO())
    with pytest.raises(OSError, match=os.strerror(code)), Progress().optional("Writing model.keras"):
        raise RuntimeError(f"Unable to write (errno = {code}, error message = '{os.strerror(code)}')")
    assert log.getvalue() == ""
    with Progress().optional("Writing model.keras"):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    assert log.getvalue().endswith("Permission denied): the version appears without it.\n")
