"""What counts as drift: nothing moves by chance beyond the limits, and what has moved is named."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from components.errors import DataError
from components.params import WatchParams
from components.records import Observation, write_record
from components.state import read_state
from monitoring.calibration import jensen_shannon, limits, measured, wasserstein
from monitoring.columns import Table, compare, number
from monitoring.drift import distances
from monitoring.watch import Sides, Watched, sentence, watch
from monitoring.windows import Window
from tests.monitoring.conftest import SCHEMA, Draw

PARAMS = WatchParams(min_rows=100, resamples=500, false_alarms=0.01)


def window(rows: list[Observation]) -> Window:
    return Window(3, 0.0, 60.0, len(rows), tuple(rows))


def looked(reference: list[Observation], current: list[Observation], page: Path) -> Watched:
    return watch(Sides("shop", SCHEMA, reference, window(current)), PARAMS, page)


def test_distances_of_weights_are_those_of_the_samples() -> None:
    rng = np.random.default_rng(0)
    values, weights = rng.normal(size=30), rng.integers(0, 4, (2, 30)).astype(float)
    first, second = (np.repeat(values, side.astype(int)) for side in weights)
    assert wasserstein(values, weights[:1], weights[1:])[0] == pytest.approx(
        wasserstein_distance(first, second) / first.std()
    )
    labels = rng.choice(list("abc"), 30)
    shares = [
        np.array([np.repeat(labels, side.astype(int)).tolist().count(each) for each in "abc"]) for side in weights
    ]
    right = jensenshannon(shares[0], shares[1])
    assert jensen_shannon(labels, weights[:1], weights[1:])[0] == pytest.approx(right, abs=1e-6)


def test_evidently_measures_the_same_distances(draw: Draw, tmp_path: Path) -> None:
    table = compare(draw(400, 1), draw(200, 2, (0.3, 0.3, 0.4)), SCHEMA, None, 0)
    result = distances(table, dict.fromkeys(table.columns, 0.1), tmp_path / "page.html")
    assert result == pytest.approx(measured(table), abs=1e-6)
    assert "https://" not in (tmp_path / "page.html").read_text(encoding="utf-8")[:2000]


def test_windows_without_drift_pass_the_limits_as_often_as_allowed(draw: Draw) -> None:
    reference, alarms = draw(800, 1), 0
    allowed = limits(compare(reference, draw(300, 2), SCHEMA, None, 0), 0.05, 400, seed=0)
    for seed in range(100, 200):
        result = measured(compare(reference, draw(300, seed), SCHEMA, None, 0))
        alarms += any(result[name] > allowed[name] for name in result)
    assert alarms <= 12  # of 100 windows, 5 expected; more than 12 would happen once in a thousand times


def test_a_shifted_mix_is_an_output_drift_with_its_label(draw: Draw, tmp_path: Path) -> None:
    result = looked(draw(800, 1), draw(300, 2, (0.2, 0.3, 0.5)), tmp_path / "page.html")
    assert (result.kinds, result.moved[0].column) == (("output",), "output.kind")
    assert result.severity > 1
    assert {"kind=late", "kind=bill"} <= {slice.slice for slice in result.slices}


def test_one_invalid_answer_where_there_never_was_one_is_no_drift(draw: Draw, tmp_path: Path) -> None:
    always, later = (
        [each.model_copy(update={"valid": True}) for each in draw(*drawn)] for drawn in ((800, 1), (300, 2))
    )
    single = [later[0].model_copy(update={"valid": False}), *later[1:]]
    assert not looked(always, single, tmp_path / "page.html").drifted
    many = [row.model_copy(update={"valid": False}) for row in later[:30]]
    assert [moved.column for moved in looked(always, [*many, *later[30:]], tmp_path / "page.html").moved] == [
        "output.valid"
    ]


def test_longer_messages_are_an_input_drift(draw: Draw, tmp_path: Path) -> None:
    result = looked(draw(800, 1), draw(300, 2, words=20), tmp_path / "page.html")
    assert result.kinds == ("input",)
    assert {each.column for each in result.moved} >= {"input.words", "input.characters"}
    assert (tmp_path / "page.html").stat().st_size > 100_000


def test_worse_answers_are_a_quality_drift(draw: Draw, tmp_path: Path) -> None:
    assert looked(draw(800, 1), draw(300, 2, right=0.6), tmp_path / "page.html").kinds == ("quality",)


def test_quality_is_not_judged_by_a_handful_of_scores(draw: Draw, tmp_path: Path) -> None:
    rows = [each.model_copy(update={"score": 0.0 if at < 40 else None}) for at, each in enumerate(draw(300, 2))]
    assert not looked(draw(800, 1), rows, tmp_path / "page.html").drifted


def test_where_only_the_usual_answers_lack_labels_a_look_says_that_quality_is_not_compared(
    draw: Draw, tmp_path: Path
) -> None:
    told = "Quality is not compared: too few of the usual answers have a label."
    for usual, now, lacks in ((49, 100, True), (50, 100, False), (0, 49, False)):
        before, rows = (
            [row.model_copy(update={} if at < known else {"score": None}) for at, row in enumerate(draw(200, seed))]
            for seed, known in ((1, usual), (2, now))
        )
        assert (told in sentence(looked(before, rows, tmp_path / "page.html"))) == lacks


def test_few_scores_get_wider_limits(draw: Draw) -> None:
    reference, current = draw(800, 1), draw(300, 2)
    few = [each.model_copy(update={"score": each.score if at < 60 else None}) for at, each in enumerate(current)]
    wide, narrow = (limits(compare(reference, side, SCHEMA, None, 0), 0.05, 400, seed=0) for side in (few, current))
    assert wide["quality.score"] > 1.5 * narrow["quality.score"]  # the square root of 300 / 60 is 2.2


def test_inputs_of_another_kind_lie_far_off_in_the_embeddings(draw: Draw, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    reference, current = rng.normal(size=(800, 16)), rng.normal(size=(300, 16))
    current[:60, 0] += 4  # a fifth of the window
    sides = Sides("shop", SCHEMA, draw(800, 1), window(draw(300, 2)), (reference, current))
    result = watch(sides, PARAMS, tmp_path / "page.html")
    assert result.kinds == ("input",)
    assert all(each.column.startswith(("input.embedding", "input.distance")) for each in result.moved)


def test_a_word_of_a_customers_own_is_unseen_on_both_sides() -> None:
    # anna alone says "sofa", in both; "lamp" is anna's and bert's
    def row(customer: str, message: str) -> Observation:
        return Observation(input={"message": message}, text="{}", output_tokens=1, valid=True, customer=customer)

    before = [row("anna", "sofa lamp"), row("anna", "sofa"), row("bert", "lamp")]
    now = [row("anna", "sofa lamp"), row("carl", "sofa lamp rug"), row("", "rug"), row("", "sofa")]
    table = compare(before, now, SCHEMA, None, 0)
    assert table.reference["input.unseen_words"].tolist() == [0.5, 1.0, 0.0]
    assert table.current["input.unseen_words"].tolist() == pytest.approx([0.5, 1 / 3, 1.0, 0.0])


def test_words_that_only_one_row_of_the_reference_has_count_as_unseen_on_both_sides() -> None:
    def of(text: str) -> Observation:
        return Observation(input={"message": text}, text=json.dumps({"kind": "late"}), output_tokens=1, valid=True)

    reference = [of("a lamp"), of("a table"), of("the vase"), of("a lamp here")]
    table = compare(reference, [of("a chair"), of("a lamp")], SCHEMA, None, 0)
    assert table.reference["input.unseen_words"].tolist() == pytest.approx([0.0, 0.5, 1.0, 1 / 3])
    assert table.current["input.unseen_words"].tolist() == [0.5, 0.0]


def test_few_answers_are_not_judged(draw: Draw, tmp_path: Path) -> None:
    result = looked(draw(800, 1), draw(99, 2, (0.0, 0.0, 1.0)), tmp_path / "page.html")
    assert (result.judged, result.drifted, (tmp_path / "page.html").exists()) == (False, False, False)


def test_a_reference_without_answers_is_refused(draw: Draw, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found 0 of reference and 300 of now"):
        looked([], draw(300, 2), tmp_path / "page.html")


def test_false_alarms_rarer_than_resamples_tell_are_refused() -> None:
    with pytest.raises(ValueError, match=r"resamples must be at least 500 for false_alarms"):
        WatchParams(false_alarms=0.002, resamples=200)


LABELS: dict[str, dict[str, Any]] = {
    "inline": {"enum": ["yes", "no"]},
    "referred": {"$ref": "#/$defs/F"},
    "perhaps null": {"anyOf": [{"enum": ["yes", "no"]}, {"type": "null"}]},
    "constants": {"oneOf": [{"const": "yes"}, {"const": "no"}]},
}
BOOLEANS: dict[str, dict[str, Any]] = {
    "boolean": {"type": "boolean"},
    "boolean or null": {"type": ["boolean", "null"]},
    "constants": {"oneOf": [{"const": True}, {"const": False}]},
}
FLAGS = {"type": "array", "items": {"enum": ["yes", "no"]}}
NESTED = {"type": "object", "properties": {"deep": {"type": "boolean"}}}


def answered(values: Sequence[Any], texts: Sequence[str] = (), tokens: Sequence[int] = ()) -> list[Observation]:
    """Answers with a field `f`; texts and tokens are the same everywhere where none are given."""
    return [
        Observation(
            input={"message": texts[at] if texts else "where is my order"}, text=json.dumps({"f": value}),
            output_tokens=tokens[at] if tokens else 10, valid=True,
        )
        for at, value in enumerate(values)
    ]  # fmt: skip


def seen(part: Any, before: list[Observation], now: list[Observation], page: Path) -> Watched:
    schema = {"type": "object", "$defs": {"F": LABELS["inline"]}, "properties": {"f": part}}
    return watch(Sides("shop", schema, before, window(now)), PARAMS, page)


@pytest.mark.parametrize(
    ("part", "write"),
    [
        *((part, lambda yes: "yes" if yes else "no") for part in LABELS.values()),
        *((part, bool) for part in BOOLEANS.values()),
        (FLAGS, lambda yes: ["yes", "no"] if yes else ["no"]),
        (NESTED, lambda yes: {"deep": bool(yes)}),
        ({"type": "number"}, lambda yes: 100.0 if yes else 1.0),
        ({"type": ["integer", "null"], "minimum": 0}, lambda yes: 7 if yes else None),
    ],
)
def test_a_field_that_flips_is_drift_in_whatever_form_its_schema_is(
    part: Any, write: Callable[[bool], Any], tmp_path: Path
) -> None:
    before, same, flipped = ([write(True)] * yes + [write(False)] * no for yes, no in ((720, 80), (270, 30), (30, 270)))
    result = seen(part, answered(before), answered(flipped), tmp_path / "page.html")
    assert result.drifted and all(each.column.startswith("output.f") for each in result.moved)
    assert not seen(part, answered(before), answered(same), tmp_path / "page.html").drifted


@pytest.mark.parametrize("name", ["valid", "tokens", "confidence"])
def test_a_field_that_is_called_like_a_column_about_answers_is_watched_beside_it(
    draw: Draw, name: str, tmp_path: Path
) -> None:
    schema = {"type": "object", "properties": {name: {"enum": ["high", "low"]}}}
    before, now = (
        [row.model_copy(update={"text": json.dumps({name: "high" if at % 10 < high else "low"})})
         for at, row in enumerate(draw(n, seed))]
        for n, seed, high in ((800, 1, 1), (300, 2, 9))
    )  # fmt: skip
    result = watch(Sides("shop", schema, before, window(now)), PARAMS, tmp_path / "page.html")
    assert [each.column for each in result.moved] == [f"output.{name}"]
    assert {each.slice for each in result.slices} == {f"{name}=high", f"{name}=low"}
    assert f"output.{name} (whole)" in compare(before, now, schema, None, 0).columns


@pytest.mark.parametrize(
    ("value", "held"), [(3, 3.0), (-2.5, -2.5), (1e100, 1e100), (1e101, None), (10**400, None), (float("inf"), None),
                        (float("nan"), None), (True, None), ("3", None), (None, None)],
)  # fmt: skip
def test_a_column_holds_numbers_whose_squares_are_finite(value: Any, held: float | None) -> None:
    assert number(value) == pytest.approx(float("nan") if held is None else held, nan_ok=True)


def test_no_number_shares_its_size_s_column_with_another_field(draw: Draw) -> None:
    schema = {"type": "object", "properties": {name: {"type": "number"} for name in ("a", "a (size)")}}
    sides = [
        [row.model_copy(update={"text": json.dumps({"a": at, "a (size)": -at})}) for at, row in enumerate(draw(n, n))]
        for n in (200, 100)
    ]
    table = compare(sides[0], sides[1], schema, None, 0)
    assert table.reference["output.a (size) (size)"].max() == 199
    assert table.reference["output.a (size) (size) (size)"].min() == -199


@pytest.mark.parametrize("value", [10**400, 10**300, 1e200, -(10**300)])
@pytest.mark.parametrize("part", [{"type": "integer"}, {"type": "number"}, {"enum": [1, 2]}])
def test_a_number_too_large_for_a_column_stops_and_hides_nothing(value: float, part: Any, tmp_path: Path) -> None:
    usual = [1, 2, *range(3, 30)] * 20
    odd = answered([value, *usual])
    for before, now in ((answered(usual), odd), (odd, answered(usual))):
        result = seen(part, before, now, tmp_path / "page.html")
        assert not result.drifted and result.severity < 1
    moved = seen({"type": "number"}, odd, answered([1000 + at for at in usual]), tmp_path / "page.html")
    assert "output.f (size)" in {each.column for each in moved.moved}


def test_a_field_that_may_be_anything_has_no_column_and_stops_nothing(tmp_path: Path) -> None:
    before, now = answered(["yes", 3] * 400, tokens=[8, 12] * 400), answered(["yes", 3] * 150, tokens=[80, 120] * 150)
    result = seen(True, before, now, tmp_path / "page.html")
    assert result.drifted
    assert not [each.column for each in result.moved if each.column.startswith("output.f")]


def test_numbers_a_hundred_times_as_large_are_drift_and_are_told_as_they_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    before, same, now = (rng.lognormal(3, 1, n).tolist() for n in (800, 300, 300))
    result = seen({"type": "number"}, answered(before), answered([100 * x for x in now]), tmp_path / "page.html")
    assert [each.column for each in result.moved] == ["output.f (size)"]
    assert float(result.moved[0].current.removeprefix("mean ")) > 1_000  # not as bounded for the comparison
    assert not seen({"type": "number"}, answered(before), answered(same), tmp_path / "page.html").drifted


@pytest.mark.parametrize("odd", [1, 3])
@pytest.mark.parametrize(
    "column",
    [
        lambda odd, n: answered([None] * n, tokens=[11] * odd + [10] * (n - odd)),
        lambda odd, n: answered([None] * n, tokens=[100_000] * odd + [10] * (n - odd)),
        lambda odd, n: answered([None] * n, texts=["my order 7"] * odd + ["my order a"] * (n - odd)),
        lambda odd, n: answered([None] * n, texts=["my order."] * odd + ["my order a"] * (n - odd)),
        lambda odd, n: answered(["far out"] * odd + [5.0] * (n - odd)),
        lambda odd, n: answered([1e12] * odd + [5.0] * (n - odd)),
    ],
)
def test_a_column_that_never_varied_is_not_moved_by_few_odd_answers(
    column: Callable[[int, int], list[Observation]], odd: int, tmp_path: Path
) -> None:
    result = seen({"type": "number"}, column(0, 1000), column(odd, 400), tmp_path / "page.html")
    assert not result.drifted and result.severity < 1.001  # at most on the limit


def test_a_column_that_never_varied_is_moved_when_many_answers_are_odd(tmp_path: Path) -> None:
    result = seen(
        True, answered([None] * 1000), answered([None] * 400, tokens=[11] * 40 + [10] * 360), tmp_path / "page.html"
    )
    assert [each.column for each in result.moved] == ["output.tokens"]
    assert 1 < result.severity < 20


def test_few_answers_far_out_do_not_move_a_column_that_varies(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    before, now = (rng.integers(10, 30, n).tolist() for n in (1000, 400))
    far = [1_000_000] * 3 + now[3:]
    assert not seen(
        True, answered([None] * 1000, tokens=before), answered([None] * 400, tokens=far), tmp_path / "p"
    ).drifted


def test_where_nothing_ever_varies_nothing_has_moved(tmp_path: Path) -> None:
    result = seen(True, answered([None] * 800), answered([None] * 300), tmp_path / "page.html")
    assert (result.judged, result.drifted, result.severity, result.columns) == (True, False, 0.0, 0)
    assert (tmp_path / "page.html").is_file()


def test_another_constant_text_is_an_input_drift(tmp_path: Path) -> None:
    before, now = answered([None] * 800), answered([None] * 300, texts=["something else altogether"] * 300)
    assert seen({}, before, now, tmp_path / "page.html").kinds == ("input",)


def test_inputs_all_alike_have_no_directions_to_differ_in(tmp_path: Path) -> None:
    before, now = answered([None] * 800), answered([None] * 300, texts=["something else altogether"] * 300)
    vectors = np.ones((800, 16)), np.full((300, 16), 2.0)
    result = watch(Sides("shop", SCHEMA, before, window(now), vectors), PARAMS, tmp_path / "page.html")
    assert result.kinds == ("input",) and not any(each.column.startswith("input.embedding") for each in result.moved)


def test_one_wrong_answer_after_none_was_is_no_worse_quality(tmp_path: Path) -> None:
    def scored(n: int, wrong: int, known: int) -> list[Observation]:
        rows = answered([None] * n)
        return [
            row.model_copy(update={"score": float(at >= wrong) if at < known else None}) for at, row in enumerate(rows)
        ]

    before = scored(800, 0, 800)
    assert not seen(True, before, scored(300, 1, 60), tmp_path / "page.html").drifted
    assert seen(True, before, scored(300, 30, 60), tmp_path / "page.html").kinds == ("quality",)


def test_a_slice_that_never_has_the_number_that_moved_is_not_told_and_the_look_can_be_read_again(
    tmp_path: Path,
) -> None:
    """Greetings have no amount: the mean of none is no number, which no file of a look can hold."""
    number = {"type": ["number", "null"]}
    schema = {"type": "object", "properties": {"topic": {"enum": ["refund", "greeting"]}, "amount": number}}

    def rows(n: int, least: int) -> list[Observation]:
        given = [("greeting", None) if at % 3 == 0 else ("refund", least + at % 50) for at in range(n)]
        return [
            Observation(input={"message": "hi"}, text=json.dumps({"topic": topic, "amount": amount}),
                        output_tokens=10, valid=True)
            for topic, amount in given
        ]  # fmt: skip

    look = watch(Sides("shop", schema, rows(600, 0), window(rows(300, 100))), PARAMS, tmp_path / "page.html")
    assert [each.column for each in look.moved] == ["output.amount (size)"]
    assert {each.slice for each in look.slices} == {"topic=refund", "amount=given"}
    write_record(tmp_path / "watched.json", look)
    assert read_state(tmp_path / "watched.json", Watched) == look


def test_the_share_of_a_slice_is_among_the_rows_that_have_its_label(tmp_path: Path) -> None:
    before, now = (
        [row.model_copy(update={"score": float(at % 4 < right) if at < known else None})
         for at, row in enumerate(answered([None] * n))]
        for n, known, right in ((800, 800, 3), (300, 100, 1))
    )  # fmt: skip
    look = seen(True, before, now, tmp_path / "page.html")
    shares = {each.slice: (each.reference_share, each.current_share) for each in look.slices}
    assert shares == {"quality.score=1": (0.75, 0.25), "quality.score=another": (0.25, 0.75)}


def test_names_that_the_page_cannot_tell_apart_are_measured_apart(tmp_path: Path) -> None:
    names = "gave.a&b", "gave.a﹠b"
    first, second = (pd.DataFrame({names[0]: [1.0, 2.0] * 50, names[1]: [1.0, each] * 50}) for each in (2.0, 9.0))
    result = distances(Table(first, second, names, ()), dict.fromkeys(names, 0.1), tmp_path / "drift.html")
    assert result[names[0]] == 0 and result[names[1]] > 1


def test_the_page_holds_no_markup_from_names_and_labels(tmp_path: Path) -> None:
    hostile = "</script><script>document.title='HIT'</script>"
    first, second = ([hostile, "b"] * 50, [hostile, hostile, hostile, "b"] * 25)
    table = Table(pd.DataFrame({hostile: first}), pd.DataFrame({hostile: second}), (), (hostile,))
    result = distances(table, {hostile: 0.1}, tmp_path / "drift.html")
    assert result == {hostile: pytest.approx(jensenshannon([0.5, 0.5], [0.75, 0.25]), abs=1e-3)}
    assert "<script>document" not in (tmp_path / "drift.html").read_text(encoding="utf-8")
