"""Files that people reported: each is read, understood and prepared, or refused in one sentence."""

import csv
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from components.data.init import init_workload, read_input
from components.data.prepare import DataReport, prepare
from components.data.rows import rows_of
from components.errors import ConfigError, DataError
from components.params import FileSource, Workload, load
from components.tracking import NullTracker
from tests.components.data.conftest import sentence

LABELS = ("refund", "delivery", "other")
Make = Callable[..., Path]
Drafted = Callable[[Path], tuple[Workload, DataReport]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes a file, from text or bytes."""

    def write(name: str, content: str | bytes, encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write


@pytest.fixture
def drafted(tmp_path: Path) -> Drafted:
    """Drafts a workload from a file, and prepares its data as a run does."""

    def draft(path: Path) -> tuple[Workload, DataReport]:
        root = tmp_path / "project"
        settings, *_ = init_workload("shop", read_input(path), root)
        workload = load(settings, Workload)
        return workload, prepare(workload, root / "data" / "shop", tmp_path / "out", NullTracker())

    return draft


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def table(rows: list[list[Any]], delimiter: str = ",") -> str:
    import io

    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return text.getvalue()


def labelled(n: int = 90) -> list[dict[str, Any]]:
    return [{"text": sentence(number), "label": LABELS[number % 3]} for number in range(min(n, 70))]


def properties(workload: Workload) -> dict[str, Any]:
    return workload.output["properties"]


def inputs(workload: Workload) -> tuple[str, ...]:
    assert isinstance(workload.source, FileSource)
    return workload.source.columns.input


def test_t1_a_german_export_gives_numbers_and_its_line_breaks(make: Make, drafted: Drafted) -> None:
    rows: list[list[Any]] = [["Nachricht", "Kategorie", "Betrag"]]
    rows += [[f'{sentence(n)}\nZeile; "zwei"', LABELS[n % 3], f"{n},{n:02d}"] for n in range(60)]
    workload, report = drafted(make("excel.csv", b"\xef\xbb\xbf" + table(rows, ";").encode()))
    assert inputs(workload) == ("Nachricht",)
    assert properties(workload)["betrag"] == {"type": "number"}
    assert (report.rows, report.quarantined) == (60, {})


def test_t2_a_separator_line_is_no_header(make: Make, drafted: Drafted) -> None:
    rows = [["text", "label"], *([row["text"], row["label"]] for row in labelled())]
    workload, report = drafted(make("sep.csv", "sep=;\r\n" + table(rows, ";")))
    assert (inputs(workload), list(properties(workload)), report.rows) == (("text",), ["label"], 70)


def test_t3_columns_without_name_and_content_are_ignored_and_latin_1_is_read(make: Make, drafted: Drafted) -> None:
    rows: list[list[Any]] = [["v1", "v2", "", "", ""]]
    rows += [["ham" if n % 3 else "spam", f"{sentence(n)} für £5", "", "", ""] for n in range(60)]
    path = make("spam.csv", table(rows), "latin-1")
    workload, report = drafted(path)
    assert (inputs(workload), properties(workload)) == (("v2",), {"v1": {"enum": ["ham", "spam"]}})
    assert report.rows == 60
    assert "£5" in read_input(path).source.parts["all"].rows[0]["v2"]
    assert any("cp1252" in note for note in read_input(path).source.notes)


@pytest.mark.parametrize("indent", [None, 2])
def test_t4_a_json_array_is_read_on_one_line_and_pretty(make: Make, drafted: Drafted, indent: int | None) -> None:
    workload, report = drafted(make("array.json", json.dumps(labelled(), indent=indent)))
    assert (inputs(workload), list(properties(workload)), report.rows) == (("text",), ["label"], 70)


def test_t5_a_suffix_counts_in_any_case(make: Make, drafted: Drafted) -> None:
    _, report = drafted(make("UPPER.JSONL", lines(labelled())))
    assert report.rows == 70


def test_t6a_chats_give_the_last_question_the_answers_keys_and_the_system_prompt(
    make: Make, drafted: Drafted, tmp_path: Path
) -> None:
    chats = [
        {
            "messages": [
                {"role": "system", "content": "Classify."},
                {"role": "user", "content": row["text"]},
                {"role": "assistant", "content": json.dumps({"label": row["label"]})},
            ]
        }
        for row in labelled()
    ]
    workload, report = drafted(make("messages.jsonl", lines(chats)))
    assert (inputs(workload), properties(workload)) == (("text",), {"label": {"enum": sorted(LABELS)}})
    assert workload.prompts == ("own", "loose", "schema")
    own = (tmp_path / "project/params/prompts/shop/own.md").read_text(encoding="utf-8")
    assert own == "Classify.\n---user---\n{text}\n"
    assert report.rows == 70


def test_t6b_a_completion_that_is_json_gives_its_keys(make: Make, drafted: Drafted) -> None:
    rows = [
        {"prompt": row["text"], "completion": json.dumps({"label": row["label"], "urgent": bool(n % 2)})}
        for n, row in enumerate(labelled())
    ]
    workload, report = drafted(make("prompt_completion.jsonl", lines(rows)))
    assert properties(workload) == {"label": {"enum": sorted(LABELS)}, "urgent": {"type": "boolean"}}
    assert report.quarantined == {}


def test_t6c_a_nested_answer_gives_its_keys(make: Make, drafted: Drafted) -> None:
    rows = [{"text": row["text"], "answer": {"label": row["label"], "urgent": False}} for row in labelled()]
    rows[0]["answer"]["urgent"] = True
    workload, report = drafted(make("nested.jsonl", lines(rows)))
    assert list(properties(workload)) == ["label", "urgent"]
    assert report.rows == 70


def test_t7_names_with_blanks_are_mapped(make: Make, drafted: Drafted) -> None:
    rows: list[list[Any]] = [["Date received", "Product", "Consumer complaint narrative", "Complaint ID"]]
    rows += [[f"2024-01-{n % 28 + 1:02d}", LABELS[n % 3], sentence(n), 1000 + n] for n in range(60)]
    workload, report = drafted(make("cfpb.csv", table(rows)))
    assert isinstance(workload.source, FileSource)
    assert inputs(workload) == ("consumer_complaint_narrative",)
    assert list(properties(workload)) == ["product"]
    assert (workload.source.columns.id, workload.dated_by) == ("Complaint ID", "Date received")
    assert report.rows == 60


def dated(*dates: str, name: str = "received_at") -> list[dict[str, Any]]:
    """Messages with labels, and dates in turn."""
    return [{"text": sentence(n), "label": LABELS[n % 3], name: dates[n % len(dates)]} for n in range(60)]


FORMS = [
    ("03/04/2024", "05/06/2024"), ("5/12/24", "6/12/24"), ("12.05.24", "13.05.24"), ("1/5/24 13:45", "2/5/24 9:01"),
    ("Mar 5, 2024", "April 12, 2024", "Dec 1, 2023"), ("5 March 2024", "12 April 2024", "1 December 2023"),
]  # fmt: skip


@pytest.mark.parametrize("dates", FORMS)
def test_dates_that_cannot_be_read_are_neither_asked_for_nor_given(
    make: Make, drafted: Drafted, dates: tuple[str, ...]
) -> None:
    path = make("dated.jsonl", lines(dated(*dates)))
    workload, report = drafted(path)
    assert (inputs(workload), list(properties(workload)), workload.dated_by) == (("text",), ["label"], None)
    assert read_input(path).meaning.left_out == {
        "received_at": "dates whose day and month could be either, or in a form that is not read"
    }
    assert report.quarantined == {}


def test_a_few_cells_that_are_no_dates_are_empty(make: Make, drafted: Drafted) -> None:
    rows = dated(*(f"2024/03/{day:02d}" for day in range(1, 29)))
    rows[7]["received_at"] = "n/a"
    path = make("dated.jsonl", lines(rows))
    workload, _ = drafted(path)
    assert (list(properties(workload)), workload.dated_by) == (["label"], "received_at")
    reading = read_input(path)
    written = [row["received_at"] for row in rows_of(reading.source, reading.meaning)["all"]]
    assert written[5:9] == ["2024-03-06", "2024-03-07", None, "2024-03-09"]


def test_dates_that_their_texts_have_are_still_answers(make: Make, drafted: Drafted) -> None:
    days = [f"{n % 28 + 1} March 2024" for n in range(60)]
    rows = [{"text": f"{sentence(n)}, can you come on {day}?", "date": day} for n, day in enumerate(days)]
    workload, _ = drafted(make("slots.jsonl", lines(rows)))
    assert (list(properties(workload)), workload.dated_by) == (["date"], None)


def test_a_date_that_is_longer_than_the_texts_is_not_the_text(make: Make, drafted: Drafted) -> None:
    rows = [
        {"remark": f"parcel {n * n}", "label": LABELS[n % 3], "created": f"Tue, {n % 28 + 1} March 2024 13:45:{n}"}
        for n in range(60)
    ]
    workload, _ = drafted(make("short.jsonl", lines(rows)))
    assert (inputs(workload), list(properties(workload))) == (("remark",), ["label"])


def test_t8_names_that_become_equal_are_kept_apart_and_told(make: Make, drafted: Drafted) -> None:
    rows: list[list[Any]] = [["text", "Priority", "priority", "Is urgent?", "is_urgent"]]
    rows += [
        [sentence(n), LABELS[n % 3], "low" if n % 4 else "high", "yes" if n % 2 else "no", "yes" if n % 3 else "no"]
        for n in range(60)
    ]
    path = make("collide.csv", table(rows))
    workload, report = drafted(path)
    assert list(properties(workload)) == ["priority", "priority_2", "is_urgent", "is_urgent_2"]
    assert "`priority` is the field priority_2" in read_input(path).meaning.guesses[0]
    assert report.quarantined == {}


@pytest.mark.parametrize(("n", "labels", "name"), [(12, 5, "label"), (90, 40, "intent")])
def test_t9_labels_by_name_are_answers_whatever_their_count(make: Make, n: int, labels: int, name: str) -> None:
    rows: list[list[Any]] = [["text", name, "urgent"]]
    rows += [[sentence(k), f"topic {k % labels}", "yes" if k % 2 else "no"] for k in range(n)]
    made = read_input(make("few.csv", table(rows))).meaning
    assert (list(made.inputs), list(made.output)) == (["text"], [name, "urgent"])
    assert len(made.output[name][1]["enum"]) == labels


def test_t9b_an_id_that_repeats_is_left_out_with_the_reason(make: Make) -> None:
    rows: list[list[Any]] = [["id", "text", "label"], *([n // 2, sentence(n), LABELS[n % 3]] for n in range(60))]
    made = read_input(make("dup_id.csv", table(rows))).meaning
    assert (made.left_out, list(made.output), made.id) == ({"id": "an id that repeats"}, ["label"], None)


def test_t9c_what_stands_in_the_text_is_the_answer_even_where_all_differ(make: Make, drafted: Drafted) -> None:
    rows: list[list[Any]] = [["message", "order_number"]]
    rows += [[f"{sentence(n)} XK-{10_000 + n}", f"XK-{10_000 + n}"] for n in range(60)]
    workload, report = drafted(make("extract.csv", table(rows)))
    assert properties(workload) == {"order_number": {"type": "string", "pattern": r"^[A-Z]{2}-\d{5}$"}}
    assert report.rows == 60


def test_t12_repeated_rows_pass_under_the_usual_limit_for_they_do_not_count(make: Make, drafted: Drafted) -> None:
    rows = labelled(60)
    rows += [{**rows[0], "label": "other"}, *rows[1:7]]
    workload, report = drafted(make("dups.jsonl", lines(rows)))
    assert report.quarantined == {"input is repeated": 7}
    assert "validation" not in workload.model_fields_set


def test_t15_a_cell_of_any_length_is_read_and_put_aside_when_it_is_too_long(make: Make, drafted: Drafted) -> None:
    rows: list[list[Any]] = [["text", "label"], *([row["text"], row["label"]] for row in labelled())]
    rows[5][0] = "word " * 30_000
    _, report = drafted(make("long.csv", table(rows)))
    assert report.quarantined == {"input is too long": 1}


@pytest.mark.parametrize("labels", [("007", "008"), ("NA", "null"), ("on", "off"), ("<b>", "&amp;"), ("😀", "مرحبا")])
def test_t18_odd_labels_stay_what_they_are(make: Make, drafted: Drafted, labels: tuple[str, str]) -> None:
    rows: list[list[Any]] = [["text", "label"], *([sentence(n), labels[n % 2]] for n in range(60))]
    workload, report = drafted(make("odd.csv", table(rows), "utf-16"))
    assert set(properties(workload)["label"]["enum"]) == set(labels)
    assert report.quarantined == {}


def test_t19_nan_is_null(make: Make, drafted: Drafted) -> None:
    text = "".join(
        f'{{"text": "{sentence(n)}", "amount": {"NaN" if n % 5 == 0 else n}, "label": "{LABELS[n % 3]}"}}\n'
        for n in range(60)
    )
    workload, report = drafted(make("nan.jsonl", text))
    assert inputs(workload) == ("text",)
    assert properties(workload)["amount"] == {"type": ["integer", "null"]}
    assert report.quarantined == {}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": ' + "[" * 100_000 + "]" * 100_000 + "}", r"nested more than 60 levels deep \(.*deep.jsonl:3\)"),
        ('{"text": ' + "[" * 70 + "]" * 70 + "}", r"nested more than 60 levels deep \(.*deep.jsonl:3\)"),
    ],
)
def test_t20_what_is_nested_too_deeply_is_refused_with_its_line(make: Make, line: str, message: str) -> None:
    rows = lines(labelled(2)) + line + "\n" + lines(labelled(5))
    with pytest.raises(DataError, match=message):
        read_input(make("deep.jsonl", rows))


def test_t20_a_whole_number_of_5000_digits_is_a_text(make: Make, drafted: Drafted) -> None:
    rows = labelled()
    text = lines(rows).replace('"text": "', '"number": ' + "9" * 5000 + ', "text": "', 1)
    _, report = drafted(make("digits.jsonl", text))
    assert report.quarantined == {}


def test_a_source_that_lies_where_its_rows_would_go_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "data" / "shop" / "all.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(lines(labelled()), encoding="utf-8")
    with pytest.raises(ConfigError, match="expected a source outside of data/shop, found the place where its rows go"):
        init_workload("shop", read_input(path), tmp_path)


def test_the_rows_are_written_as_they_were_understood(make: Make) -> None:
    reading = read_input(
        make(
            "a.csv",
            "My text;Sum;Paid\n" + "".join(f"{sentence(n)};{n},5;yes\n{sentence(n + 30)};1,25;no\n" for n in range(9)),
        )
    )
    row = rows_of(reading.source, reading.meaning)["all"][0]
    assert row == {"my_text": sentence(0), "sum": 0.5, "paid": True}


@pytest.mark.parametrize(("name", "cells"), [("message_no", "{}"), ("channel", "web"), ("customer_id", "c{}")])
def test_no_input_is_overwritten_by_a_column_whose_name_it_would_get(make: Make, name: str, cells: str) -> None:
    written = name.replace("_", " ") + "?"  # is written as the other column is called
    head = f"{written};{name};label\n"
    body = "".join(f"{sentence(n)};{cells.format(n)}{n % 2};{LABELS[n % 3]}\n" for n in range(60))
    reading = read_input(make("a.csv", head + body), roles={written: "input", "label": "answer"})
    first = rows_of(reading.source, reading.meaning)["all"][0]
    assert reading.meaning.inputs == {f"{name}_2": written}
    assert first == {f"{name}_2": sentence(0), name: f"{cells.format(0)}0", "label": LABELS[0]}


def test_texts_in_a_nested_answer_stay_texts_and_every_row_obeys_the_drafted_schema(
    make: Make, drafted: Drafted
) -> None:
    rows: list[dict[str, Any]] = [
        {"text": sentence(n), "intent": LABELS[n % 3], "slots": {"rating": [str(n % 6)], "sum": str(n), "yes": "yes"}}
        for n in range(60)
    ]
    rows[3]["slots"] = {}
    rows[4]["slots"] = {"sum": 5, "rating": [], "yes": None}
    workload, report = drafted(make("frames.jsonl", lines(rows)))
    slots = properties(workload)["slots"]
    assert slots["properties"]["rating"]["items"] == {"type": "string"}
    assert slots["required"] == []
    assert report.quarantined == {}
    assert json.loads((make("x", "").parent / "out/train.jsonl").read_text().splitlines()[0])["demonstration"]


def test_numbers_and_words_in_one_column_are_labels_and_texts_may_be_missing(make: Make, drafted: Drafted) -> None:
    rows: list[dict[str, Any]] = [
        {"text": sentence(n), "label": 1 if n % 2 else "other", "reply": f"Dear customer, {sentence(n + 1)}"}
        for n in range(60)
    ]
    rows[8]["reply"] = None
    workload, report = drafted(make("mixed.jsonl", lines(rows)))
    assert properties(workload) == {"label": {"enum": ["1", "other"]}, "reply": {"type": ["string", "null"]}}
    assert report.quarantined == {}


def completed(answers: list[Any]) -> str:
    """Prompts with these completions."""
    return lines([{"prompt": sentence(n), "completion": answer} for n, answer in enumerate(answers)])


def trained_on(path: Path) -> list[dict[str, Any]]:
    """The train examples that `drafted` left beside its source."""
    return [json.loads(line) for line in (path.parent / "out/train.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("answers", "labels"),
    [
        (["yes", "no"] * 30, ["no", "yes"]),
        (["True", "False"] * 30, ["False", "True"]),
        (["1", "2", "3"] * 20, ["1", "2", "3"]),
        ([f"{n}.50" for n in range(60)], None),
        ([f"{n},5{n % 10}" for n in range(60)], None),
        ([f"select a from t where x = {max(n, 1)}" for n in range(60)], None),
        (["N/A" if n % 9 == 0 else f"{n}.50" for n in range(60)], None),
    ],
)
def test_what_a_model_answered_stays_as_it_was_written(
    make: Make, drafted: Drafted, answers: list[str], labels: list[str] | None
) -> None:
    path = make("a.jsonl", completed(answers))
    reading = read_input(path)
    assert reading.meaning.output["answer"][1] == {"type": "string"} | ({"enum": labels} if labels else {})
    assert [row["answer"] for row in rows_of(reading.source, reading.meaning)["all"]] == answers
    assert drafted(path)[1].quarantined == {}
    assert {example["demonstration"] for example in trained_on(path)} <= set(answers)


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
@pytest.mark.parametrize("number", [lambda n: n, lambda n: 60 - n, lambda n: n * 7 % 60])
def test_the_index_that_pandas_writes_is_left_out(make: Make, name: str, number: Callable[[int], int]) -> None:
    rows: list[list[Any]] = [[name, "text", "label"]]
    rows += [[number(n), sentence(n), LABELS[n % 3]] for n in range(60)]
    made = read_input(make("index.csv", table(rows))).meaning
    assert (list(made.output), made.left_out) == (["label"], {name or "column_1": "it numbers the rows"})


def test_an_index_may_begin_again_in_each_part_and_other_numbers_without_a_name_are_answers(make: Make) -> None:
    for part, start in (("train", 0), ("test", 40)):
        rows = [["", "Unnamed: 1", "text"], *([n, n // 2, sentence(start + n)] for n in range(25))]
        made = read_input(make(f"d/{part}.csv", table(rows)).parent).meaning
    assert (list(made.output), made.left_out) == (["unnamed_1"], {"column_1": "it numbers the rows"})


@pytest.mark.parametrize("value", [sentence, float, lambda n: LABELS[n % 3], lambda n: n % 4 < 2, lambda n: ["x", "y"]])
def test_keys_of_an_answer_may_be_null_or_missing_where_they_are(
    make: Make, drafted: Drafted, value: Callable[[int], Any]
) -> None:
    answers: list[dict[str, Any]] = [
        {"name": f"n {n}", "null": None if n % 3 else value(n), **({} if n % 3 else {"gone": value(n)})}
        for n in range(60)
    ]
    path = make("keys.jsonl", completed([json.dumps(answer) for answer in answers]))
    workload, report = drafted(path)
    assert (workload.output["required"], report.quarantined) == (["name", "null"], {})
    assert all(json.loads(example["demonstration"]) in answers for example in trained_on(path))


def test_an_index_stays_left_out_when_rows_without_a_label_make_gaps_in_it(make: Make) -> None:
    rows = [["", "text", "label"], *([n, sentence(n), LABELS[n % 3] if n % 4 else ""] for n in range(60))]
    for path in (
        make("gaps.csv", table(rows)),
        make("d/train.csv", table([row for row in rows if row[2]])).parent,
    ):
        if path.is_dir():
            make("d/test.csv", table([rows[0], *(row for row in rows if not row[2])]))
        reading = read_input(path)
        assert list(reading.draft_rows.values()) == [45]
        assert (list(reading.meaning.output), reading.meaning.left_out) == (
            ["label"], {"column_1": "it numbers the rows"}
        )  # fmt: skip


def test_fences_in_prompts_stay(make: Make) -> None:
    prompts = [f"```json\n{json.dumps({'q': sentence(n)})}\n```" for n in range(60)]
    path = make("a.jsonl", lines([{"prompt": prompt, "completion": LABELS[n % 3]} for n, prompt in enumerate(prompts)]))
    reading = read_input(path)
    assert [row["text"] for row in rows_of(reading.source, reading.meaning)["all"]] == prompts


def test_a_draft_that_its_own_rows_do_not_obey_is_refused(make: Make, tmp_path: Path) -> None:
    reading = read_input(make("a.jsonl", lines(labelled(60))))
    reading.meaning.output["label"] = ("label", {"enum": ["refund", "delivery"]})
    with pytest.raises(
        DataError,
        match=r"drafted from them, found 20 of 60 that do not, such as all.jsonl:3: label: 'other' is not one of",
    ):
        init_workload("shop", reading, tmp_path / "project")
    assert not (tmp_path / "project").exists()


def test_a_part_without_answers_is_left_out_and_told(make: Make) -> None:
    make("d/train.csv", table([["id", "text", "label"], *([n, sentence(n), LABELS[n % 3]] for n in range(40))]))
    path = make("d/test.csv", table([["id", "text", "seen"], *([n, sentence(n), "x"] for n in range(40, 60))])).parent
    reading = read_input(path, roles={"seen": "leave"})
    assert reading.draft_rows == {"train": 40}
    assert reading.source.notes[0] == "the part test is left out: none of its 20 rows has `label`"
    assert reading.meaning.output == {"label": ("label", {"enum": sorted(LABELS)})}


@pytest.mark.parametrize("value", [lambda n: LABELS[n % 3], lambda n: "yes" if n % 3 else "no", lambda n: n % 3 + 0.5])
def test_rows_that_nobody_labelled_are_left_out_and_told(make: Make, value: Callable[[int], Any]) -> None:
    rows: list[list[Any]] = [["text", "label"], *([sentence(n), value(n) if n % 2 else ""] for n in range(60))]
    reading = read_input(make("half.csv", table(rows)))
    assert reading.draft_rows == {"all": 30}
    assert reading.source.notes == ("30 of 60 rows are left out: they have no `label`",)
    written = rows_of(reading.source, reading.meaning)["all"]
    assert [row["text"] for row in written] == [sentence(n) for n in range(1, 60, 2)]
    assert None not in [row["label"] for row in written]


@pytest.mark.parametrize(
    ("text", "column", "value", "guesses"),
    [
        ("{0}", "amount", "{1}.25", ["rows without an answer teach null: `amount` in 15 of 60"]),
        ("{0}, no. XK-{1}", "order", "XK-{1}", []),
    ],
)
def test_values_that_a_text_may_lack_teach_null_and_are_counted(
    make: Make, text: str, column: str, value: str, guesses: list[str]
) -> None:
    rows = [["text", column], *([text.format(sentence(n), n), value.format(0, n) if n % 4 else ""] for n in range(60))]
    reading = read_input(make("some.csv", table(rows)))
    assert (reading.draft_rows, reading.meaning.guesses) == ({"all": 60}, guesses)
    assert "null" in reading.meaning.output[column][1]["type"]


def test_answers_of_two_kinds_are_refused_with_their_numbers(make: Make) -> None:
    call = {"function": {"name": "look_up", "arguments": '{"city": "Rome"}'}}
    chats = [
        {
            "messages": [
                {"role": "user", "content": sentence(n)},
                {"role": "assistant", "content": sentence(n + 1)}
                if n % 3
                else {"role": "assistant", "tool_calls": [call]},
            ]
        }
        for n in range(60)
    ]
    with pytest.raises(DataError, match=r"answers of one kind in `answer`, found texts \(40\) and objects \(20\)"):
        read_input(make("tools.jsonl", lines(chats)))


@pytest.mark.parametrize("form", ["{}", "```json\n{}\n```", "```\n{}\n```", "```{}```"])
def test_objects_are_read_out_of_their_fences_and_refusals_among_them_left_out(
    make: Make, drafted: Drafted, form: str
) -> None:
    answers = [form.format(json.dumps({"label": row["label"]})) for row in labelled(60)]
    answers[7] = answers[30] = "Sorry, I cannot say."
    path = make("fence.jsonl", completed(answers))
    workload, report = drafted(path)
    assert (properties(workload), report.rows) == ({"label": {"enum": sorted(LABELS)}}, 58)
    assert read_input(path).source.notes == (
        "2 of 60 rows are left out: `answer` is of another kind than in the others",
    )


@pytest.mark.parametrize("nothing", ["NaN", "N/A", "null", "-", "None"])
def test_words_for_nothing_among_numbers_and_dates_are_null(make: Make, nothing: str) -> None:
    rows: list[list[Any]] = [["text", "label", "amount", "sent_on"]]
    for n in range(60):
        amount, day = (nothing, nothing) if n % 5 == 0 else (f"{n}.25", f"2024-01-{n % 28 + 1:02d}")
        rows.append([sentence(n), [*LABELS, nothing][n % 4], amount, day])
    reading = read_input(make("nan.csv", table(rows)))
    assert (list(reading.meaning.inputs), reading.meaning.date) == (["text"], "sent_on")
    assert reading.meaning.output["amount"][1] == {"type": ["number", "null"]}
    assert reading.meaning.output["label"][1] == {"enum": sorted([*LABELS, nothing], key=str.lower)}
    first = rows_of(reading.source, reading.meaning)["all"][0]
    assert (first["amount"], first["sent_on"]) == (None, None)


def test_words_for_nothing_among_numbers_may_be_labels(make: Make) -> None:
    rows: list[list[Any]] = [["text", "priority"], *([sentence(n), ["1", "2", "none"][n % 3]] for n in range(60))]
    made = read_input(make("none.csv", table(rows))).meaning
    assert made.output["priority"][1] == {"enum": ["1", "2", "none"]}


def test_a_label_that_all_rows_share_is_named_with_the_reason(make: Make) -> None:
    rows: list[list[Any]] = [["text", "label"], *([sentence(n), "refund"] for n in range(30))]
    with pytest.raises(DataError, match=r"beside `text`, found label \(the same value in every row\) \("):
        read_input(make("one.csv", table(rows)))


def test_the_only_answer_may_be_a_date_that_the_texts_have(make: Make, drafted: Drafted) -> None:
    days = [f"2024-01-{n % 28 + 1:02d}" for n in range(60)]
    rows = [["text", "date"], *([f"{sentence(n)}, can you come on {day}?", day] for n, day in enumerate(days))]
    workload, report = drafted(make("day.csv", table(rows)))
    assert (list(properties(workload)), workload.dated_by, report.quarantined) == (["date"], None, {})


def test_a_date_that_a_person_named_is_no_answer(make: Make) -> None:
    days = [f"2024-01-{n % 28 + 1:02d}" for n in range(60)]
    rows = [["text", "notes", "day"], *([f"{sentence(n)} on {day}", f"{n} {day}?", day] for n, day in enumerate(days))]
    made = read_input(make("day.csv", table(rows)), roles={"day": "date"}).meaning
    assert (list(made.output), made.date) == (["notes"], "day")


@pytest.mark.parametrize("value", [lambda n: n / 7e5, lambda n: 10.0 ** -(n % 6), lambda n: n * 0.1 + 1e-17])
@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_floats_of_any_length_are_numbers_in_every_format(
    make: Make, tmp_path: Path, form: str, value: Callable[[int], float]
) -> None:
    import pandas as pd

    path = make(f"a.{form}", "")
    frame = pd.DataFrame({"text": [sentence(n) for n in range(60)], "score": [value(n) for n in range(60)]})
    if form == "parquet":
        frame.to_parquet(path)
    else:
        path.write_text(frame.to_csv(index=False) if form == "csv" else lines(frame.to_dict("records")), "utf-8")
    reading = read_input(path)
    assert reading.meaning.output == {"score": ("score", {"type": "number"})}
    assert init_workload("shop", reading, tmp_path / "project")  # its rows obey the draft


def test_long_whole_numbers_are_texts_in_parquet_as_in_json(make: Make) -> None:
    import pyarrow
    from pyarrow import parquet

    codes = [10**18 + 7 * n for n in range(60)]
    columns = {
        "text": [sentence(n) for n in range(60)],
        "code": codes,
        "serial": pyarrow.array([Decimal(code) for code in codes], pyarrow.decimal128(20, 0)),
        "pages": pyarrow.array([Decimal(n) for n in range(60)], pyarrow.decimal128(5, 0)),
    }
    path = make("a.parquet", "")
    parquet.write_table(pyarrow.table(columns), path)
    reading = read_input(path)
    schemas = {name: schema for name, (_, schema) in reading.meaning.output.items()}
    code = {"type": "string", "pattern": r"^\d{19}$"}
    assert schemas == {"code": code, "serial": code, "pages": {"type": "integer"}}
    last = rows_of(reading.source, reading.meaning)["all"][-1]
    assert (last["code"], last["serial"], last["pages"]) == (str(codes[-1]), str(codes[-1]), 59)


@pytest.mark.parametrize("name", ["refund", "label"])
def test_true_and_false_beside_a_text_in_a_workbook_are_labels(make: Make, tmp_path: Path, name: str) -> None:
    from openpyxl import Workbook

    book = Workbook()
    assert book.active is not None
    for row in [["text", name], *([sentence(n), [True, False, "maybe"][n % 3]] for n in range(60))]:
        book.active.append(row)
    path = make("a.xlsx", "")
    book.save(path)
    reading = read_input(path)
    assert reading.meaning.output == {name: (name, {"enum": ["false", "maybe", "true"]})}
    assert init_workload("shop", reading, tmp_path / "project")  # its rows obey the draft


@pytest.mark.parametrize("unsaved", [True, False])
def test_a_column_that_is_empty_in_every_row_is_named_with_the_reason(make: Make, unsaved: bool) -> None:
    from openpyxl import Workbook

    book = Workbook()
    assert book.active is not None
    for row in [["text", "label"], *([sentence(n), '=IF(1=1,"a","b")' if unsaved else None] for n in range(30))]:
        book.active.append(row)
    path = make("a.xlsx", "")
    book.save(path)
    why = ": its formulas have no saved results, open the workbook in Excel and save it" if unsaved else ""
    with pytest.raises(DataError, match=rf"beside `text`, found label \(empty in every row{why}\) \("):
        read_input(path)


@pytest.mark.parametrize(
    ("quantities", "price", "schema", "first", "guess"),
    [
        (
            ["1.250", "980", "7.310"],
            "{},5",
            {"type": "integer"},
            1250,
            "1.250 in `menge` is read as 1250, since `preis`",
        ),
        (["1.250", "3.400", "7.310"], "{},5", {"type": "integer"}, 1250, "1.250 in `menge` is read as 1250, since"),
        (["1,250", "980", "7,310"], "{}.5", {"type": "integer"}, 1250, "1,250 in `menge` is read as 1250, since"),
        (["1.250", "980", "7.310"], "{}.5", {"type": "number"}, 1.25, "1.250 in `menge` is read as 1.25, since"),
        (["1.250", "980", "7.310"], "{}", {"type": "string"}, "1.250", "`menge` stays text, since nothing tells"),
        (["1,250", "980", "7,310"], "{}", {"type": "string"}, "1,250", "`menge` stays text, since nothing tells"),
        (["1.250", "0.980", "7.310"], "{}", {"type": "number"}, 1.25, None),
        (["1.250", "3.400", "7.310"], "{}.5", {"type": "number"}, 1.25, None),
    ],
)
def test_a_sign_of_thousands_or_decimals_is_read_as_the_other_columns_tell(
    make: Make, quantities: list[str], price: str, *, schema: dict[str, Any], first: Any, guess: str | None
) -> None:
    menge = [quantities[0], *(f"{int(q[0]) + n % 90}{q[1:]}" for n in range(59) for q in [quantities[n % 3]])]
    rows: list[list[Any]] = [["text", "menge", "preis"]]
    rows += [[sentence(n), menge[n], price.format(n)] for n in range(60)]
    reading = read_input(make("mengen.csv", table(rows, ";")))
    assert reading.meaning.output["menge"][1] == schema
    assert rows_of(reading.source, reading.meaning)["all"][0]["menge"] == first
    assert [said[: len(guess or "")] for said in reading.meaning.guesses] == ([guess] if guess else [])


def test_where_commas_part_the_cells_decimals_stand_behind_points(make: Make) -> None:
    rows: list[list[Any]] = [["text", "stars", "views"]]
    rows += [[sentence(n), ["1", "1.333", "2.667"][n % 3], f"{n},250" if n else "980"] for n in range(60)]
    reading = read_input(make("rated.csv", table(rows)))
    assert [schema for _, schema in reading.meaning.output.values()] == [{"type": "number"}, {"type": "integer"}]
    first = rows_of(reading.source, reading.meaning)["all"][1]
    assert (first["stars"], first["views"]) == (1.333, 1250)
    assert [said.partition(", since ")[2] for said in reading.meaning.guesses] == ["commas part cells"] * 2


def day(n: int) -> str:
    return f"2024-01-{n % 28 + 1:02d}"


@pytest.mark.parametrize(
    "name", ["Erstellt am", "fecha", "opened", "when", "day", "ts", "Eingang", "Zeitstempel", "dato"]
)
@pytest.mark.parametrize("form", ["{}", "{} 13:45:00", "{}T13:45:00.123Z"])
def test_dates_under_any_name_are_the_rows_date(make: Make, name: str, form: str) -> None:
    rows: list[list[Any]] = [["text", name, "label"]]
    rows += [[sentence(n), form.format(day(n)), LABELS[n % 3]] for n in range(60)]
    reading = read_input(make("a.csv", table(rows)))
    assert (list(reading.meaning.output), reading.meaning.date) == (["label"], name)
    assert rows_of(reading.source, reading.meaning)["all"][0][name] == "2024-01-01"


@pytest.mark.parametrize(
    ("name", "text"),
    [("when", "come on {day}"), ("day", "come on the {n}th"), ("due_date", "soon"), ("deadline", "soon")],
)
def test_dates_that_a_text_is_read_for_are_answers(make: Make, name: str, text: str) -> None:
    rows: list[list[Any]] = [["text", name, "label"]]
    for n in range(60):
        asked = text.format(day=day(n), n=n % 28 + 1)
        rows.append([f"{sentence(n)}, {asked}", day(n), LABELS[n % 3]])
    made = read_input(make("a.csv", table(rows))).meaning
    assert (list(made.output), made.date) == ([name, "label"], None)


def test_a_column_called_time_is_the_date_before_one_that_only_has_dates(make: Make) -> None:
    rows: list[list[Any]] = [["text", "start", "label", "created_at"]]
    rows += [[sentence(n), day(n), LABELS[n % 3], day(n + 1)] for n in range(60)]
    made = read_input(make("a.csv", table(rows))).meaning
    assert (made.date, made.left_out, made.guesses) == ("created_at", {"start": "a time stamp"}, [])
    made = read_input(make("a.csv", table(rows)), roles={"start": "date"}).meaning
    assert (made.date, made.left_out) == ("start", {"created_at": "a time stamp"})


@pytest.mark.parametrize("written", [day, lambda n: f"0{n % 9 + 1}/0{n % 7 + 1}/2024"])
def test_dates_alone_beside_a_text_are_the_answer(make: Make, written: Callable[[int], str]) -> None:
    rows: list[list[Any]] = [["text", "resolved"], *([sentence(n), written(n)] for n in range(60))]
    made = read_input(make("a.csv", table(rows))).meaning
    assert (list(made.output), made.date) == (["resolved"], None)
    assert made.guesses == ["`resolved` is taken for the answer, since no other column looks like one"]


@pytest.mark.parametrize("seconds", [lambda s: s + 0.123, lambda s: s * 10**3 + 0.5, lambda s: s * 10**6])
def test_seconds_since_1970_and_parts_of_them_are_dates(make: Make, seconds: Callable[[int], float]) -> None:
    rows = [{**row, "timestamp": seconds(1_704_273_000 + 86_400 * n)} for n, row in enumerate(labelled())]
    reading = read_input(make("a.jsonl", lines(rows)))
    assert (list(reading.meaning.output), reading.meaning.date) == (["label"], "timestamp")
    assert [row["timestamp"] for row in rows_of(reading.source, reading.meaning)["all"]][:2] == [
        "2024-01-03",
        "2024-01-04",
    ]


@pytest.mark.parametrize("number", [lambda n: 45_300 + n, lambda n: 45_300.5 + n, lambda n: 915_148_800 + n])
def test_numbers_that_count_time_in_ways_that_are_not_read_are_left_out(
    make: Make, number: Callable[[int], Any]
) -> None:
    rows = [
        {**row, "date": number(n), "wait_time": n, "closed_price": 35_000 + 50 * n} for n, row in enumerate(labelled())
    ]
    made = read_input(make("a.jsonl", lines(rows))).meaning
    assert list(made.output) == ["label", "wait_time", "closed_price"]
    assert list(made.left_out) == ["date"]


@pytest.mark.parametrize("name", ["emotions", "tags", "moods"])
def test_lists_as_pandas_writes_them_are_lists(make: Make, tmp_path: Path, name: str) -> None:
    import pandas as pd

    lists = [[mood for bit, mood in enumerate(["joy", "it's", 'a "b"']) if (n + 1) >> bit & 1] for n in range(60)]
    frame = pd.DataFrame({"text": [sentence(n) for n in range(60)], name: lists})
    path = make("a.csv", frame.to_csv(index=False))
    reading = read_input(path)
    assert (reading.meaning.kind, reading.meaning.output["answer"][0]) == ("list", name)
    assert f"`{name}` has lists or objects in Python's notation, which are read as such" in reading.meaning.guesses
    assert [row["answer"] for row in rows_of(reading.source, reading.meaning)["all"]] == lists
    assert init_workload("shop", reading, tmp_path / "project")  # its rows obey the draft


def test_lists_as_pandas_writes_them_are_the_text_where_nothing_else_is(make: Make) -> None:
    rows = [["ingredients", "label"], *([str([f"salt {n}", "flour"]), LABELS[n % 3]] for n in range(60))]
    made = read_input(make("a.csv", table(rows))).meaning
    assert (list(made.inputs), list(made.output), made.guesses) == (["ingredients"], ["label"], [])
    assert made.columns["ingredients"].values[0] == "['salt 0', 'flour']"


def test_objects_as_python_writes_them_are_objects(make: Make) -> None:
    slots = [{"city": f"c {n}", "seats": None if n % 2 else n, "cheap": n % 3 == 0} for n in range(60)]
    rows = [["text", "slots"], *([sentence(n), str(slot)] for n, slot in enumerate(slots))]
    reading = read_input(make("a.csv", table(rows)))
    assert reading.meaning.output["seats"][1] == {"type": ["integer", "null"]}
    assert rows_of(reading.source, reading.meaning)["all"][1] == {"text": sentence(1)} | slots[1]


@pytest.mark.parametrize(
    "cells",
    [
        ["['joy' 'anger']", "['joy']", "[]"],  # as numpy writes them: for Python one text
        ["['joy'\n 'anger']"] * 3,
        ["['joy', 'anger']", "['joy', nan]", "[]"],
        ["{'joy', 'anger'}", "{'joy'}", "[]"],
        ["['joy', 'anger']", "none of them", "[]"],
        ["[" * 300 + "]" * 300, "['joy']", "[]"],
        ["[" + "-" * 9_000 + "1]", "['joy']", "[]"],
    ],
)
def test_what_is_not_certainly_a_list_in_every_cell_stays_text(make: Make, cells: list[str]) -> None:
    rows = [["text", "mood"], *([sentence(n), cells[n % 3]] for n in range(60))]
    made = read_input(make("a.csv", table(rows)), roles={"mood": "answer"}).meaning
    assert set(made.columns["mood"].filled) == set(cells)


def test_a_text_in_brackets_stays_the_input(make: Make) -> None:
    rows = [["text", "label"], *([str([sentence(n)]), LABELS[n % 3]] for n in range(60))]
    made = read_input(make("a.csv", table(rows))).meaning
    assert (list(made.inputs), made.columns["text"].values[0]) == (["text"], str([sentence(0)]))


def test_a_batchs_requests_alone_are_refused(make: Make) -> None:
    rows = [
        {"custom_id": f"r{n}", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": []}}
        for n in range(60)
    ]
    with pytest.raises(DataError, match="found a batch with only requests: put the batch's output file into the same"):
        read_input(make("requests.jsonl", lines(rows)))


def test_what_is_the_same_in_every_row_is_no_text(make: Make) -> None:
    rows = [["note", "n"], *(["the same words in every row", n] for n in range(60))]
    with pytest.raises(DataError, match="expected a column of varied text, found none among note, n"):
        read_input(make("a.csv", table(rows)))
