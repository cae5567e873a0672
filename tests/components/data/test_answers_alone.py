"""Answers without an object around them: a label, a free text, a list; what reads, scores and learns them."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from components.evaluation import classical
from components.evaluation.exploits import Usual, exploits
from components.evaluation.label_audit import doubts, suspects
from components.evaluation.labelled import parsed
from components.evaluation.perturbations import mistakes, surely_wrong
from components.params import AuditParams, ScorerParams
from components.params.answers import enveloped, is_alone, is_text
from components.records import Completion, Example, Usage
from components.scorers import JsonSchemaScorer, build
from components.scorers.answers import NotAnAnswer, read, write
from tests.components.data.conftest import MakeWorkload, sentence

LABEL = enveloped({"type": "string", "enum": ["refund", "delivery"]})
TEXT = enveloped({"type": "string"})
LIST = enveloped({"type": "array", "items": {"enum": ["a", "b", "c"]}})
OBJECT = {"type": "object", "properties": {"label": {"type": "string"}}}


def example(number: int, text: str, answer: str) -> Example:
    return Example(id=f"e{number}", input={"text": text}, demonstration=answer, reference=answer, group=f"e{number}")


def completion(text: str) -> Completion:
    return Completion(example_id="e0", text=text, usage=Usage(input_tokens=1, output_tokens=1), latency_ms=1.0)


def test_the_schema_of_an_object_stays_as_it_is_and_another_becomes_the_field_answer() -> None:
    assert enveloped(OBJECT) is OBJECT
    assert enveloped(TEXT) is TEXT
    assert LABEL["properties"] == {"answer": {"type": "string", "enum": ["refund", "delivery"]}}
    assert TEXT["properties"]["answer"]["minLength"] == 1
    assert [is_text(schema) for schema in (LABEL, TEXT, LIST, OBJECT)] == [True, True, False, False]
    assert [is_alone(schema) for schema in (LABEL, TEXT, LIST, OBJECT)] == [True, True, True, False]


def test_settings_take_a_plain_schema_and_refuse_what_cannot_hold_for_it(make_workload: MakeWorkload) -> None:
    source = {"columns": {"input": ["text"], "output": {"answer": "label"}}}
    workload = make_workload(output={"type": "string"}, source=source)
    assert workload.fields == ("answer",)
    assert type(workload).model_validate(workload.model_dump()) == workload
    with pytest.raises(ValidationError, match="constrained must be empty where answers are no JSON object"):
        make_workload(output={"type": "string"}, source=source, constrained=["loose"])
    with pytest.raises(
        ValidationError, match="output must describe an object with properties, a text, labels or a list"
    ):
        make_workload(output={"type": "object"})
    with pytest.raises(ValidationError, match="output must describe an object"):
        make_workload(output={"description": "whatever"})


@given(st.text(min_size=1).map(str.strip).filter(bool))
def test_a_text_reads_back_as_it_was_written(text: str) -> None:
    assert read(write({"answer": text}, TEXT), TEXT) == {"answer": text}


@given(st.lists(st.sampled_from("abc")))
def test_a_list_reads_back_as_it_was_written(values: list[str]) -> None:
    assert read(write({"answer": values}, LIST), LIST) == {"answer": values}


def test_an_object_is_read_and_written_as_before() -> None:
    assert write({"label": "x", "n": 2.0}, OBJECT) == '{"label": "x", "n": 2}'
    assert read('{"label": "x"}', OBJECT) == read('{"label": "x"}', None) == {"label": "x"}
    with pytest.raises(NotAnAnswer, match="not JSON"):
        read("x", OBJECT)


@pytest.mark.parametrize(
    ("schema", "text", "valid"),
    [
        (LABEL, " refund\n", True),
        (LABEL, "Refund", False),
        (LABEL, '{"answer": "refund"}', False),
        (TEXT, "Whatever was said.", True),
        (TEXT, '{"even": "JSON"}', True),
        (TEXT, "  \n", False),
        (LIST, '["a", "b"]', True),
        (LIST, '["d"]', False),
        (LIST, "a, b", False),
    ],
)
def test_plain_answers_are_valid_by_their_own_schema(schema: dict[str, Any], text: str, valid: bool) -> None:
    assert JsonSchemaScorer(schema).score(example(0, "", ""), completion(text)).passed is valid


@pytest.mark.parametrize(
    ("schema", "match", "right", "same", "other"),
    [
        (LABEL, "exact", "refund", "refund ", "delivery"),
        (TEXT, "text", "Thank you", "thank  YOU", "Thanks"),
        (LIST, "set", '["a", "b"]', '["b", "a"]', '["a"]'),
    ],
)
def test_fields_are_compared_without_an_object(
    schema: dict[str, Any], match: str, right: str, same: str, other: str
) -> None:
    scorer = build(
        ScorerParams.model_validate({"weighted": {"field_match": 1}, "fields": {"answer": {"match": match}}}), schema
    )
    assert scorer.score(example(0, "", right), completion(same)).passed
    assert not scorer.score(example(0, "", right), completion(other)).passed


def test_the_floor_of_labels_is_a_classifier_that_answers_plainly(tmp_path: Any) -> None:
    words = {"refund": "my money back", "delivery": "where is the parcel"}
    train = [example(n, f"{words[label]} {n}", label) for n in range(20) for label in words]
    classical.fit(train, LABEL, ("text",)).save(tmp_path)
    answers = classical.load(tmp_path).predict(
        [example(90, "is my parcel there", ""), example(91, "the money please", "")]
    )
    assert [answer.text for answer in answers] == ["delivery", "refund"]


def test_the_floor_of_free_texts_is_the_nearest_demonstrations_answer(tmp_path: Any) -> None:
    train = [example(0, "the kettle is broken", "Kettle."), example(1, "the router has vanished", "Router.")]
    fitted = classical.fit(train, TEXT, ("text",))
    fitted.save(tmp_path)
    loaded = classical.load(tmp_path)
    assert [
        answer.text for answer in loaded.predict([example(2, "a router vanished", ""), example(3, "broken kettle", "")])
    ] == [
        "Router.",
        "Kettle.",
    ]
    assert loaded.digest() == fitted.digest() != classical.fit(train[::-1], TEXT, ("text",)).digest()


def test_the_floor_of_a_nested_field_is_the_nearest_demonstrations_value() -> None:
    schema = {"type": "object", "properties": {"slots": {"type": "object"}, "sum": {"type": "number"}}}
    train = [
        example(0, "play some jazz", json.dumps({"slots": {"genre": ["jazz"]}, "sum": 1})),
        example(1, "book a table in Rome", json.dumps({"slots": {"city": ["Rome"]}, "sum": 1})),
        example(2, "book a table in Rome now", json.dumps({"slots": {"city": ["Rome"]}, "sum": 2})),
    ]
    (answer,) = classical.fit(train, schema, ("text",)).predict([example(3, "jazz, play it", "")])
    assert json.loads(answer.text) == {"slots": {"genre": ["jazz"]}, "sum": 1}


def test_listed_values_of_a_nested_object_are_learned_and_its_lists_are_copied_from_where_it_is() -> None:
    place = {
        "type": "object",
        "required": ["city", "rooms"],
        "properties": {"city": {"enum": ["Bonn", "Kiel"]}, "rooms": {"type": "array", "items": {"type": "string"}}},
    }
    schema = {"type": "object", "required": ["place"], "properties": {"place": {"anyOf": [place, {"type": "null"}]}}}
    known = [("a kitchen in Bonn", "Bonn", ["kitchen"]), ("a bath in Kiel", "Kiel", ["bath"])] * 3
    train = [
        example(n, text, json.dumps({"place": {"city": city, "rooms": rooms}}))
        for n, (text, city, rooms) in enumerate(known)
    ]
    train += [example(9, "nothing of that, a kitchen in no town", json.dumps({"place": None}))]
    classifier = classical.fit(train, schema, ("text",))
    assert (set(classifier.models), set(classifier.neighbours)) == ({"place", "place.city"}, {"place.rooms"})
    answers = [json.loads(answer.text) for answer in classifier.predict([example(0, "the kitchen in Bonn", "")])]
    assert answers == [{"place": {"city": "Bonn", "rooms": ["kitchen"]}}]
    assert JsonSchemaScorer(schema).score(example(0, "", ""), classifier.predict([train[-1]])[0]).passed


def test_a_list_that_the_nearest_demonstration_lacks_comes_from_the_next() -> None:
    assert classical._nearest([0.9, 0.2, 0.5], [None, "a", "b"]) == "b"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": ["string"]},
        {"allOf": [{"type": "string"}, {"minLength": 1}]},
        {"$defs": {"Reply": {"type": "string"}}, "$ref": "#/$defs/Reply"},
        {"$defs": {"Reply": {"type": "string"}}, "anyOf": [{"$ref": "#/$defs/Reply"}]},
    ],
)
def test_a_plain_text_is_recognised_in_every_form_of_its_schema(schema: dict[str, Any]) -> None:
    assert is_text(enveloped(schema))


def test_an_object_schema_in_another_form_is_not_a_plain_value() -> None:
    for schema in ({"type": ["object"]}, {"anyOf": [OBJECT, {"type": "object"}]}, {"allOf": [OBJECT]}):
        assert enveloped(schema) == schema


def test_the_audit_finds_a_wrong_plain_label() -> None:
    given_ = [
        example(n, f"{'money back for' if n % 2 else 'where is'} {sentence(n)}", "refund" if n % 2 else "delivery")
        for n in range(60)
    ]
    given_[7] = example(7, given_[7].input["text"], "delivery")
    params = AuditParams()
    suspected = suspects(given_, doubts(given_, LABEL, ("text",), params, 1), params, LABEL)
    assert [(suspect.example_id, suspect.value, suspect.suggested) for suspect in suspected] == [
        ("e7", '"delivery"', '"refund"')
    ]


def test_mistakes_and_exploits_are_plain_answers_too() -> None:
    rng = random.Random(1)
    donors = parsed([example(0, "", "One thing."), example(1, "", "Another.")], TEXT)
    assert mistakes("refund", LABEL, [], rng) == {"answer": "delivery"}
    assert mistakes("One thing.", TEXT, donors, rng) == {"answer": "Another."}
    assert surely_wrong("refund", "delivery", LABEL)
    assert not surely_wrong("refund", "refund", LABEL)
    tricks = exploits("the prompt", LABEL, Usual.of(["refund", "refund", "delivery"]))
    assert {"refund", ""} <= set(tricks.values())
    assert not any(text.startswith('{"answer"') for text in tricks.values())
