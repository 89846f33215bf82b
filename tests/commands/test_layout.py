import pytest

from keras_transfer.commands import layout


def test_lines_break_at_blanks_only():
    path = "saved_models/a-very-long-name/" * 4
    lines = layout.wrapped(f"weights {path}, 224 px and more words that follow " * 2, 80).splitlines()
    assert path + "," in {word for line in lines for word in line.split()}
    assert all(len(line) <= 80 for line in lines if path not in line)


def test_long_cells_lose_their_middle():
    rows = [("path", "label", "confidence"), ("/home/somebody/photos/" + "deep/" * 20 + "rose.jpg", "rose", "0.982")]
    line = layout.aligned(rows, 80, (0,))[1]
    assert len(line) <= 80
    assert line.startswith("/home/")
    assert "rose.jpg" in line
    assert line.endswith("0.982")
    assert rows[1][0] in layout.aligned(rows)[1]


@pytest.mark.parametrize("columns", ["40", "60", "100"])
def test_width_is_that_of_the_terminal_but_not_under_60(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    assert layout.width() == max(int(columns), 60)


def test_nothing_is_shortened_in_a_pipe(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert layout.width() == layout.UNLIMITED
