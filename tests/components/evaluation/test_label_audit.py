"""Planted wrong labels are found; what is right is left alone; references are never read."""

import random
import tracemalloc
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import LinearSVC

from components.errors import DataError
from components.evaluation import doubt
from components.evaluation.doubt import Texts, calibrate, judge, surprise
from components.evaluation.label_audit import Doubts, Suspect, doubts, summarise, suspects
from components.evaluation.pointing import offered, point
from components.params import AuditParams
from components.records import Example, to_json
from components.schema import Shape, shape_of

PARAMS = AuditParams(folds=4)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "intent": {"enum": ["refund", "delivery"]},
        "urgent": {"type": "boolean"},
        "order": {"type": ["string", "null"], "pattern": r"^[A-Z]{2}-\d{3}$"},
        "note": {"type": "string"},
    },
}


def case(number: int, rng: random.Random) -> tuple[dict[str, object], str]:
    """A right answer and its text: refunds over 500 are urgent, the order is the one that was not cancelled."""
    intent, amount = rng.choice(["refund", "delivery"]), rng.choice([100, 900])
    order, other = (f"{rng.choice('ABC')}X-{rng.randint(100, 999)}" for _ in range(2))
    parts = [f"about order {order}", f"not the cancelled {other}"]
    rng.shuffle(parts)
    wish = {"refund": "money back", "delivery": "parcel late"}[intent]
    size = {100: "small", 900: "large"}[amount]
    text = f"{wish}, a {size} sum, {parts[0]}, {parts[1]}."
    urgent = intent == "refund" and amount == 900
    return {"intent": intent, "urgent": urgent, "order": order, "note": f"case {number}"}, text


def examples(n: int = 240, wrong: int = 24) -> tuple[list[Example], dict[str, str]]:
    """Examples, and example id → the field that was planted wrong in its demonstration."""
    rng, rows, planted = random.Random(5), list[Example](), dict[str, str]()
    for number in range(n):
        right, text = case(number, rng)
        shown = dict(right)
        if number < wrong:
            field = ("intent", "urgent", "order")[number % 3]
            planted[f"E{number}"] = field
            other = next(word.strip(",.") for word in text.split() if "-" in word and str(right["order"]) not in word)
            shown[field] = {
                "intent": "refund" if right["intent"] == "delivery" else "delivery",
                "urgent": not right["urgent"], "order": other,
            }[field]  # fmt: skip
        # The reference is nonsense on purpose: an audit that read it would find every demonstration wrong.
        rows.append(
            Example(id=f"E{number}", input={"text": text}, demonstration=to_json(shown), reference="{}", group="g")
        )
    return rows, planted


def test_planted_errors_are_among_the_suspects_with_what_is_right() -> None:
    given, planted = examples()
    doubtful = doubts(given, SCHEMA, ("text",), PARAMS, seed=1)
    listed = suspects(given, doubtful, PARAMS, SCHEMA)
    named = {(suspect.example_id, suspect.field) for suspect in listed}
    hit = named & set(planted.items())
    assert len(hit) >= 20  # of 24
    assert len(hit) >= 0.7 * len(named)
    assert [suspect.probability for suspect in listed] == sorted(
        (suspect.probability for suspect in listed), reverse=True
    )
    orders = [suspect for suspect in listed if suspect.field == "order" and (suspect.example_id, "order") in hit]
    texts = {example.id: example.input["text"] for example in given}
    assert all(f"about order {suspect.suggested.strip(chr(34))}" in texts[suspect.example_id] for suspect in orders)


def test_fields_of_free_text_are_reported_as_unseen() -> None:
    given, _ = examples(120, 12)
    doubtful = doubts(given, SCHEMA, ("text",), PARAMS, seed=1)
    assert summarise(given, doubtful, [], tuple(SCHEMA["properties"])).unseen == ("note",)


def test_a_demonstration_with_two_suspect_fields_counts_once_by_the_surer() -> None:
    given, _ = examples(4, 0)
    listed = [
        Suspect(example_id="E1", field=field, value="1", suggested="2", probability=sure, reason="", text="")
        for field, sure in (("intent", 0.9), ("urgent", 0.6))
    ]
    judged = {"intent": Doubts(ways={"text": [0.0, 0.9, 0.0, 0.0]}, likelier=["2"] * 4, reason="")}
    audit = summarise(given, judged, listed, ())
    assert (audit.suspects, audit.expected_wrong, audit.ceiling) == (1, 0.9, pytest.approx(1 - 0.9 / 4))


def test_rules_between_fields_are_seen_by_the_trees_alone() -> None:
    rng = random.Random(2)
    answers: list[dict[str, Any]] = [{"kind": rng.choice("ab"), "size": rng.choice([1, 9])} for _ in range(200)]
    for answer in answers:
        answer["due"] = "now" if (answer["kind"] == "a") == (answer["size"] == 9) else "later"
    opinions = judge("due", Texts(["hello there"] * 200), answers, 4, 0)
    assert list(opinions)[-1] == "fields"
    probability, likeliest = opinions["fields"].of([to_json(answer["due"]) for answer in answers])
    assert probability.min() > 0.5
    assert likeliest == [to_json(answer["due"]) for answer in answers]


def test_opinions_are_the_same_to_the_bit_however_the_threads_come_to_run() -> None:
    rng = random.Random(3)
    texts = Texts([" ".join(rng.choice("abcdefghijkl") * 2 for _ in range(12)) for _ in range(300)])
    answers = [{"label": rng.choice("vwxyz"), "size": rng.choice(range(50))} for _ in range(300)]
    opinions = [judge("label", texts, answers, 5, 0) for _ in range(4)]
    seen = [{way: opinion.probabilities.tobytes() for way, opinion in each.items()} for each in opinions]
    assert set(seen[0]) == {"text", "fields"} and all(each == seen[0] for each in seen)


def test_trees_grow_from_fewer_rows_than_the_linear_model_learns_from(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: dict[str, set[int]] = {}
    for model in (RandomForestClassifier, LinearSVC):

        def fit(
            self: Any, rows: Any, codes: Any, *rest: Any, _fit: Any = model.fit, _name: str = model.__name__
        ) -> Any:
            fitted.setdefault(_name, set()).add(rows.shape[0])
            return _fit(self, rows, codes, *rest)

        monkeypatch.setattr(model, "fit", fit)
    monkeypatch.setattr(doubt, "MOST_FITTED", 100)
    monkeypatch.setattr(doubt, "MOST_GROWN", 40)
    answers = [{"label": "ab"[n % 2], "size": n % 5} for n in range(200)]
    opinions = judge("label", Texts([f"word {['cat', 'dog'][n % 2]}" for n in range(200)]), answers, 4, 0)
    # Those that are drawn, and at most the first row of each of two labels.
    assert {name: (min(sizes), max(sizes) - min(sizes) <= 2) for name, sizes in fitted.items()} == {
        "LinearSVC": (pytest.approx(100, abs=2), True),
        "RandomForestClassifier": (pytest.approx(40, abs=2), True),
    }
    assert all(len(opinion.probabilities) == 200 for opinion in opinions.values())


def test_a_value_that_occurs_once_is_not_doubted() -> None:
    answers = [{"due": due} for due in ["now", "later"] * 20 + ["never"]]
    opinions = judge("due", Texts(["now now", "later on"] * 20 + ["now now"]), answers, 4, 0)
    probability, likeliest = opinions["text"].of([to_json(answer["due"]) for answer in answers])
    assert (probability[-1], likeliest[-1]) == (1.0, '"never"')
    assert probability.min() > 0.5


def test_where_no_field_can_be_judged_there_is_no_ceiling() -> None:
    given, _ = examples(40, 0)
    audit = summarise(given, {}, [], ("note",))
    assert (audit.ceiling, audit.unseen) == (None, ("note",))


def test_a_field_of_one_value_gives_no_opinion() -> None:
    assert judge("due", Texts(["x"] * 20), [{"due": "now"}] * 20, 4, 0) == {}


def test_texts_without_a_word_are_judged_by_their_characters_and_other_fields() -> None:
    texts = Texts(["👍👎"[number % 2] for number in range(40)])
    answers = [{"intent": ("refund", "delivery")[number % 2], "urgent": number % 2 == 0} for number in range(40)]
    answers[0] = {**answers[0], "intent": "delivery"}
    opinions = judge("intent", texts, answers, 4, 0)
    assert sorted(opinions) == ["fields", "text"]
    for opinion in opinions.values():
        probability, likeliest = opinion.of([to_json(answer["intent"]) for answer in answers])
        assert (probability[0] < 0.5, likeliest[0]) == (True, '"refund"')
    with pytest.raises(DataError, match="expected words in the demonstrations' input, found 40 blank texts"):
        judge("intent", Texts([" "] * 40), answers, 4, 0)


def test_one_long_text_among_other_fields_takes_no_more_memory_than_it_is_long() -> None:
    answers = [{"intent": "refund", "note": f"case {number}"} for number in range(400)]
    answers[0] = {"intent": "refund", "note": "x" * 100_000}
    tracemalloc.start()
    judge("intent", Texts(["so it is"] * 400), [{**each, "intent": str(n % 2)} for n, each in enumerate(answers)], 2, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6  # and not 400 rows of the longest


def test_calibration_finds_the_temperature_of_a_coin() -> None:
    # Logits of ±10 that are right three times in four: log-odds of 3 are ±ln(3) apart.
    codes = np.array([0, 0, 0, 1] * 25)
    logits = np.tile([10.0, -10.0], (100, 1))
    calibrated = calibrate(logits, codes)
    assert np.exp(calibrated[0, 0]) == pytest.approx(0.75, abs=0.01)
    assert surprise(calibrated, codes) == pytest.approx(0.5623, abs=0.001)  # −(¾ ln ¾ + ¼ ln ¼)


def test_a_demonstration_with_a_very_long_number_is_judged_like_others() -> None:
    schema = {"type": "object", "properties": {"amount": {"type": "integer"}, "kind": {"enum": ["a", "b"]}}}
    answers = [{"amount": 10**400 if n == 7 else n, "kind": "ab"[n % 2]} for n in range(40)]
    rows = [
        Example(id=f"E{n}", input={"text": f"{answer['amount']} of {answer['kind']}"}, demonstration=to_json(answer),
                reference="{}", group="g")
        for n, answer in enumerate(answers)
    ]  # fmt: skip
    doubtful = doubts(rows, schema, ("text",), PARAMS, seed=1)
    assert suspects(rows, doubtful, PARAMS, schema) == []


def test_candidates_are_what_the_pattern_or_a_number_names() -> None:
    pattern = shape_of(SCHEMA["properties"]["order"])
    offers = offered(0, "not AX-123 but BX-456, please", pattern)
    assert [candidate.readings for candidate in offers] == [("AX-123",), ("BX-456",)]
    assert offered(0, "any text", shape_of({"type": "string"})) == []


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("7", (7,)), ("1,299.50", (1299.5,)), ("1299,5", (1299.5,)), ("1.299.000", (1299000,)),
        ("1.299", (1299, 1.299)), ("6,884", (6884, 6.884)),
        ("0.125", (0.125,)), ("3.14159", (3.14159,)), ("1234.567", (1234.567,)), ("1,234.567", (1234.567,)),
        ("12,34,567", (1234567,)), ("1,00,000", (100000,)), ("12,34,567.50", (1234567.5,)),
    ],
)  # fmt: skip
def test_a_mark_before_three_digits_may_be_one_of_thousands_or_of_decimals(
    text: str, readings: tuple[float, ...]
) -> None:
    (candidate,) = offered(0, f"about {text} of it", shape_of({"type": "number"}))
    assert candidate.readings == readings


@pytest.mark.parametrize(("thousands", "right"), [(False, 6.012), (True, 6012)])
def test_numbers_with_three_digits_after_a_mark_are_read_as_people_read_them(thousands: bool, right: float) -> None:
    texts = [f"send 6.{number:03} kg from order {100 + number}" for number in range(40)]
    values: list[Any] = [6000 + number if thousands else round(6 + number / 1000, 3) for number in range(40)]
    values[12] = 112  # the order's number
    pointed = point(shape_of({"type": "number"}), texts, values, 4)
    assert pointed is not None and all(pointed.found)
    assert [number for number in range(40) if pointed.probability[number] < 0.5] == [12]
    assert pointed.likeliest[12] == right


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"^[A-Z]-\d$", "take A-1 and B-2.", ["A-1", "B-2"]),
        (r"^\d+ (EUR|USD)$", "it was 5 EUR or 7 USD.", ["5 EUR", "7 USD"]),
        (r"^(?:[(|]|\()\d$", "see (1 or |2.", ["(1", "|2"]),
        (r"\d+\$", "it was 5$ or 7$.", ["5$", "7$"]),
        (r"^\d+[$]", "it was 5$ or 7$.", ["5$", "7$"]),
        (r"\\$", "a\\b", ["\\"]),
        (r"^\d+ (EUR|USD)|\d+\$", "5 EUR or 7$.", ["5 EUR", "7$"]),
        (r"^a|b$", "ab ab", ["a", "b"]),
        (r"(?<word", "word", []),
    ],
)
def test_a_pattern_of_a_whole_value_is_searched_in_a_text_in_its_own_meaning(
    pattern: str, text: str, found: list[str]
) -> None:
    offer = offered(0, text, Shape(kinds=frozenset({"string"}), pattern=pattern))
    assert [candidate.readings for candidate in offer] == [(value,) for value in found]


def test_a_text_with_the_only_choice_between_candidates_is_not_doubted() -> None:
    # Of the other 39 texts none offers a candidate that is not taken, so that no model can be fitted on them.
    values = [f"AX-{number}" for number in range(100, 140)]
    texts = [f"about order {value}" for value in values[:-1]] + [f"not the cancelled BX-500 but {values[-1]}"]
    pointed = point(shape_of(SCHEMA["properties"]["order"]), texts, values, 4)
    assert pointed is not None and all(pointed.found)
    assert pointed.probability[-1] == 1.0 and pointed.probability.min() > 0.5
    assert pointed.likeliest[-1] == values[-1]


def test_where_all_that_was_taken_is_left_out_at_once_the_field_is_judged_by_the_rest() -> None:
    for other in range(1, 12):  # each fold has six texts, so that one of these is left out with the first
        values = [f"AX-{number}" if number in (100, 100 + other) else None for number in range(100, 112)]
        texts = [f"about order {value or f'BX-{number}'}" for number, value in enumerate(values, start=200)]
        pointed = point(shape_of(SCHEMA["properties"]["order"]), texts, values, 2)
        assert pointed is not None and pointed.found == [True] * 12


def test_values_that_do_not_stand_in_the_text_are_not_extracted() -> None:
    values = [f"AX-{number}" for number in range(100, 140)]
    assert point(shape_of(SCHEMA["properties"]["order"]), ["nothing here"] * 40, values, 4) is None


def test_a_demonstration_that_is_no_object_is_refused() -> None:
    broken = Example(id="E0", input={"text": "x"}, demonstration="refund", reference="{}", group="g")
    with pytest.raises(DataError, match=r"expected a JSON object as demonstration, found .* \(example E0\)"):
        doubts([broken], SCHEMA, ("text",), PARAMS, seed=0)
