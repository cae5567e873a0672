"""The same meaning gives the same result, in whatever form a schema says it."""

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import ConfigError
from components.evaluation import classical
from components.evaluation.exploits import Usual, exploits
from components.evaluation.label_audit import doubts, suspects
from components.evaluation.perturbations import mistakes
from components.params import AuditParams, Workload, load
from components.records import Example, Observation
from components.schema import fields_of, shape_of
from components.scorers.answers import read_object
from monitoring.columns import compare

ROOT = Path(__file__).resolve().parents[3]
WORKLOADS = ("triage", "normalise", "digest", "text2sql", "snippets", "banking77")


def equivalent(schema: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """The same schema with each property said otherwise."""
    definitions: dict[str, Any] = {}
    properties = {name: reworded(name, part, definitions, rng) for name, part in schema["properties"].items()}
    return {**schema, "$defs": definitions, "properties": properties}


def reworded(name: str, part: dict[str, Any], definitions: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """One property: null apart, labels one by one, and all of it behind references."""
    part, null = dict(part), False
    if isinstance(part.get("type"), list) and "null" in part["type"]:
        others, null = [kind for kind in part["type"] if kind != "null"], True
        part["type"] = others[0] if len(others) == 1 else others
    if None in part.get("enum", ()):
        part["enum"], null = [label for label in part["enum"] if label is not None], True
    if part == {"type": "boolean"}:
        part = {"enum": [True, False]}
    if "enum" in part and rng.random() < 0.7:
        part = {rng.choice(["anyOf", "oneOf"]): [{"const": label} for label in part["enum"]]}
    if rng.random() < 0.5:
        part = {"allOf": [part, True]}
    if null:
        part = {rng.choice(["anyOf", "oneOf"]): [part, {"type": "null"}]}
    if rng.random() < 0.7:
        definitions[name], part = part, {"$ref": f"#/$defs/{name}"}
    if rng.random() < 0.4:
        definitions[f"{name}~again"] = {"$anchor": f"at-{name}", **part}
        part = {"$ref": rng.choice([f"#at-{name}", f"#/$defs/{name}~0again"]), "description": "as above"}
    return part


@pytest.mark.parametrize("name", WORKLOADS)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_every_field_of_our_workloads_is_understood_in_any_form(name: str, seed: int) -> None:
    schema = load(ROOT / "params" / "workloads" / f"{name}.yaml", Workload).output
    assert fields_of(equivalent(schema, random.Random(seed))) == fields_of(schema)


SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["intent", "refund", "amount", "order", "place", "tags"],
    "properties": {
        "intent": {"enum": ["late", "broken", "bill"]},
        "refund": {"type": ["boolean", "null"]},
        "amount": {"type": ["number", "null"], "minimum": 0},
        "order": {"type": "string", "pattern": r"^[A-Z]{2}-\d{3}$"},
        "rating": {"type": "integer", "minimum": 1, "maximum": 5},
        "place": {
            "type": "object",
            "required": ["city"],
            "properties": {"city": {"enum": ["Bonn", "Kiel"]}, "floor": {"type": ["integer", "null"]}},
        },
        "tags": {"type": "array", "items": {"enum": ["urgent", "angry", "again"]}},
    },
}
OTHERWISE: dict[str, Any] = {
    "$defs": {
        "Intent": {"oneOf": [{"const": "late"}, {"const": "broken"}, {"const": "bill"}]},
        "MaybeYes": {"anyOf": [{"$ref": "#/$defs/Yes"}, {"type": "null"}]},
        "Yes": {"enum": [True, False]},
        "City": {"type": "string", "enum": ["Bonn", "Kiel", 7]},
        "Place": {
            "$id": "place",
            "type": "object",
            "required": ["city"],
            "properties": {"city": {"$ref": "#/$defs/Town"}, "floor": {"type": ["null", "integer"]}},
            "$defs": {"Town": {"enum": ["Bonn", "Kiel"]}},
        },
        "Tag": {"anyOf": [{"enum": ["urgent", "angry"]}, {"const": "again"}]},
    },
    "type": "object",
    "required": ["intent", "refund", "amount", "order", "place", "tags"],
    "properties": {
        "intent": {"$ref": "#/$defs/Intent"},
        "refund": {"$ref": "#/$defs/MaybeYes"},
        "amount": {"anyOf": [{"type": "number", "minimum": 0}, {"const": None}]},
        "order": {"allOf": [{"type": "string"}, {"pattern": r"^[A-Z]{2}-\d{3}$"}]},
        "rating": {"enum": [1, 2, 3, 4.0, 5]},
        "place": {"$ref": "#/$defs/Place"},
        "tags": {"type": "array", "items": {"$ref": "#/$defs/Tag"}},
    },
}


def shop(n: int, seed: int = 0) -> list[Example]:
    rng, examples = random.Random(seed), list[Example]()
    for number in range(n):
        intent, city = rng.choice(["late", "broken", "bill"]), rng.choice(["Bonn", "Kiel"])
        tags = [tag for tag in ("urgent", "angry", "again") if rng.random() < 0.4]
        order, floor = f"{rng.choice('AB')}X-{rng.randint(100, 999)}", rng.choice([None, 1, 2])
        answer = {
            "intent": intent,
            "refund": None if intent == "late" else intent == "bill",
            "amount": None,
            "order": order,
            "rating": 1 + len(tags),
            "place": {"city": city, "floor": floor},
            "tags": tags,
        }
        text = f"It is {intent} here in {city}, order {order}. {' '.join(f'This is {tag}!' for tag in tags)} {number}"
        gold = json.dumps(answer, ensure_ascii=False)
        examples.append(
            Example(id=f"e{number}", input={"text": text}, demonstration=gold, reference=gold, group=f"{number}")
        )
    return examples


def test_the_classical_rung_learns_the_same_from_the_same_meaning() -> None:
    train, dev = shop(200), shop(60, 1)
    first, second = (classical.fit(train, schema, ("text",)) for schema in (SCHEMA, OTHERWISE))
    assert first.digest() == second.digest()
    answers = [completion.text for completion in first.predict(dev)]
    assert answers == [completion.text for completion in second.predict(dev)]
    right = [(json.loads(text), json.loads(example.reference)) for text, example in zip(answers, dev, strict=True)]
    for field in ("intent", "refund", "tags"):
        assert sum(answer[field] == gold[field] for answer, gold in right) >= 57, field
    assert sum(answer["place"]["city"] == gold["place"]["city"] for answer, gold in right) >= 57


def test_a_nested_classifier_answers_the_same_after_it_was_stored(tmp_path: Path) -> None:
    fitted = classical.fit(shop(60), OTHERWISE, ("text",))
    fitted.save(tmp_path)
    before, after = (model.predict(shop(9, 1)) for model in (fitted, classical.load(tmp_path)))
    assert [completion.text for completion in before] == [completion.text for completion in after]


def test_the_audit_doubts_the_same() -> None:
    params, examples = AuditParams(folds=3), shop(120)
    wrong = json.loads(examples[5].demonstration)
    wrong["place"]["city"] = "Kiel" if wrong["place"]["city"] == "Bonn" else "Bonn"
    examples[5] = examples[5].model_copy(update={"demonstration": json.dumps(wrong)})
    listed = [
        [
            (suspect.example_id, suspect.field, suspect.value, suspect.suggested, round(suspect.probability, 6))
            for suspect in suspects(examples, doubts(examples, schema, ("text",), params, 1), params, schema)
        ]
        for schema in (SCHEMA, OTHERWISE)
    ]
    assert sorted(listed[0]) == sorted(listed[1])
    assert ("e5", "place.city") in {(name, field) for name, field, *_ in listed[0]}


def test_mistakes_and_tricks_are_the_same() -> None:
    examples = shop(40)
    donors = [read_object(example.reference) for example in examples]
    made = [
        [mistakes(example.reference, schema, donors, random.Random(3)) for example in examples]
        for schema in (SCHEMA, OTHERWISE)
    ]
    assert made[0] == made[1]
    assert {"intent", "refund", "place.city", "tags"} <= made[0][0].keys()
    usual = Usual.of([example.demonstration for example in examples])
    assert exploits("asked", SCHEMA, usual) == exploits("asked", OTHERWISE, usual)
    nothing = Usual("", "", {})
    assert exploits("asked", SCHEMA, nothing) == exploits("asked", OTHERWISE, nothing)
    default = json.loads(
        exploits("asked", SCHEMA, nothing)["prompt_echoed_in_fields"]
    )  # no text is free: the defaults alone
    assert default["place"] == {"city": "Bonn"}


def test_the_watch_looks_at_the_same_columns() -> None:
    rows = [
        Observation(input=example.input, text=example.reference, output_tokens=40 + at % 7, valid=True)
        for at, example in enumerate(shop(120))
    ]
    first, second = (compare(rows[:80], rows[80:], schema, None, 0) for schema in (SCHEMA, OTHERWISE))
    assert first.reference.equals(second.reference) and first.current.equals(second.current)
    assert {"output.place.city", "output.tags[again]", "output.rating"} <= set(first.labels)


@pytest.mark.parametrize(
    ("schema", "values"),
    [
        ({"type": "string", "enum": ["a", None, 3]}, ("a",)),
        ({"enum": [None, "a"]}, ("a", None)),
        ({"enum": [1, 1.0, True]}, (1, True)),
        ({"enum": [[1], [1.0], [True], {"a": 1, "b": 2}, {"b": 2, "a": 1}]}, ([1], [True], {"a": 1, "b": 2})),
        ({"const": "a"}, ("a",)),
        ({"type": "boolean"}, (True, False)),
        ({"type": "null"}, (None,)),
        ({"oneOf": [{"enum": ["a", "b"]}, {"enum": ["b", "c"]}]}, ("a", "c")),
        ({"allOf": [{"enum": ["a", "b", "c"]}, {"enum": ["c", "b"]}]}, ("b", "c")),
        ({"enum": ["a", "b"], "not": {"const": "a"}}, ("b",)),
        ({"enum": ["a", "longer"], "maxLength": 3}, ("a",)),
        ({"anyOf": [{"enum": ["a", "longer"]}, {"const": "b"}], "maxLength": 3}, ("a", "b")),
        ({"type": "integer", "exclusiveMinimum": 0, "maximum": 3}, (1, 2, 3)),
        ({"anyOf": [{"type": "boolean"}, {"const": "unknown"}]}, (True, False, "unknown")),
        (False, ()),
    ],
)
def test_a_schemas_values_are_listed(schema: Any, values: tuple[Any, ...]) -> None:
    assert shape_of(schema).values == values


@pytest.mark.parametrize(
    "schema", [True, {}, {"type": "string"}, {"type": "integer", "minimum": 0}, {"anyOf": [{"enum": ["a"]}, True]}]
)
def test_an_open_schema_has_no_list_of_values(schema: Any) -> None:
    assert shape_of(schema).values is None


@pytest.mark.parametrize("form", ["enum", "oneOf"])
def test_thousands_of_labels_are_read_in_a_moment(form: str) -> None:
    labels = [f"code {number}" for number in range(4_000)]
    said = {"enum": labels} if form == "enum" else {"oneOf": [{"const": label} for label in labels]}
    started = time.process_time()
    assert shape_of({"type": "string", **said}).values == tuple(labels)
    assert time.process_time() - started < 5


def test_a_number_of_any_length_is_allowed_or_not() -> None:
    assert shape_of({"type": "integer", "minimum": 0}).allows(10**400)
    assert not shape_of({"type": "number", "maximum": 5}).allows(10**400)


def test_a_schema_may_be_recursive() -> None:
    tree: dict[str, Any] = {
        "type": "object",
        "properties": {"label": {"enum": ["a", "b"]}, "children": {"type": "array", "items": {"$ref": "#"}}},
    }
    assert [(leaf.name, leaf.shape.is_listed) for leaf in fields_of(tree).leaves] == [
        ("label", True),
        ("children", False),
    ]
    linked = {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}}
    assert next(leaf.name for leaf in fields_of(linked).leaves) == "next"


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"$ref": "#/$defs/none"}, "whose references resolve, found '#/\\$defs/none'"),
        ({"$ref": "https://example.org/label.json"}, "whose references resolve, found 'https://example.org"),
        ({"$ref": "#/properties/x"}, "leads back to itself"),
        ({"anyOf": [{"$ref": "#/properties/x"}, {"type": "null"}]}, "leads back to itself"),
    ],
)
def test_references_that_lead_nowhere_are_named_when_settings_are_read(part: Any, said: str) -> None:
    schema = {"type": "object", "properties": {"x": part}}
    with pytest.raises(ConfigError, match=said):
        shape_of(schema)
    triage = load(ROOT / "params" / "workloads" / "triage.yaml", Workload).model_dump()
    with pytest.raises(ValueError, match=said):
        Workload.model_validate({**triage, "output": schema})


def test_many_references_to_one_place_are_read_once() -> None:
    definitions: dict[str, Any] = {"d0": {"enum": ["a"]}}
    for depth in range(1, 60):  # 2^60 places, were each reference followed anew
        definitions[f"d{depth}"] = {"allOf": [{"$ref": f"#/$defs/d{depth - 1}"}, {"$ref": f"#/$defs/d{depth - 1}"}]}
    assert shape_of({"$defs": definitions, "$ref": "#/$defs/d59"}).values == ("a",)


def test_a_root_that_refers_to_its_object_shows_its_properties() -> None:
    triage = load(ROOT / "params" / "workloads" / "triage.yaml", Workload).model_dump()
    behind = {"$ref": "#/$defs/Ticket", "$defs": {"Ticket": triage["output"]}}
    assert Workload.model_validate({**triage, "output": behind}).fields == tuple(triage["output"]["properties"])


ANSWERS = st.fixed_dictionaries(
    {
        "place": st.fixed_dictionaries(
            {"city": st.sampled_from(["Bonn", "Kiel"])}, optional={"floor": st.integers() | st.none()}
        ),
        "tags": st.lists(st.sampled_from(["urgent", "angry", "again"]), unique=True).map(
            lambda tags: [tag for tag in ("urgent", "angry", "again") if tag in tags]
        ),
    },
    optional={"intent": st.sampled_from(["late", "bill"]), "order": st.text()},
)


@given(ANSWERS)
def test_an_answer_taken_apart_is_put_together_again(answer: dict[str, Any]) -> None:
    fields = fields_of(OTHERWISE)
    assert fields.answer(fields.flat(answer)) == answer


@pytest.mark.parametrize(
    "answer", [{"o": None}, {}, {"o": {}}, {"o": {"a": "x"}}, {"o": {"a": "y", "t": []}}, {"o": {"t": None}}]
)
def test_objects_and_lists_that_may_be_null_or_missing_stay_so(answer: dict[str, Any]) -> None:
    part = {
        "type": ["object", "null"],
        "properties": {"a": {"enum": ["x", "y"]}, "t": {"type": ["array", "null"], "items": {"enum": ["p", "q"]}}},
    }
    fields = fields_of({"type": "object", "properties": {"o": part}})
    assert fields.answer(fields.flat(answer)) == answer


def test_names_that_would_collide_leave_objects_whole() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "object", "properties": {"b": {"type": "boolean"}}}, "a.b": {"type": "boolean"}},
    }
    assert [leaf.name for leaf in fields_of(schema).leaves] == ["a", "a.b"]
