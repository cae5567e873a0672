"""Which answers teach: corrected ones, and those scored as right."""

from pathlib import Path

import pytest

from components.params import LabellingParams
from components.params.answers import enveloped
from components.records import Feedback, Message, Record, Scored, Trace, Usage
from monitoring.candidates import Terms, candidates, obeying
from monitoring.labelling import is_drawn
from monitoring.lake import Lake


def answered(name: str, text: str = '{"kind": "late"}', **settings: object) -> Trace:
    return Trace.model_validate({
        "id": name, "at": 100.0, "workload": "shop", "version": 1, "method": "sft", "input": {"message": name},
        "messages": (Message(role="user", content=name),), "text": text, "finish_reason": "stop",
        "usage": Usage(input_tokens=1, output_tokens=1), "latency_ms": 1.0, "valid": True, **settings,
    })  # fmt: skip


def scored(name: str, value: float) -> Scored:
    return Scored(trace_id=name, at=101.0, workload="shop", source="feedback", value=value, passed=value >= 1)


def lake(folder: Path, *records: Record) -> Lake:
    stored = Lake(folder)
    stored.store("1", [record.model_dump_json() for record in records])
    return stored


def test_corrected_and_right_answers_teach(tmp_path: Path) -> None:
    correction = Feedback(trace_id="a", at=101.0, workload="shop", corrected='{"kind": "bill"}')
    kept = candidates(
        lake(tmp_path, answered("a"), answered("b"), answered("c"), answered("d"), correction, scored("a", 0.0),
             scored("b", 1.0), scored("c", 0.5)),
        "shop", 0.0, Terms(1.0, ["kind=late"]),
    )  # fmt: skip
    assert [(candidate.trace_id, candidate.answer, candidate.source) for candidate in kept] == [
        ("a", '{"kind": "bill"}', "corrected"), ("b", '{"kind": "late"}', "scored"),
    ]  # fmt: skip
    assert all(candidate.moved for candidate in kept)


@pytest.mark.parametrize(
    ("field", "text", "moved", "marked"),
    [
        ("kind", "late", "valid=invalid", True),
        ("valid", "late", "valid (whole)=invalid", True),
        ("valid", "late", "valid=invalid", False),
        ("valid", '{"valid": "invalid"}', "valid=invalid", True),
    ],
)
def test_an_answer_is_in_the_slice_of_invalid_ones_whatever_fields_are_called(
    tmp_path: Path, field: str, text: str, moved: str, marked: bool
) -> None:
    schema = {"type": "object", "properties": {field: {"enum": ["late", "invalid"]}}, "required": [field]}
    correction = Feedback(trace_id="a", at=101.0, workload="shop", corrected=f'{{"{field}": "late"}}')
    stored = lake(tmp_path, answered("a", text, valid=False), correction)
    (right,) = candidates(stored, "shop", 0.0, Terms(1.0, [moved], schema))
    assert right.moved == marked


def test_an_answer_that_was_cut_teaches_only_as_it_was_corrected_and_judges_as_it_was_confirmed(tmp_path: Path) -> None:
    schema = enveloped({"type": "string"})
    cuts = [answered(name, "The customer wants", finish_reason="length") for name in ("scored", "corrected")]
    correction = Feedback(trace_id="corrected", at=101.0, workload="shop", corrected="The customer wants a lamp")
    kept = candidates(
        lake(tmp_path / "free", *cuts, scored("scored", 1.0), correction), "shop", 0.0, Terms(1.0, (), schema)
    )
    assert [(candidate.trace_id, candidate.answer) for candidate in kept] == [
        ("corrected", "The customer wants a lamp")
    ]
    confirmed = Feedback(trace_id="scored", at=101.0, workload="shop", score=1.0, sender="r", reviewer=True)
    terms = Terms(1.0, (), schema, LabellingParams(share=1.0))
    (judging,) = candidates(lake(tmp_path / "drawn", cuts[0], confirmed), "shop", 0.0, terms)
    assert judging.drawn and judging.answer == "The customer wants"


def test_unseen_answers_free_conversations_and_broken_corrections_do_not(tmp_path: Path) -> None:
    corrections = [Feedback(trace_id=name, at=101.0, workload="shop", corrected=text)
                   for name, text in {"shadow": "{}", "free": "{}", "broken": "a lamp"}.items()]  # fmt: skip
    kept = candidates(
        lake(tmp_path, answered("shadow", returned=False), answered("free", input={}), answered("broken"),
             *corrections),
        "shop", 0.0, Terms(1.0),
    )  # fmt: skip
    assert kept == []


def test_a_sample_of_a_window_is_the_same_each_time_and_counts_all(tmp_path: Path) -> None:
    store = Lake(tmp_path)
    for part in range(3):
        traces = [answered(f"{part}-{number}", at=100.0 + part) for number in range(500)]
        store.store(str(part), [trace.model_dump_json() for trace in traces])
    other = answered("other", version=2)
    store.store("other", [other.model_dump_json()])
    rows, total = store.sample("shop", 1, (0.0, 103.0), 100)
    assert (len(rows), total) == (100, 1500)
    assert store.sample("shop", 1, (0.0, 103.0), 100) == (rows, total)
    assert {row.id.split("-")[0] for row in rows} == {"0", "1", "2"}
    assert store.sample("shop", 1, (101.0, 102.0), 1000)[1] == 500
    assert store.sample("shop", 3, (0.0, 103.0), 100) == ([], 0)


def test_the_least_score_applies_to_the_value(tmp_path: Path) -> None:
    store = lake(tmp_path, answered("a"), answered("b"), scored("a", 0.9), scored("b", 0.7))
    assert [candidate.trace_id for candidate in candidates(store, "shop", 0.0, Terms(0.8))] == ["a"]


def test_feedback_of_others_and_contradictions_teach_nothing(tmp_path: Path) -> None:
    def corrected(name: str, text: str, **sender: object) -> Feedback:
        words = {"trace_id": name, "at": 101.0, "workload": "shop", "corrected": text, **sender}
        return Feedback.model_validate(words)

    records = [
        answered("mine", caller="asker"), corrected("mine", "{}", sender="asker"),
        answered("theirs", caller="asker"), corrected("theirs", "{}", sender="another"),
        answered("open"), corrected("open", "{}"),
        answered("disputed"), corrected("disputed", "{}"), corrected("disputed", '{"a": 1}'), scored("disputed", 1.0),
        answered("reviewed", caller="asker"), corrected("reviewed", "{}", sender="r", reviewer=True),
        scored("theirs", 1.0),
    ]  # fmt: skip
    kept = candidates(lake(tmp_path, *records), "shop", 0.0, Terms(1.0))
    assert {candidate.trace_id: (candidate.source, candidate.sender, candidate.reviewed) for candidate in kept} == {
        "mine": ("corrected", "asker", False), "open": ("corrected", "", False), "reviewed": ("corrected", "r", True),
        "theirs": ("scored", "", False),
    }  # fmt: skip


def test_an_answer_that_breaks_the_schema_is_left_out(tmp_path: Path) -> None:
    corrections = [Feedback(trace_id=name, at=101.0, workload="shop", corrected=text)
                   for name, text in {"a": '{"kind": "late"}', "b": '{"kind": "<phone>"}'}.items()]  # fmt: skip
    kept = candidates(lake(tmp_path, answered("a"), answered("b"), *corrections), "shop", 0.0, Terms(1.0))
    schema = {"type": "object", "properties": {"kind": {"enum": ["late"]}}}
    assert [candidate.trace_id for candidate in kept] == ["a", "b"]
    assert [candidate.trace_id for candidate in obeying(kept, schema)] == ["a"]


DRAWN = [name for name in map(str, range(400)) if is_drawn(name, 0.1)]
OTHER = next(name for name in map(str, range(400)) if not is_drawn(name, 0.1))
LABELLING = LabellingParams(share=0.1, complete=0.9)


def reviewed(name: str) -> Feedback:
    return Feedback(trace_id=name, at=101.0, workload="shop", corrected='{"kind": "bill"}', sender="r", reviewer=True)


def taken(folder: Path, *records: Record) -> dict[str, bool]:
    """The candidates, and whether each was drawn to judge by."""
    kept = candidates(lake(folder, *records), "shop", 0.0, Terms(1.0, labelling=LABELLING))
    return {candidate.trace_id: candidate.drawn for candidate in kept}


def test_drawn_answers_judge_once_nearly_all_are_labelled_and_wait_until_then(tmp_path: Path) -> None:
    names = DRAWN[:20]
    answers = [answered(name, at=100.0 + at / 100) for at, name in enumerate([*names, OTHER])]
    others = [name for at, name in enumerate(names) if at not in (3, 5)]  # 18 of 20: nine tenths
    words = [reviewed(name) for name in (*others, OTHER)]
    assert taken(tmp_path / "enough", *answers, *words) == {**dict.fromkeys(others, True), OTHER: False}
    assert taken(tmp_path / "few", *answers, *words[1:]) == {OTHER: False}  # 17: the three may be those that were wrong


def test_a_failure_that_was_drawn_is_not_waited_for(tmp_path: Path) -> None:
    failed = [answered(name, "no answer", finish_reason="error", valid=False) for name in DRAWN[:5]]
    asked = answered(DRAWN[5], at=100.5)
    assert taken(tmp_path, *failed, asked, reviewed(DRAWN[5])) == {DRAWN[5]: True}


def test_drawn_answers_after_the_last_label_are_not_reached_yet(tmp_path: Path) -> None:
    answers = [answered(name, at=100.0 + at / 100) for at, name in enumerate(DRAWN[:20])]
    assert taken(tmp_path, *answers, *map(reviewed, DRAWN[:5])) == dict.fromkeys(DRAWN[:5], True)


def test_a_customers_feedback_on_a_drawn_answer_neither_judges_nor_teaches(tmp_path: Path) -> None:
    own = reviewed(DRAWN[0]).model_copy(update={"sender": "", "reviewer": False})
    assert taken(tmp_path, answered(DRAWN[0]), own) == {}


def test_an_answer_that_was_called_right_and_then_wrong_does_not_teach(tmp_path: Path) -> None:
    words = [
        Feedback(trace_id=name, at=at, workload="shop", score=score)
        for name, at, score in (("a", 100.0, 1.0), ("a", 102.0, 0.0), ("b", 100.0, 0.0), ("b", 102.0, 1.0))
    ]
    store = lake(tmp_path, answered("a"), answered("b"), *words, scored("a", 1.0), scored("b", 0.0))
    assert [candidate.trace_id for candidate in candidates(store, "shop", 0.0, Terms(1.0))] == ["b"]
