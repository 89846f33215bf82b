import pytest

from keras_transfer.data import sources
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UsageError, UserError


def load(file, content, **options):
    file.write_bytes(content)
    return sources.load(str(file), Recipe(data=str(file), **options))


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("cp1251", "роза"),
        ("cp1250", "růže"),
        ("cp1252", "rosé"),
        ("gbk", "玫瑰"),
        ("shift_jis", "バラ"),
        ("mac_roman", "rosé"),
    ],
)
def test_text_that_is_not_utf8_is_read_only_in_a_named_encoding(tmp_path, encoding, name):
    content = f"path;label\na.jpg;{name}\nb.jpg;tulip\n".encode(encoding)
    with pytest.raises(UserError, match=r"t\.csv, line 2: byte 0x.. is not UTF-8\. .*--encoding"):
        load(tmp_path / "t.csv", content)
    assert name in load(tmp_path / "t.csv", content, encoding=encoding).classes
    with pytest.raises(UsageError, match="--encoding: there is no encoding 'cp99'"):
        load(tmp_path / "t.csv", content, encoding="cp99")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_the_mark_of_a_file_says_more_than_the_option(tmp_path, encoding):
    content = "path,label\na.jpg,rosé\nb.jpg,tulip\n".encode(encoding)
    assert load(tmp_path / "t.csv", content, encoding="cp1252").classes == ("rosé", "tulip")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_its_mark_is_named(tmp_path, encoding):
    content = "path,label\na.jpg,rosé\nb.jpg,tulip\n".encode(encoding)
    with pytest.raises(UserError, match=f"UTF-16 without its mark.*--encoding {encoding}"):
        load(tmp_path / "t.csv", content)
    assert load(tmp_path / "t.csv", content, encoding=encoding).classes == ("rosé", "tulip")


@pytest.mark.parametrize("start", [b"PK\x03\x04\x14\0", b"\xd0\xcf\x11\xe0\xa1\xb1"])
def test_a_workbook_called_csv_is_named(tmp_path, start):
    with pytest.raises(UserError, match=r"t\.csv is a spreadsheet's own file .* Save it as CSV"):
        load(tmp_path / "t.csv", start + bytes(20))


def test_rows_of_empty_cells_are_passed_over(tmp_path):
    text = "path;label\r\na.jpg;x\r\n;\r\nb.jpg;y\r\nc.jpg;\r\n;\r\n;\r\n"
    with pytest.raises(UserError, match=r"t\.csv, row 5: the label is empty"):
        load(tmp_path / "t.csv", text.encode())
    assert len(load(tmp_path / "t.csv", text.replace("c.jpg", "").encode())) == 2


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_rows_end_where_lines_of_csv_do(tmp_path, end):
    rows = ["path,label,note", 'a.jpg,x,"seen in May,\nby\u2028the wall"', "b.jpg,y,\u0085\u000b"]
    examples = load(tmp_path / "t.csv", end.join(rows).encode())
    assert [examples.short(path) for path in examples.paths] == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("sign", ["\u2028", "\u0085", "\u000b", "\n"])
def test_a_label_with_a_line_break_is_refused_by_name(tmp_path, sign):
    with pytest.raises(UserError, match=r"the name of class 'ro\\.*se' holds a line break"):
        load(tmp_path / "t.csv", f'path,label\na.jpg,"ro{sign}se"\nb.jpg,rose\n'.encode())


@pytest.mark.parametrize("head", ["sep=;\npath;label", "path|label", 'path;label;"a, b; c, d"'])
def test_delimiters(tmp_path, head):
    sign = "|" if "|" in head else ";"
    more = f"{sign}x" if "a, b" in head else ""
    text = "\n".join([head, *(f"{name}.jpg{sign}{name}{more}" for name in "ab")])
    assert load(tmp_path / "t.csv", text.encode()).classes == ("a", "b")


def test_blanks_before_quotes_are_no_part_of_a_cell(tmp_path):
    examples = load(tmp_path / "t.csv", b'"path", "label"\na.jpg, "cat, black"\nb.jpg, "dog"\n')
    assert examples.classes == ("cat, black", "dog")
