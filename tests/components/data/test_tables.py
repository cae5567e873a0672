"""Files as tables: what is read, and each kind of damage by file and line."""

from pathlib import Path

import pytest

from components.data.tables import read_table
from components.errors import ConfigError, DataError


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_cell_over_two_lines_keeps_the_line_it_starts_at(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b'text,label\n"one\ntwo",x\nthree,y\n')
    table = read_table(path, "csv")
    assert [row["text"] for row in table.rows] == ["one\ntwo", "three"]
    assert table.lines == (2, 4)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_the_one_of_the_header(tmp_path: Path, delimiter: str) -> None:
    path = write(tmp_path / "a.csv", f"text{delimiter}label\nhello{delimiter}x\n".encode())
    assert read_table(path, "csv").rows == ({"text": "hello", "label": "x"},)


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"\xef\xbb\xbftext,label\nhello,x\n")
    assert read_table(path, "csv").columns == ("text", "label")


def test_jsonl_keeps_types_and_unicode_line_separators(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "a\u2028b", "n": 1.5}\n\n{"text": "c", "more": true}\n'.encode())
    table = read_table(path, "jsonl")
    assert table.rows == ({"text": "a\u2028b", "n": 1.5}, {"text": "c", "more": True})
    assert table.columns == ("text", "n", "more")
    assert table.lines == (1, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected rows, found an empty file"),
        (b"text,label\n", "expected rows, found an empty file"),
        (b"text,label\na,b\na,b,c\n", r"expected 2 cells, found 3 \(.*bad.csv:3\)"),
        (b'text,label\na,"b\n', r"expected csv, found a row that is not: .* \(.*bad.csv:2\)"),
        (b"text,text\na,b\n", r"found `text` twice \(.*bad.csv:1\)"),
        (b"text,label\na,b\nc,\xe9\n", r"expected text in utf-8, found byte 0xe9 at position 17 \(.*bad.csv:3\)"),
    ],
)
def test_damaged_csv_is_refused_with_its_place(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(write(tmp_path / "bad.csv", content), "csv")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1}\n{"a": \n', r"expected a JSON object, found Expecting value at column 7 \(.*bad.jsonl:2\)"),
        (b"[1, 2]\n", r"expected a JSON object, found a number \(.*bad.jsonl:1\)"),
        (b"\n\n", "expected rows, found an empty file"),
    ],
)
def test_damaged_jsonl_is_refused_with_its_place(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(write(tmp_path / "bad.jsonl", content), "jsonl")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected a data file, found none at .*none.csv"):
        read_table(tmp_path / "none.csv", "csv")


def test_other_encodings_are_read_and_unknown_ones_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label\ncafé,x\n".encode("cp1252"))
    assert read_table(path, "csv", "cp1252").rows[0]["text"] == "café"
    with pytest.raises(ConfigError, match="encoding must be one that Python knows, found 'utf-9'"):
        read_table(path, "csv", "utf-9")
