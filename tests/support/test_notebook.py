import sys
import time
from types import ModuleType

import pytest

from keras_transfer.support import notebook, progress
from keras_transfer.support.progress import Progress


class Page:
    """Outputs of a cell, as a notebook shows them."""

    def __init__(self):
        self.outputs, self.states = [], []

    def display(self, content, raw, display_id):
        page, place = self, len(self.outputs)
        self.outputs.append("")

        class Handle:
            def update(self, content, raw):
                page.outputs[place] = content["text/plain"]
                page.states.append(content["text/plain"])

        handle = Handle()
        handle.update(content, raw)
        return handle


@pytest.fixture
def page(monkeypatch):
    page, module = Page(), ModuleType("IPython.display")
    module.display = page.display
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setattr(notebook, "in_notebook", lambda: True)
    monkeypatch.setattr(notebook, "_FIRST_AFTER", 0.02)
    monkeypatch.setattr(notebook, "_EVERY", 0.02)
    monkeypatch.setattr(progress, "_WORTH_A_LINE", 0.0)
    return page


def seen(page, text):
    """Wait until the page shows a text."""
    until = time.monotonic() + 10
    while not any(text in state for state in page.states):
        assert time.monotonic() < until, f"{text!r} is not in {page.states}"
        time.sleep(0.01)


def test_a_task_has_one_output_with_lines_above_a_bar_that_is_gone_in_the_end(page, capsys):
    shown = Progress()
    with shown.task("Fine-tuning", 100) as advance:
        shown.say("before anything is shown")
        advance(40)
        seen(page, " 40/100 images ")
        shown.say("fine-tune 1/2")
        seen(page, "fine-tune 1/2\nFine-tuning ")
        advance(60)
    (output,) = page.outputs
    line, ended = output.split("\n")
    assert line == "fine-tune 1/2"
    assert ended.startswith("Fine-tuning: 100 images, ")
    assert not [state for state in page.states if "\x1b" in state]
    out, err = capsys.readouterr()
    assert (out, err) == ("before anything is shown\n", "")


def test_what_has_no_units_shows_its_seconds(page):
    with Progress().activity("Exporting"):
        seen(page, "Exporting ")
        seen(page, "0:00:00")
    assert page.outputs[0].startswith("Exporting, ")


def test_what_fails_goes_on_saying_how_far_it_came(page):
    def broken_off():
        with Progress().task("Features", 10) as advance:
            advance(3)
            seen(page, " 3/10 images ")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        broken_off()
    assert " 3/10 images " in page.outputs[0]


def test_what_takes_no_time_is_not_shown(page, monkeypatch, capsys):
    monkeypatch.setattr(notebook, "_FIRST_AFTER", 60.0)
    monkeypatch.setattr(progress, "_WORTH_A_LINE", 60.0)
    with Progress().task("Features", 1) as advance:
        advance(1)
    assert page.outputs == []
    assert capsys.readouterr().out == ""


def test_long_lines_are_broken_at_blanks_and_quiet_is_quiet(page, capsys):
    Progress().say("word " * 30)
    Progress(quiet=True).say("nothing")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(len(line) <= notebook.COLUMNS and line.startswith("word ") for line in lines)
