"""What people wrote down in annotation tools, and sets for evaluations."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.data.init import Reading, read_input
from components.data.reading.folders import Options
from components.errors import DataError
from tests.components.data.conftest import sentence

LABELS = ("refund", "delivery", "other")
N = 30
ROWS = [(sentence(n), LABELS[n % 3]) for n in range(N)]


def read(path: Path, records: list[Any]) -> Reading:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return read_input(path, Options())


def rows(reading: Reading) -> list[dict[str, Any]]:
    return list(reading.source.parts["all"].rows)


def task(text: str, *annotations: dict[str, Any]) -> dict[str, Any]:
    return {"id": 1, "data": {"text": text}, "annotations": list(annotations)}


def chosen(*labels: str, **others: Any) -> dict[str, Any]:
    value = {"from_name": "intent", "type": "choices", "value": {"choices": list(labels)}}
    return {"was_cancelled": False, "created_at": "2026-01-01", "result": [value], **others}


@pytest.mark.parametrize(
    "record",
    [
        lambda text, label: {"inputs": {"question": text}, "outputs": {"answer": label}, "metadata": {}},
        lambda text, label: {"inputs": json.dumps({"question": text}), "outputs": json.dumps({"answer": label})},
        lambda text, label: {"inputs": {"question": text}, "expectations": {"expected_response": label}},
        lambda text, label: {"input": {"text": text}, "expected": label, "output": "what a model wrote"},
        lambda text, label: {"inputs": {"q": text}, "reference_outputs": {"intent": label}, "outputs": {"intent": "x"}},
    ],
)
def test_what_is_expected_is_the_answer_to_inputs(tmp_path: Path, record: Any) -> None:
    reading = read(tmp_path / "a.jsonl", [record(text, label) for text, label in ROWS])
    assert [(row["text"], row["answer"]) for row in rows(reading)] == ROWS
    assert reading.meaning.kind == "label"


def test_fields_of_an_expected_object_and_several_inputs_become_columns(tmp_path: Path) -> None:
    records = [
        {
            "input": {"ticket": text, "channel": "mail" if n % 2 else "chat"},
            "expected": {"intent": label, "urgent": n > 9},
        }
        for n, (text, label) in enumerate(ROWS)
    ]
    reading = read(tmp_path / "a.jsonl", records)
    assert set(reading.meaning.output) == {"intent", "urgent"}
    assert {"ticket", "channel"} <= rows(reading)[0].keys()


def test_label_studio_counts_the_truth_else_the_latest_and_leaves_out_what_was_cancelled(tmp_path: Path) -> None:
    later = "2026-02-01"
    records = [
        task(ROWS[0][0], chosen("other"), chosen("refund", ground_truth=True), chosen("other", created_at=later)),
        task(ROWS[1][0], chosen("other"), chosen("delivery", created_at=later)),
        task(ROWS[2][0], chosen("other", was_cancelled=True)),
        task(ROWS[3][0]),
        *(task(text, chosen(label)) for text, label in ROWS[4:]),
    ]
    reading = read(tmp_path / "a.jsonl", records)
    answers = [row["answer"]["intent"] for row in rows(reading)]
    assert answers == ["refund", "delivery", *(label for _, label in ROWS[4:])]
    assert any("2 of 30 records have no question or no answer" in note for note in reading.source.notes)


def test_label_studio_keeps_several_choices_marks_texts_and_numbers(tmp_path: Path) -> None:
    results = [
        {"from_name": "topics", "type": "choices", "value": {"choices": ["a", "b"]}},
        {"from_name": "marks", "type": "labels", "value": {"start": 0, "end": 2, "text": "My", "labels": ["WHO"]}},
        {"from_name": "why", "type": "textarea", "value": {"text": ["because"]}},
        {"from_name": "stars", "type": "rating", "value": {"rating": 4}},
        {"from_name": "place", "type": "taxonomy", "value": {"taxonomy": [["home", "garden"]]}},
    ]
    records = [task(text, {"result": results}) for text, _ in ROWS]
    records.append(task(ROWS[0][0], {"result": [*results[1:], {**results[0], "value": {"choices": ["a"]}}]}))
    assert rows(read(tmp_path / "a.jsonl", records))[-1]["answer"] == {
        "marks": [{"label": "WHO", "text": "My"}],
        "why": "because",
        "stars": 4,
        "place": "home / garden",
        "topics": ["a"],
    }


def test_prodigy_counts_what_was_accepted(tmp_path: Path) -> None:
    verdicts = ["accept", "accept", "reject", "ignore"]
    records = [
        {"text": text, "accept": [label], "options": [], "answer": verdicts[n % 4], "_input_hash": n}
        for n, (text, label) in enumerate(ROWS)
    ]
    wanted = [(text, label) for n, (text, label) in enumerate(ROWS) if verdicts[n % 4] == "accept"]
    got = rows(read(tmp_path / "a.jsonl", records))
    assert [(row["text"], row["answer"]["label"]) for row in got] == wanted


def test_all_parts_of_prodigy_have_lists_where_one_has_several_options(tmp_path: Path) -> None:
    for part, options in (("train", ["refund", "other"]), ("test", ["refund"])):
        records = [{"text": f"{text} {part}", "accept": options, "answer": "accept"} for text, _ in ROWS]
        (tmp_path / f"{part}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    parts = read_input(tmp_path, Options()).source.parts
    assert {part: table.rows[0]["answer"] for part, table in parts.items()} == {
        "train": {"label": ["refund", "other"]},
        "test": {"label": ["refund"]},
    }


def test_prodigys_spans_are_pieces_of_the_text_and_not_a_trace(tmp_path: Path) -> None:
    records = [
        {"text": text, "spans": [{"start": 0, "end": 3, "label": label}], "answer": "accept"} for text, label in ROWS
    ]
    assert [row["answer"] for row in rows(read(tmp_path / "a.jsonl", records))] == [
        {"entities": [{"label": label, "text": text[:3]}]} for text, label in ROWS
    ]


def test_a_text_without_spans_in_prodigy_has_an_empty_answer(tmp_path: Path) -> None:
    records = [
        {"text": text, "spans": [{"start": 0, "end": 3, "label": label}] if n % 2 else [], "answer": "accept"}
        for n, (text, label) in enumerate(ROWS)
    ]
    got = [row["answer"]["entities"] for row in rows(read(tmp_path / "a.jsonl", records))]
    assert got == [[{"label": label, "text": text[:3]}] if n % 2 else [] for n, (text, label) in enumerate(ROWS)]


@pytest.mark.parametrize(
    "columns",
    [
        {"spans": []},
        {"spans": [{"start": 0, "end": 3, "type": "WHO"}]},
        {"spans": None},
        {"info": "from a shop", "data": "of May"},
        {"trace": {"batch": "7", "machine": "2"}},
    ],
)
def test_columns_named_as_those_of_traces_make_no_trace_of_a_row(tmp_path: Path, columns: dict[str, Any]) -> None:
    reading = read(tmp_path / "a.jsonl", [{"text": text, "label": label, **columns} for text, label in ROWS])
    assert [(row["text"], row["label"]) for row in rows(reading)] == ROWS


@pytest.mark.parametrize("values", ["a text", ["a", "list"], 7, None])
def test_responses_of_argilla_that_hold_no_questions_are_no_answer(tmp_path: Path, values: Any) -> None:
    records = [
        {"fields": {"text": text}, "responses": [{"values": {"intent": {"value": label}}}]} for text, label in ROWS
    ]
    records.append({"fields": {"text": "another"}, "responses": [{"values": values}]})
    assert len(rows(read(tmp_path / "a.jsonl", records))) == N


def test_argilla_counts_what_most_say(tmp_path: Path) -> None:
    def two(text: str, *labels: str) -> dict[str, Any]:
        responses = [{"value": label, "user_id": str(n)} for n, label in enumerate(labels)]
        return {"id": text, "fields": {"text": text}, "responses": {"intent": responses}}

    def older(text: str, *labels: str) -> dict[str, Any]:
        responses = [{"values": {"intent": {"value": label}}, "status": "submitted"} for label in labels]
        draft = {"values": {"intent": {"value": "other"}}, "status": "draft"}
        return {"fields": {"text": text}, "responses": [*responses, draft, draft, draft]}

    for record in (two, older):
        records = [record(text, label, "refund", label) for text, label in ROWS[:-1]]
        records.append(record(ROWS[-1][0], "refund", "other"))
        got = rows(read(tmp_path / "a.jsonl", records))
        assert [(row["text"], row["answer"]["intent"]) for row in got] == ROWS[:-1]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("<?xml version='1.0'?>\n<rows><row>a</row></rows>", "XML"),
        ("<rows>\n<row a='1'>My lamp, it is late</row></rows>\n", "XML"),
        ("<!DOCTYPE html>\n<html><table></table></html>", "HTML"),
    ],
)
def test_markup_is_named(tmp_path: Path, text: str, kind: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=f"expected rows of data, found {kind}: convert its rows to .csv or .jsonl"):
        read_input(tmp_path / "a.csv", Options())


def test_a_table_whose_texts_hold_tags_stays_a_table(tmp_path: Path) -> None:
    written = "".join(f'"<b>{text}</b>",{label}\n' for text, label in ROWS)
    (tmp_path / "a.csv").write_text("<b>text</b>,label\n" + written)
    assert len(rows(read_input(tmp_path / "a.csv", Options()))) == N
