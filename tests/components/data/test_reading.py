"""Formats beyond the reported files: each kind of file gives its rows, or one sentence."""

import csv
import datetime
import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from components.data.columns import cell, schema_of
from components.data.datasets import read_datasets
from components.data.init import Reading, read_input
from components.data.reading.folders import Options, read_source
from components.data.tables import read_table
from components.errors import DataError, GradusError
from components.params import Columns
from components.params.workload import HuggingFaceSource
from components.registry.translation import translated
from tests.components.data import clients
from tests.components.data.conftest import sentence

LABELS = ("refund", "delivery", "other")
N = 30
ROWS = [{"text": sentence(n), "label": LABELS[n % 3]} for n in range(N)]
PAIRS = [(row["text"], json.dumps({"label": row["label"]})) for row in ROWS]


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def jsonl(rows: list[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def understood(path: Path, **options: Any) -> tuple[list[str], list[str], str, int]:
    """Inputs, fields, kind of answer and number of rows."""
    reading = read(path, **options)
    rows = sum(len(table.rows) for table in reading.source.parts.values())
    return list(reading.meaning.inputs), list(reading.meaning.output), reading.meaning.kind, rows


def read(path: Path, **options: Any) -> Reading:
    return read_input(path, Options(translate=translated, **options))


def usual(path: Path) -> bool:
    return understood(path) == (["text"], ["label"], "object", N)


@pytest.mark.parametrize("delimiter", ["\t", "|", ";", "^", "\x1f"])
def test_every_delimiter_is_recognised(tmp_path: Path, delimiter: str) -> None:
    rows = [f"{row['text'].replace(',', ' ')}{delimiter}{row['label']}" for row in ROWS]
    assert usual(write(tmp_path / "a.csv", "\n".join([f"text{delimiter}label", *rows])))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_every_unicode_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    text = "text,label\n" + "".join(f'"{row["text"]} für €",{row["label"]}\n' for row in ROWS)
    path = write(tmp_path / "a.csv", text.encode(encoding))
    assert usual(path)
    assert read(path).source.parts["all"].rows[0]["text"].endswith("für €")


@pytest.mark.parametrize(
    ("encoding", "word"),
    [("cp1252", "schön für „müde“ Käufer"), ("cp1251", "где моя посылка"), ("cp932", "荷物はどこですか")],
)
def test_legacy_encodings_are_detected_and_reported(tmp_path: Path, encoding: str, word: str) -> None:
    text = "text,label\n" + "".join(f'"{row["text"]} {word}",{row["label"]}\n' for row in ROWS)
    reading = read(write(tmp_path / "a.csv", text.encode(encoding)))
    assert reading.source.parts["all"].rows[0]["text"].endswith(word)
    assert f"read as {encoding}" in reading.source.notes[0]


UNMARKED = ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
FOREIGN = [
    "мой заказ не пришёл вовремя",
    "まだ届いていません、確認してください",
    "一我的订单还没有到上海",
    "ההזמנה שלי לא הגיעה",
]


@pytest.mark.parametrize("encoding", UNMARKED)
@pytest.mark.parametrize("words", FOREIGN)
def test_utf_16_and_32_without_a_mark_are_read_in_any_script(tmp_path: Path, encoding: str, words: str) -> None:
    text = "text,label\n" + "".join(f"{words} {n},{row['label']}\n" for n, row in enumerate(ROWS))
    source = read_source(write(tmp_path / "a.csv", text.encode(encoding)))
    rows = source.parts["all"].rows
    assert [row["text"] for row in rows] == [f"{words} {n}" for n in range(N)]
    assert f"read as {encoding}" in source.notes[0]


def test_few_nuls_are_characters_and_many_make_a_file_binary(tmp_path: Path) -> None:
    few = "text,label\n" + "".join(f'"{row["text"]} and a N\0L, as ever",{row["label"]}\n' for row in ROWS)
    assert usual(write(tmp_path / "few.csv", few))
    many = "text,label\n" + "".join(f"\0\0{row['label']}\0\0,{row['label']}\n" for row in ROWS)
    old = "text,note,label\n" + "".join(
        f"Gr\xfc\xdfe aus Bad Nauheim sagt {n},{'' if n % 2 else chr(0)},{n % 3}\n" for n in range(N)
    )
    rows = read(write(tmp_path / "old.csv", old.encode("cp1252"))).source.parts["all"].rows
    assert (len(rows), rows[0]["text"], rows[0]["note"]) == (N, "Grüße aus Bad Nauheim sagt 0", "\0")  # not UTF-16
    with pytest.raises(DataError, match=r"text in utf-8, found NUL in 120 of \d+ characters: it is binary, or text in"):
        read(write(tmp_path / "many.csv", many))


@pytest.mark.parametrize(
    ("encoding", "sentences"),
    [
        ("cp1255", ["שלום, ההזמנה שלי עדיין לא הגיעה", "אני רוצה החזר כספי, איפה החבילה שלי"]),
        ("cp1256", ["طلبي رقم لم يصل بعد", "أريد استرداد أموالي، أين الطرد الخاص بي"]),
        ("cp874", ["สินค้าของฉันยังไม่มาถึง กรุณาตรวจสอบคำสั่งซื้อ", "ฉันต้องการเงินคืน พัสดุของฉันอยู่ที่ไหน"]),
        ("euc_jp", ["先日購入したメーカーが壊れて届きました", "注文番号がわからないのですが、いつ届きますか"]),
        ("cp932", ["電話届しますいて新しい書新しい支払", "連絡連絡お願いお願い届連絡遅れ支払返品"]),
        ("cp866", ["Здравствуйте, мой заказ не пришёл вовремя", "помогите вернуть деньги за товар"]),
        ("cp1251", ["Здравейте, поръчката ми не е пристигнала", "моля, върнете парите, къде е моят колет"]),
        ("cp1253", ["Η παραγγελία μου δεν έφτασε ακόμα", "Πού είναι το δέμα μου; Θέλω τα χρήματά μου"]),
        ("koi8_r", ["мой заказ не пришёл вовремя", "помогите вернуть деньги за товар"]),
        ("cp1252", ["je vais à Paris à pied, ça va être très bien", "où est déjà mon colis, à côté"]),
    ],
)
def test_scripts_are_told_apart_by_their_frequent_letters(tmp_path: Path, encoding: str, sentences: list[str]) -> None:
    rows = [f'"{sentences[n % 2]} {n}",{row["label"]}\n' for n, row in enumerate(ROWS)]
    source = read_source(write(tmp_path / "a.csv", ("text,label\n" + "".join(rows)).encode(encoding)))
    assert source.parts["all"].rows[1]["text"] == f"{sentences[1]} 1"


def test_damaged_utf_8_is_refused_and_not_guessed(tmp_path: Path) -> None:
    text = "text,label\n" + "".join(f'"{row["text"]} für €",{row["label"]}\n' for row in ROWS)
    damaged = text.encode().replace("für".encode(), b"f\xfcr", 1)
    with pytest.raises(DataError, match=r"expected text in utf-8, found byte 0xfc at position \d+ \(.*a.csv:2\)"):
        read(write(tmp_path / "a.csv", damaged))


def test_old_line_ends_escaped_and_single_quotes_and_empty_lines_are_read(tmp_path: Path) -> None:
    lines = [f'"{row["text"]}",{row["label"]}' for row in ROWS]
    assert usual(write(tmp_path / "mac.csv", "\r".join(["text,label", *lines])))
    assert usual(write(tmp_path / "empty.csv", "\n\n".join(["text,label", *lines]) + "\n\n\n"))
    escaped = [f'"say \\"hi\\", {row["text"]}",{row["label"]}' for row in ROWS]
    path = write(tmp_path / "escaped.csv", "\n".join(["text,label", *escaped]))
    assert usual(path)
    assert read(path).source.parts["all"].rows[0]["text"].startswith('say "hi", ')
    single = [f"'{row['text']}','{row['label']}'" for row in ROWS]
    assert usual(write(tmp_path / "single.csv", "\n".join(["'text','label'", *single])))


@pytest.mark.parametrize(
    ("header", "broken"),
    [
        ("text,label", '"Hello,\nwhere is my parcel {n}",{label}'),
        ("channel,text,label", 'mail,"Hello,\nwhere, is my parcel {n}",{label}'),
    ],
)
def test_a_text_stays_whole_whose_lines_have_as_many_commas_as_rows(tmp_path: Path, header: str, broken: str) -> None:
    first = "mail," if header.startswith("channel") else ""
    plain = [f"{first}{row['text'].replace(',', '')},{row['label']}" for row in ROWS[5:]]
    quoted = [broken.format(n=n, label=row["label"]) for n, row in enumerate(ROWS[:5])]
    path = write(tmp_path / "a.csv", "\n".join([header, *quoted, *plain]))
    got = read_source(path).parts["all"].rows
    assert len(got) == N
    assert [row["text"].splitlines()[0] for row in got[:5]] == ["Hello,"] * 5
    assert [row["label"] for row in got] == [row["label"] for row in ROWS]


@pytest.mark.parametrize("quote", ['"', "'"])
@pytest.mark.parametrize("first", ["", "sep=,\n"])
@pytest.mark.parametrize("row", ["{q}Hello, {text}{q}, {q}{label}{q}", "{label},  {q}Hello, {text}{q}"])
def test_quotes_may_stand_after_a_blank(tmp_path: Path, quote: str, first: str, row: str) -> None:
    names = ("text", "label") if row.startswith("{q}") else ("label", "text")
    head = ", ".join(f"{quote}{name}{quote}" if quote == "'" else name for name in names)
    rows = [row.format(q=quote, text=each["text"], label=each["label"]) for each in ROWS]
    got = read_source(write(tmp_path / "a.csv", first + "\n".join([head, *rows]))).parts["all"].rows
    assert [dict(each) for each in got] == [{**each, "text": f"Hello, {each['text']}"} for each in ROWS]


def test_two_stray_quotes_join_no_rows(tmp_path: Path) -> None:
    texts = [row["text"].replace(",", "") for row in ROWS]
    texts[4], texts[9] = f'"{texts[4]}', f'{texts[9]}"'
    rows = [f"{text},{row['label']}" for text, row in zip(texts, ROWS, strict=True)]
    got = read_source(write(tmp_path / "a.csv", "\n".join(["text,label", *rows]))).parts["all"].rows
    assert [row["text"] for row in got] == texts


def test_stray_quotes_between_tabs_are_read(tmp_path: Path) -> None:
    rows = [f'"{row["text"]}\t{row["label"]}' for row in ROWS]
    assert usual(write(tmp_path / "a.tsv", "\n".join(["text\tlabel", *rows])))


def test_a_title_above_the_header_and_trailing_delimiters_are_skipped(tmp_path: Path) -> None:
    rows = [f"{row['text'].replace(',', '')};{row['label']};" for row in ROWS]
    path = write(tmp_path / "a.csv", "\n".join(["Export of May", "", "text;label;", *rows]))
    assert usual(path)
    assert "skipped 1 line above the columns' names" in read(path).source.notes


def test_a_file_without_a_header_is_read(tmp_path: Path) -> None:
    rows = [f"{row['label']}\t{row['text']} and so on, as long as it takes" for row in ROWS]
    reading = read(write(tmp_path / "SMSSpamCollection", "\n".join(rows)))
    assert (reading.meaning.inputs, list(reading.meaning.output)) == ({"column_2": "column_2"}, ["column_1"])
    assert len(reading.source.parts["all"].rows) == N


SHORT = [[f"{'Where is it' if n % 2 else 'Pin lost'} {n}?", LABELS[n % 3]] for n in range(N)]
LONG = [[f"{row['text']} and so on, as long as it takes", row["label"]] for row in ROWS]


@pytest.mark.parametrize("rows", [SHORT, LONG])
@pytest.mark.parametrize("name", ["a.csv", "a.xlsx"])
def test_short_texts_and_sheets_may_have_no_names(tmp_path: Path, name: str, rows: list[list[str]]) -> None:
    path = sheet_or_csv(tmp_path / name, rows)
    reading = read(path)
    assert [list(row.values()) for row in reading.source.parts["all"].rows] == rows
    assert reading.source.parts["all"].columns == ("column_1", "column_2")
    assert "the first row names no columns: they are column_1, column_2" in [
        note.replace("line", "row") for note in reading.source.notes
    ]


@pytest.mark.parametrize("head", [["Customer message", "Issue type"], ["Is it urgent?", "Issue"], ["text", "refund?"]])
@pytest.mark.parametrize("name", ["a.csv", "a.xlsx"])
def test_names_with_blanks_stay_names_also_where_they_are_repeated(tmp_path: Path, name: str, head: list[str]) -> None:
    rows = [*SHORT[:9], head, *SHORT[9:18], head, *SHORT[18:27], head, *SHORT[27:], head]
    source = read_source(sheet_or_csv(tmp_path / name, [head, *rows]))
    assert [list(row.values()) for row in source.parts["all"].rows] == SHORT
    assert source.parts["all"].columns == tuple(head)
    assert f"4 of {N + 4} rows are left out: they repeat the columns' names" in source.notes


@pytest.mark.parametrize("head", [["Email text", "refund"], ["Is it urgent?", "refund"]])
@pytest.mark.parametrize("name", ["a.csv", "a.xlsx"])
def test_a_name_that_is_also_a_label_stays_one_beside_a_name_unlike_texts(
    tmp_path: Path, name: str, head: list[str]
) -> None:
    rows = [[row["text"] if head[0] == "Email text" else "yes", row["label"]] for row in ROWS]
    source = read_source(sheet_or_csv(tmp_path / name, [head, *rows]))
    assert source.parts["all"].columns == tuple(head)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_files_one_after_the_other_are_read_whole(tmp_path: Path, mark: str, end: str) -> None:
    lines = [f'"{row["text"]}",{row["label"]}' for row in ROWS]
    half = [mark + end.join(["text,label", *some]) + end for some in (lines[:15], lines[15:])]
    assert read_source(write(tmp_path / "a.csv", "".join(half))).parts["all"].rows == tuple(ROWS)
    objects = [mark + jsonl(some) for some in (ROWS[:15], ROWS[15:])]
    assert read_source(write(tmp_path / "a.jsonl", "".join(objects))).parts["all"].rows == tuple(ROWS)


NAMES = ["text", "label", "label 2"]
TRIPLES = [[row["text"], row["label"], LABELS[n % 2]] for n, row in enumerate(ROWS)]


@pytest.mark.parametrize(
    "above",
    [
        [["# by me, for you"], ["# exported", " 2024", " in May"]],
        [["# by me", " for you"]],
        [["Group A", "", "Group B"]],
        [["Report"], ["Group A", "", "Group B"]],
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.xlsx"])
def test_comments_and_groups_of_columns_are_no_names(tmp_path: Path, name: str, above: list[list[str]]) -> None:
    table = read_source(sheet_or_csv(tmp_path / name, [*above, NAMES, *TRIPLES])).parts["all"]
    assert table.columns == tuple(NAMES)
    assert [list(row.values()) for row in table.rows] == TRIPLES


def test_a_comment_may_have_more_commas_than_the_rows(tmp_path: Path) -> None:
    rows = [["# by me", " in May", " on Friday", " for you"], NAMES, *TRIPLES]
    assert read_source(sheet_or_csv(tmp_path / "a.csv", rows)).parts["all"].columns == tuple(NAMES)


@pytest.mark.parametrize("head", [["# of texts", "label", "label 2"], ["#", "text", "label"], ["text", "", "label 2"]])
@pytest.mark.parametrize("name", ["a.csv", "a.xlsx"])
def test_names_that_begin_with_a_hash_or_have_gaps_stay(tmp_path: Path, name: str, head: list[str]) -> None:
    rows = [[str(n), *row[1:]] for n, row in enumerate(TRIPLES)] if head[0].startswith("#") else TRIPLES
    table = read_source(sheet_or_csv(tmp_path / name, [head, *rows])).parts["all"]
    assert table.columns == tuple(name or "column_2" for name in head)
    assert [list(row.values()) for row in table.rows] == rows


def sheet_or_csv(path: Path, rows: list[list[str]]) -> Path:
    """The rows as a sheet or as csv, by the file's suffix."""
    if path.suffix == ".xlsx":
        return workbook(path, {"Mails": [[cell or None for cell in row] for row in rows]})
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return write(path, text.getvalue())


def test_a_row_cut_off_at_the_end_is_left_out_and_reported_but_one_in_the_middle_is_not(tmp_path: Path) -> None:
    lines = ["text,label", *(f'"{row["text"]}",{row["label"]}' for row in ROWS)]
    reading = read(write(tmp_path / "cut.csv", "\n".join([*lines, '"the last']) + "\n"))
    assert len(reading.source.parts["all"].rows) == N
    assert f"the last row, at line {N + 2}, is cut off and left out" in reading.source.notes
    lines[4] = lines[4].replace('",', ",")
    with pytest.raises(DataError, match=r"its quotes are never closed|expected after"):
        read(write(tmp_path / "open.csv", "\n".join(lines)))


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"data": ROWS}),
        json.dumps({"version": 1, "examples": ROWS}, indent=1),
        json.dumps({"text": [row["text"] for row in ROWS], "label": [row["label"] for row in ROWS]}),
        json.dumps({name: {str(n): row[name] for n, row in enumerate(ROWS)} for name in ("text", "label")}),
        "\n".join(json.dumps(row, indent=2) for row in ROWS),
        ",\n".join(json.dumps(row) for row in ROWS),
        "\ufeff" + json.dumps(ROWS),
        jsonl(ROWS).replace("\n", "\r\n"),
    ],
)
def test_json_is_read_in_any_layout(tmp_path: Path, content: str) -> None:
    assert usual(write(tmp_path / "a.json", content))


def test_one_json_may_hold_several_splits(tmp_path: Path) -> None:
    splits = {"train": ROWS[:20], "validation": ROWS[20:26], "test": ROWS[26:], "unlabelled": ROWS[:2]}
    path = write(tmp_path / "a.json", json.dumps({"version": 1, **splits}))
    source = read(path).source
    assert {part: table.rows for part, table in source.parts.items()} == {
        "train": tuple(ROWS[:20]), "dev": tuple(ROWS[20:26]), "test": tuple(ROWS[26:])
    }  # fmt: skip
    assert "the rows are the lists under `train`, `validation`, `test`; left out: `unlabelled`" in source.notes
    sets = {name: [{"set": "x", **row} for row in splits[name]] for name in ("train", "test")}
    parts = read(write(tmp_path / "b.json", json.dumps(sets))).source.parts
    assert {part: table.rows for part, table in parts.items()} == {name: tuple(rows) for name, rows in sets.items()}
    with pytest.raises(
        DataError, match=r"rows of one split, found train \(20\), validation \(6\), test \(4\): `gradus"
    ):
        read_table(path, "jsonl")


def test_lists_of_objects_that_are_not_read_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", json.dumps({"train": ROWS, "unlabelled": ROWS[:2]}))
    assert read(path).source.notes == ("the rows are the list under `train`; left out: `unlabelled`",)


@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a", "a.JSON"])
def test_json_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    assert usual(write(tmp_path / name, jsonl(ROWS)))


def test_csv_that_is_named_json_is_read_as_csv(tmp_path: Path) -> None:
    rows = "\n".join(["text\tlabel", *(f"{row['text']}\t{row['label']}" for row in ROWS)])
    assert usual(write(tmp_path / "a.json", rows))


def test_gzip_is_unpacked(tmp_path: Path) -> None:
    assert usual(write(tmp_path / "a.jsonl.gz", gzip.compress(jsonl(ROWS).encode())))


def workbook(path: Path, sheets: dict[str, list[list[Any]]]) -> Path:
    from openpyxl import Workbook

    book = Workbook()
    first = book.active
    assert first is not None
    book.remove(first)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_a_workbook_gives_its_fullest_sheet_from_the_names_on(tmp_path: Path) -> None:
    when = datetime.datetime(2024, 5, 1)
    rows: list[list[Any]] = [["Report"], [], ["text", "label", "sum", "received"]]
    rows += [[row["text"], row["label"], n + 0.5, when + datetime.timedelta(n)] for n, row in enumerate(ROWS)]
    path = workbook(tmp_path / "a.xlsx", {"Notes": [["x"], ["y"]], "Mails": rows})
    reading = read(path)
    assert reading.source.notes == ("read the sheet `Mails`, not Notes", "skipped 1 row above the columns' names")
    assert reading.meaning.output == {"label": ("label", {"enum": sorted(LABELS)}), "sum": ("sum", {"type": "number"})}
    assert reading.meaning.date == "received"
    with pytest.raises(DataError, match="expected a sheet `None such`, found Notes, Mails"):
        read(path, sheet="None such")


def test_texts_that_begin_with_a_hash_are_no_errors_of_formulas(tmp_path: Path) -> None:
    texts = ["#help my parcel is late!", "#7, where is it?", "#!"]
    errors = ["#N/A", "#DIV/0!", "#NAME?", "#GETTING_DATA", "#SPILL!"]
    rows: list[list[Any]] = [["text", "number"], *([text, n] for n, text in enumerate([*texts, *errors]))]
    got = read_source(workbook(tmp_path / "a.xlsx", {"Mails": rows})).parts["all"].rows
    assert [row["text"] for row in got] == [*texts, None, None, None, None, None]


@pytest.mark.parametrize("name", ["a.xlsx", "a.csv", "a.json"])
def test_a_workbook_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    made = workbook(tmp_path / "made.xlsx", {"Mails": [["text", "label"], *([*row.values()] for row in ROWS)]})
    assert usual(write(tmp_path / name, made.read_bytes()))


@pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
def test_parquet_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    import pandas as pd

    buffer = io.BytesIO()
    pd.DataFrame(ROWS).to_parquet(buffer)
    assert usual(write(tmp_path / name, buffer.getvalue()))


def test_the_data_stage_names_a_parquet_file_that_is_called_csv(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected csv as text, found a Parquet file, whatever its name: `gradus init`"):
        read_table(write(tmp_path / "a.csv", b"PAR1" + b"\0" * 20), "csv")


def test_saved_datasets_and_folders_of_parquet_files_are_read(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=list(LABELS))})
    rows = [{"text": row["text"], "label": LABELS.index(row["label"])} for row in ROWS]
    saved = datasets.Dataset.from_list(rows, features=features)
    datasets.DatasetDict({"train": saved, "test": saved}).save_to_disk(str(tmp_path / "saved"))
    reading = read(tmp_path / "saved")
    assert set(reading.source.parts) == {"train", "test"}
    assert reading.meaning.output["label"][1] == {"enum": sorted(LABELS)}
    folder = tmp_path / "parquet"
    (folder / "data").mkdir(parents=True)
    saved.to_parquet(str(folder / "data" / "train-00000-of-00001.parquet"))
    saved.to_parquet(str(folder / "data" / "validation-00000-of-00001.parquet"))
    write(folder / "dataset_info.json", "{}")
    write(folder / "README.md", "# A dataset")
    reading = read(folder)
    assert set(reading.source.parts) == {"train", "dev"}
    assert reading.meaning.output["label"][1] == {"enum": sorted(LABELS)}


def test_a_dataset_means_the_same_to_init_and_to_a_run(tmp_path: Path) -> None:
    import datasets

    rows = [
        {"text": datetime.datetime(2026, 1, n + 1, 9), "label": LABELS[n % 2], "sum": float("nan")} for n in range(20)
    ]
    datasets.Dataset.from_list(rows).save_to_disk(str(tmp_path))
    columns = Columns(input=("text",), output={"label": "label", "sum": "sum"})
    source = HuggingFaceSource(kind="hugging_face", dataset=str(tmp_path), splits={"all": "train"}, columns=columns)
    table = read_datasets(source, tmp_path)["all"]
    assert table.rows == read_source(tmp_path).parts["all"].rows
    assert table.rows[0] == {"text": "2026-01-01 09:00:00", "label": LABELS[0], "sum": None}


def test_a_saved_dataset_whose_bytes_are_no_text_is_refused(tmp_path: Path) -> None:
    import datasets

    datasets.Dataset.from_list([{"text": "a lamp that flickers", "label": "bill"}] * 20).save_to_disk(str(tmp_path))
    file = next(tmp_path.glob("data-*.arrow"))
    file.write_bytes(file.read_bytes().replace(b"flickers", b"flick\xc8rs", 1))
    with pytest.raises(DataError, match=r"expected rows that can be read, found damaged ones: .*utf-8"):
        read(tmp_path)
    source = HuggingFaceSource(
        kind="hugging_face",
        dataset=str(tmp_path),
        splits={"train": "train"},
        columns=Columns(input=("text",), output={"label": "label"}),
    )
    with pytest.raises(DataError, match=r"expected rows that can be read, found damaged ones: .*utf-8"):
        read_datasets(source, tmp_path)


def test_a_folder_gives_its_files_the_parts_of_their_names(tmp_path: Path) -> None:
    for name in ("Train.csv", "val.csv", "test_set.csv"):
        write(tmp_path / "d" / name, "\n".join(["text,label", *(f'"{r["text"]}",{r["label"]}' for r in ROWS)]))
    write(tmp_path / "d" / "ontology.json", json.dumps({"refund": {"description": "money back"}, "other": {}}))
    write(tmp_path / "d" / ".hidden.csv", "nothing")
    reading = read(tmp_path / "d")
    assert {part: len(table.rows) for part, table in reading.source.parts.items()} == {"train": N, "dev": N, "test": N}


def test_a_column_may_name_the_split(tmp_path: Path) -> None:
    rows = [{**row, "split": "train" if n % 3 else "validation"} for n, row in enumerate(ROWS)]
    reading = read(write(tmp_path / "a.jsonl", jsonl(rows)))
    assert {part: len(table.rows) for part, table in reading.source.parts.items()} == {"dev": 10, "train": 20}
    assert usual(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("name", "values", "parts", "left_out"),
    [
        ("split", ["train", "test", "unlabeled"], {"train": 10, "test": 10}, "`unlabeled` (10)"),
        ("split", ["train", "train", None], {"train": 20}, "empty (10)"),
        ("set", ["TRAIN", "TEST", "unsup"], {"train": 10, "test": 10}, "`unsup` (10)"),
        (
            "ml_use",
            ["TRAIN", "VALIDATE", "TEST", "UNASSIGNED", ""],
            {"train": 6, "dev": 6, "test": 6},
            "`UNASSIGNED` (6), empty (6)",
        ),
        ("fold", ["training", "testing"], {"train": 15, "test": 15}, None),
    ],
)
def test_rows_whose_split_is_unknown_are_left_out_and_told(
    tmp_path: Path, name: str, values: list[str | None], parts: dict[str, int], left_out: str | None
) -> None:
    rows = [{**row, name: values[n % len(values)]} for n, row in enumerate(ROWS)]
    reading = read(write(tmp_path / "a.jsonl", jsonl(rows)))
    assert {part: len(table.rows) for part, table in reading.source.parts.items()} == parts
    assert list(reading.meaning.output) == ["label"]
    lost = N - sum(parts.values())
    said = () if left_out is None else (f"{lost} of {N} rows are left out: their `{name}` names no split: {left_out}",)
    assert reading.source.notes == (f"`{name}` says which split a row belongs to", *said)


@pytest.mark.parametrize(
    ("name", "values", "notes"),
    [
        ("split", [0, 1, 2], ("`split` is not read as splits: its numbers do not say which is train",)),
        ("fold", ["1", "2"], ("`fold` is not read as splits: its numbers do not say which is train",)),
        ("set", [0, 1, 2], ()),
        ("set", ["train", "car"], ()),
    ],
)
def test_what_does_not_say_the_split_parts_nothing(
    tmp_path: Path, name: str, values: list[Any], notes: tuple[str, ...]
) -> None:
    rows = [{**row, name: values[n % len(values)]} for n, row in enumerate(ROWS)]
    source = read(write(tmp_path / "a.jsonl", jsonl(rows))).source
    assert ({part: len(table.rows) for part, table in source.parts.items()}, source.notes) == ({"all": N}, notes)


def test_a_column_that_says_the_part_of_its_file_is_no_answer(tmp_path: Path) -> None:
    write(tmp_path / "d/train.jsonl", jsonl([{**row, "split": "train"} for row in ROWS[:20]]))
    write(tmp_path / "d/val.jsonl", jsonl([{**row, "split": "validation"} for row in ROWS[20:]]))
    reading = read(tmp_path / "d")
    assert (list(reading.source.parts), list(reading.meaning.output)) == (["train", "dev"], ["label"])
    assert reading.source.notes == ("`split` says which part a row's file is, and is left out",)


def test_files_without_a_common_column_are_named(tmp_path: Path) -> None:
    write(tmp_path / "d" / "a.jsonl", jsonl([{"text": "a"}]))
    write(tmp_path / "d" / "b.jsonl", jsonl([{"label": "b"}]))
    with pytest.raises(DataError, match=r"found text in a.jsonl and label in b.jsonl"):
        read(tmp_path / "d")


def chat(row: dict[str, str], answer: Any = None, **more: Any) -> dict[str, Any]:
    content = row["label"] if answer is None else answer
    return {"messages": [{"role": "user", "content": row["text"]}, {"role": "assistant", "content": content, **more}]}


CHATS: dict[str, list[Any]] = {
    "openai": [chat(row) for row in ROWS],
    "parts": [
        {
            "messages": [
                {"role": "developer", "content": "Classify."},
                {"role": "user", "content": [{"type": "text", "text": row["text"]}]},
                {"role": "assistant", "content": [{"type": "text", "text": row["label"]}]},
            ]
        }
        for row in ROWS
    ],
    "weight": [
        {
            "messages": [
                {"role": "user", "content": row["text"]},
                {"role": "assistant", "content": row["label"], "weight": 1},
                {"role": "user", "content": "thanks"},
                {"role": "assistant", "content": "You are welcome!", "weight": 0},
            ]
        }
        for row in ROWS
    ],
    "sharegpt": [
        {"conversations": [{"from": "human", "value": row["text"]}, {"from": "gpt", "value": row["label"]}]}
        for row in ROWS
    ],
    "gemini": [
        {
            "systemInstruction": {"role": "system", "parts": [{"text": "Classify."}]},
            "contents": [
                {"role": "user", "parts": [{"text": row["text"]}]},
                {"role": "model", "parts": [{"text": row["label"]}]},
            ],
        }
        for row in ROWS
    ],
    "anthropic": [{"system": "Classify.", **chat(row)} for row in ROWS],
    "anthropic with thoughts": [
        {
            "system": "Classify.",
            **chat(
                row, [{"type": "thinking", "thinking": "Hm.", "signature": "s"}, {"type": "text", "text": row["label"]}]
            ),
        }
        for row in ROWS
    ],
    "prompt and completion": [{"prompt": row["text"], "completion": row["label"]} for row in ROWS],
    "prompt of messages": [
        {
            "prompt": [{"role": "user", "content": row["text"]}],
            "completion": [{"role": "assistant", "content": row["label"]}],
        }
        for row in ROWS
    ],
    "preference": [
        {
            "input": {"messages": [{"role": "user", "content": row["text"]}]},
            "preferred_output": [{"role": "assistant", "content": row["label"]}],
            "non_preferred_output": [{"role": "assistant", "content": "no idea"}],
        }
        for row in ROWS
    ],
    "chosen": [{"prompt": row["text"], "chosen": row["label"], "rejected": "no idea"} for row in ROWS],
    "chosen to a question": [
        {"system": "Classify.", "question": row["text"], "chosen": row["label"], "rejected": "no idea"} for row in ROWS
    ],
    "chosen to an instruction": [
        {"instruction": row["text"], "input": "", "chosen": row["label"], "rejected": "no idea"} for row in ROWS
    ],
    "chosen in sharegpt": [
        {
            "conversations": [{"from": "human", "value": row["text"]}],
            "chosen": {"from": "gpt", "value": row["label"]},
            "rejected": {"from": "gpt", "value": "no idea"},
        }
        for row in ROWS
    ],
    "dialogues as texts": [
        {
            "chosen": f"\n\nHuman: {row['text']}\n\nAssistant: {row['label']}",
            "rejected": f"\n\nHuman: {row['text']}\n\nAssistant: no idea",
        }
        for row in ROWS
    ],
    "stored completions": [
        {
            "id": f"chatcmpl-{n}",
            "object": "chat.completion",
            "created": 1_714_550_000 + n,
            "model": "gpt-4.1-mini",
            "messages": [{"role": "user", "content": row["text"]}],
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": row["label"]}, "finish_reason": "stop"}
            ],
        }
        for n, row in enumerate(ROWS)
    ],
    "responses": [
        {
            "id": f"resp_{n}",
            "object": "response",
            "request": {"input": row["text"], "instructions": "Classify."},
            "response": {
                "output": [
                    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": row["label"]}]}
                ]
            },
        }
        for n, row in enumerate(ROWS)
    ],
    "proxy log": [
        {
            "request": {"model": "m", "messages": [{"role": "user", "content": row["text"]}]},
            "response": {"choices": [{"message": {"role": "assistant", "content": row["label"]}}]},
        }
        for row in ROWS
    ],
    "evals": [{"input": [{"role": "user", "content": row["text"]}], "ideal": row["label"]} for row in ROWS],
    "evals with item": [{"item": {"input": row["text"], "ideal": [row["label"], "x"]}} for row in ROWS],
    "langfuse observations": [
        {
            "id": f"o{n}",
            "traceId": f"t{n}",
            "type": "GENERATION",
            "startTime": f"2026-05-{n % 28 + 1:02d}T10:00:00Z",
            "input": [{"role": "system", "content": "Classify."}, {"role": "user", "content": row["text"]}],
            "output": {"role": "assistant", "content": row["label"]},
        }
        for n, row in enumerate(ROWS)
    ],
}


@pytest.mark.parametrize("name", CHATS)
def test_conversations_of_every_program_give_the_question_and_a_plain_label(tmp_path: Path, name: str) -> None:
    reading = read(write(tmp_path / "a.jsonl", jsonl(CHATS[name])))
    assert list(reading.meaning.inputs) == ["text"]
    assert reading.meaning.kind == "label"
    assert reading.meaning.output["answer"][1] == {"type": "string", "enum": sorted(LABELS)}
    table = reading.source.parts["all"]
    assert [(row["text"], row["answer"]) for row in table.rows] == [(row["text"], row["label"]) for row in ROWS]


def turns(row: dict[str, str]) -> list[dict[str, str]]:
    return [{"from": "human", "value": row["text"]}, {"from": "gpt", "value": row["label"]}]


@pytest.mark.parametrize(
    "record",
    [
        lambda row: {"messages": [], "conversations": turns(row)},
        lambda row: {"messages": None, "conversation": turns(row), "system": "Classify."},
        lambda row: {"messages": "12 messages", "contents": chat(row)["messages"], "system": "Classify."},
    ],
)
def test_of_several_columns_that_chats_have_the_one_that_holds_a_chat_counts(tmp_path: Path, record: Any) -> None:
    reading = read(write(tmp_path / "a.jsonl", jsonl([record(row) for row in ROWS])))
    table = reading.source.parts["all"]
    assert [(row["text"], row["answer"]) for row in table.rows] == [(row["text"], row["label"]) for row in ROWS]
    assert reading.source.system == record(ROWS[0]).get("system", "")


def test_earlier_turns_are_an_input_of_their_own(tmp_path: Path) -> None:
    chats = [
        {
            "messages": [
                {"role": "user", "content": "hello"},
                {"role": "assistant", "content": "How can I help?"},
                {"role": "user", "content": row["text"]},
                {"role": "assistant", "content": row["label"]},
            ]
        }
        for row in ROWS
    ]
    reading = read(write(tmp_path / "a.jsonl", jsonl(chats)))
    assert set(reading.meaning.inputs) == {"text", "conversation"}
    first = reading.source.parts["all"].rows[0]
    assert first["conversation"] == "user: hello\nassistant: How can I help?"
    assert first["text"] == ROWS[0]["text"]


SAID = [("user", "hello"), ("assistant", "How can I help?")]


def said(*more: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in (*SAID, *more)]


@pytest.mark.parametrize(
    "record",
    [
        lambda row: {"chosen": told(("Human", row["text"]), ("Assistant", row["label"])), "rejected": "no idea"},
        lambda row: {"prompt": told(("Human", row["text"]), ("Assistant", "")), "chosen": row["label"], "rejected": ""},
        lambda row: {"prompt": said(("user", row["text"])), "chosen": row["label"], "rejected": "no idea"},
        lambda row: {"prompt": said(("user", row["text"])), "completion": row["label"]},
        lambda row: {"input": said(("user", row["text"])), "ideal": row["label"]},
        lambda row: {
            "request": {"messages": said(("user", row["text"]))},
            "response": {"choices": [{"message": {"role": "assistant", "content": row["label"]}}]},
        },
        lambda row: {
            "id": row["text"],
            "traceId": "t",
            "type": "GENERATION",
            "input": said(("user", row["text"])),
            "output": {"role": "assistant", "content": row["label"]},
        },
    ],
)
def test_an_answer_beside_a_chat_is_to_its_last_question(tmp_path: Path, record: Any) -> None:
    reading = read(write(tmp_path / "a.jsonl", jsonl([record(row) for row in ROWS])))
    rows = reading.source.parts["all"].rows
    assert [(row["text"], row["answer"]) for row in rows] == [(row["text"], row["label"]) for row in ROWS]
    assert {row["conversation"] for row in rows} == {"user: hello\nassistant: How can I help?"}


def told(*more: tuple[str, str]) -> str:
    """A dialogue as HH-RLHF writes it."""
    spoken = (("Human", "hello"), ("Assistant", "How can I help?"), *more)
    return "".join(f"\n\n{who}: {what}" for who, what in spoken)


def test_an_instruction_stands_above_its_input_in_preferences(tmp_path: Path) -> None:
    rows = [{"instruction": "Sort.", "input": r["text"], "chosen": r["label"], "rejected": "no idea"} for r in ROWS]
    source = read_source(write(tmp_path / "a.jsonl", jsonl(rows)))
    assert [row["text"] for row in source.parts["all"].rows] == [f"Sort.\n\n{row['text']}" for row in ROWS]


def chatted(system: str, n: int, *, earlier: bool = False) -> dict[str, Any]:
    """A chat under a system prompt, perhaps with a turn before its question."""
    before = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "Yes?"}] if earlier else []
    asked = [{"role": "user", "content": sentence(n)}, {"role": "assistant", "content": LABELS[n % 3]}]
    return {"messages": [{"role": "system", "content": system}, *before, *asked]}


@pytest.mark.parametrize(
    ("train", "test", "inputs"),
    [
        # Of 50 rows 7 different prompts are more than a tenth; train alone has 2 in 40.
        ([f"Sort {n % 2}." for n in range(40)], [f"Sort {n % 5 + 2}." for n in range(10)], {"text", "system"}),
        # 5 are not, though test alone has 5 in 10, which are more than three and a tenth.
        ([f"Sort {n % 2}." for n in range(40)], [f"Sort {n % 5}." for n in range(10)], {"text"}),
    ],
)
def test_all_parts_have_the_system_prompt_as_an_input_or_none_has(
    tmp_path: Path, train: list[str], test: list[str], inputs: set[str]
) -> None:
    write(tmp_path / "train.jsonl", jsonl([chatted(system, n) for n, system in enumerate(train)]))
    write(tmp_path / "test.jsonl", jsonl([chatted(system, n + 40) for n, system in enumerate(test)]))
    reading = read(tmp_path)
    assert set(reading.meaning.inputs) == inputs
    assert [set(table.columns) for table in reading.source.parts.values()] == [{*inputs, "answer"}] * 2
    assert (reading.source.system == "") == ("system" in inputs)


def test_earlier_turns_of_one_part_are_an_input_of_all(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", jsonl([chatted("Sort.", n, earlier=True) for n in range(30)]))
    write(tmp_path / "test.jsonl", jsonl([chatted("Sort.", n + 30) for n in range(30)]))
    parts = read(tmp_path).source.parts
    assert [table.rows[0]["conversation"] for table in parts.values()] == ["", "user: hello\nassistant: Yes?"]


def test_parts_may_be_in_different_forms(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", jsonl([chatted("Sort.", n) for n in range(30)]))
    pairs = [{"prompt": sentence(n), "completion": LABELS[n % 3]} for n in range(30, 60)]
    write(tmp_path / "test.jsonl", jsonl(pairs))
    parts = read(tmp_path).source.parts
    assert {part: (len(table.rows), set(table.columns)) for part, table in parts.items()} == {
        "train": (30, {"text", "answer"}),
        "test": (30, {"text", "answer"}),
    }


def test_a_tool_call_is_an_answer_with_name_and_arguments(tmp_path: Path) -> None:
    tools = [{"type": "function", "function": {"name": "route", "parameters": {"type": "object"}}}]
    chats = [
        {
            **chat(
                row,
                "",
                tool_calls=[
                    {
                        "id": f"c{n}",
                        "type": "function",
                        "function": {
                            "name": "route",
                            "arguments": json.dumps({"team": row["label"], "urgent": n % 2 == 0}),
                        },
                    }
                ],
            ),
            "tools": tools,
            "parallel_tool_calls": False,
        }
        for n, row in enumerate(ROWS)
    ]
    reading = read(write(tmp_path / "a.jsonl", jsonl(chats)))
    assert reading.meaning.kind == "object"
    assert list(reading.meaning.output) == ["name", "arguments"]
    assert reading.meaning.output["arguments"][1]["properties"].keys() == {"team", "urgent"}


def test_a_batchs_answers_find_their_questions_in_the_folder_and_are_refused_alone(tmp_path: Path) -> None:
    asked = [
        {
            "custom_id": f"r{n}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "m", "messages": [{"role": "user", "content": row["text"]}]},
        }
        for n, row in enumerate(ROWS)
    ]
    answered = [
        {
            "id": f"b{n}",
            "custom_id": f"r{n}",
            "response": {
                "status_code": 200,
                "body": {"choices": [{"message": {"role": "assistant", "content": row["label"]}}]},
            },
            "error": None,
        }
        for n, row in enumerate(ROWS)
    ]
    write(tmp_path / "d" / "batch_input.jsonl", jsonl(asked))
    alone = write(tmp_path / "d" / "batch_output.jsonl", jsonl(answered[::-1]))
    reading = read(tmp_path / "d")
    pairs = {(row["text"], row["answer"]) for row in reading.source.parts["all"].rows}
    assert pairs == {(row["text"], row["label"]) for row in ROWS}
    with pytest.raises(DataError, match="only answers: put the batch's request file into the same folder"):
        read(alone)


def test_promptfoo_tests_are_read_from_csv_json_and_yaml(tmp_path: Path) -> None:
    tests = [{"vars": {"mail": row["text"]}, "assert": [{"type": "equals", "value": row["label"]}]} for row in ROWS]
    rows = ["mail,__expected", *(f'"{row["text"]}",equals:{row["label"]}' for row in ROWS)]
    import yaml

    files = {
        "a.csv": "\n".join(rows),
        "a.json": json.dumps(tests),
        "a.yaml": yaml.safe_dump({"prompts": ["{{mail}}"], "tests": tests}),
    }
    for name, content in files.items():
        assert understood(write(tmp_path / name, content)) == (["mail"], ["answer"], "label", N), name


def test_a_promptfoo_test_with_a_key_twice_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yaml", "tests:\n- vars: {mail: one, mail: two}\n")
    with pytest.raises(DataError, match=r"expected YAML, found the key 'mail' twice .*line 2, column 21"):
        read(path)


def test_opentelemetry_as_collectors_and_the_sdk_write_it(tmp_path: Path) -> None:
    for path in (clients.otlp(tmp_path / "otlp.jsonl", PAIRS), clients.console(tmp_path / "spans.json", PAIRS)):
        reading = read(path)
        assert [row["text"] for row in reading.source.parts["all"].rows] == [row["text"] for row in ROWS]
        assert (list(reading.meaning.output), reading.source.system) == (["label"], clients.SYSTEM)


def test_langfuse_as_its_client_writes_it(tmp_path: Path) -> None:
    for path in (
        clients.langfuse_spans(tmp_path / "spans.jsonl", PAIRS),
        clients.langfuse_items(tmp_path / "items.json", PAIRS),
    ):
        assert usual(path)


def test_mlflow_traces_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    reading = read(clients.mlflow_traces(tmp_path / "traces.jsonl", PAIRS[:6], tmp_path / "mlflow.db"))
    assert {row["text"] for row in reading.source.parts["all"].rows} == {row["text"] for row in ROWS[:6]}
    assert reading.source.system == clients.SYSTEM


def test_labels_at_the_beginning_of_lines_are_read(tmp_path: Path) -> None:
    assert usual(write(tmp_path / "a.txt", "".join(f"__label__{row['label']} {row['text']}\n" for row in ROWS)))


def test_free_texts_lists_and_numbers_are_answers(tmp_path: Path) -> None:
    texts = [{"document": f"{row['text']}. {row['text']}, again.", "summary": row["text"]} for row in ROWS]
    lists = [{"text": row["text"], "tags": [row["label"], LABELS[n % 2]]} for n, row in enumerate(ROWS)]
    german = [{"en": f"{row['text']} today", "de": f"Heute {row['text']} also"} for row in ROWS]
    assert understood(write(tmp_path / "a.jsonl", jsonl(texts))) == (["document"], ["answer"], "text", N)
    reading = read(write(tmp_path / "b.jsonl", jsonl(lists)))
    assert (reading.meaning.kind, reading.meaning.output["answer"][1]["items"]) == ("list", {"enum": sorted(LABELS)})
    reading = read(write(tmp_path / "c.jsonl", jsonl(german)))
    assert reading.meaning.kind == "text"
    assert "is taken for the answer" in " ".join(reading.meaning.guesses)


def bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
        with archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as file:
            for _ in range(260):
                file.write(b" " * 2**23)
    return buffer.getvalue()


@pytest.mark.slow
def test_a_zip_bomb_is_refused_by_its_size(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected at most 2,147,483,648 bytes unpacked, found"):
        read(write(tmp_path / "a.xlsx", bomb()))


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.csv"), io.BytesIO())
    return buffer.getvalue()


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "nothing.csv": (b"", "expected rows, found an empty file"),
    "blank.jsonl": (b" \n\n ", "expected rows, found an empty file"),
    "empty.json": ("[]", "expected rows, found an empty file"),
    "old.xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "an old or encrypted Office file: save it as .xlsx"),
    "doc.pdf": (b"%PDF-1.7", "found a PDF"),
    "cut.parquet": (b"PAR1" + b"\0" * 40, "expected a parquet file that opens, found a damaged one"),
    "cut.xlsx": (b"PK\x03\x04" + b"\0" * 40, "expected a whole file, found a damaged zip"),
    "cut.csv.gz": (gzip.compress(b"text,label\n" * 100)[:-12], "expected a whole gzip file, found a damaged one"),
    "a.tar": (tar(), "found a tar archive: unpack it first"),
    "a.tar.gz": (gzip.compress(tar()), "found a tar archive: unpack it first"),
    "a.csv.gz.gz": (gzip.compress(gzip.compress(b"text,label")), "found a gzip file in another: unpack it first"),
    "base.db": (b"SQLite format 3\x00", "found a SQLite database: export the table"),
    "array.json": ("[1, 2]", r"expected a JSON object, found a number \(.*:1\)"),
    "cut.json": (json.dumps(ROWS)[:-30], r"expected a JSON object, found .* \(.*cut.json:1\)"),
    "two.jsonl": ('{"a": 1}\n{"a": \n', r"expected a JSON object, found Expecting value at column 7 \(.*:2\)"),
    "bomb.yaml": ("a: &a [1]\nb: &b [" + "*a," * 60 + "]", "more than 50 references"),
    "nul.csv": (b"\0\0\0\0\0\0\0", "expected"),
    "one.csv": ("just a column\nwith two lines\nand three more", "expected a column with the answer"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    content, message = REFUSED[name]
    with pytest.raises(GradusError, match=message) as raised:
        read(write(tmp_path / name, content))
    assert "\n" not in str(raised.value)


def test_a_refused_zip_archive_is_described_by_what_it_holds(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("train.csv", "text,label\n")
    with pytest.raises(DataError, match=r"found a zip archive with train\.csv: unpack it first"):
        read_source(write(tmp_path / "a.zip", buffer.getvalue()))


def test_half_surrogates_and_nul_do_not_stop_a_draft(tmp_path: Path) -> None:
    rows = [{**row, "text": row["text"] + " \ud800\u0000"} for row in ROWS]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    assert usual(write(tmp_path / "a.jsonl", text))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(-9, 9)
    | st.sampled_from(["a", "b", "7", "yes", "", "x y"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@example([[None, "a"]])
@given(st.lists(VALUES, min_size=1, max_size=30))
def test_a_schema_of_values_holds_for_each_of_them(values: list[Any]) -> None:
    schema = schema_of(values, literal=True)
    if schema is not None:
        validator = Draft202012Validator(schema)
        cleaned = [cell(value) for value in values]
        assert [value for value in cleaned if value is not None and not validator.is_valid(value)] == []


def test_a_span_that_cannot_be_translated_gives_no_traceback() -> None:
    damaged = {"gen_ai.input.messages": "9" * 5000}
    assert translated(damaged, []) == damaged
