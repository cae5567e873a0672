"""The simulated order lines: deterministic, canonical as the prompts say, wrong by habit."""

import json
import random
import re
from collections import Counter
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from components.params import Workload
from components.params.loading import load
from components.workloads.normalise import FIELD_NAMES, Order, generate
from components.workloads.normalise.codes import draw_code
from components.workloads.normalise.dates import draw_date
from components.workloads.normalise.places import Country, draw_place
from components.workloads.normalise.quantities import draw_quantity

ROOT = Path(__file__).resolve().parents[3]
SEED = 11


@pytest.fixture(scope="module")
def orders() -> list[Order]:
    return list(generate(6000, SEED))


def wrong_fields(order: Order) -> set[str]:
    return {name for name in FIELD_NAMES if order.gold[name] != order.demonstration[name]}


def test_a_seed_gives_the_same_orders_however_many_are_drawn(orders: list[Order]) -> None:
    assert list(generate(50, SEED)) == orders[:50]
    assert not {order.message for order in generate(300, SEED + 1)} & {order.message for order in orders}


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="n must be ≥ 0, found -1"):
        generate(-1, SEED)


def test_gold_and_demonstrations_obey_the_schema(orders: list[Order]) -> None:
    workload = load(ROOT / "params/workloads/normalise.yaml", Workload)
    assert workload.fields == FIELD_NAMES
    assert workload.simulated
    validator = Draft202012Validator(workload.output)
    for order in orders:
        assert tuple(order.gold) == FIELD_NAMES
        assert validator.is_valid(order.gold), order.gold
        assert validator.is_valid(order.demonstration), order.demonstration


def test_about_a_tenth_of_the_demonstrations_is_wrong_and_a_majority_of_every_kind_right(orders: list[Order]) -> None:
    wrong = sum(bool(wrong_fields(order)) for order in orders) / len(orders)
    assert 0.075 < wrong < 0.105
    kinds = Counter(order.slices["difficulty"] for order in orders)
    struck = Counter(order.slices["difficulty"] for order in orders if wrong_fields(order))
    assert set(kinds) == {"plain", *struck} and len(struck) == 4 and "plain" not in struck
    for kind, n in struck.items():
        assert kinds[kind] > 200
        assert 0.3 < n / kinds[kind] < 0.5, kind


def test_a_slip_changes_what_its_habit_changes(orders: list[Order]) -> None:
    changed = {
        "european_order": {"date"},
        "leading_zero_lost": {"postcode"},
        "counting_word_overlooked": {"quantity"},
        "letter_copied": {"code"},
    }
    several = {field for fields in changed.values() for field in fields}
    for order in orders:
        assert len(wrong_fields(order)) <= 1
        assert wrong_fields(order) <= several
    slipped = {name for order in orders for name in wrong_fields(order)}
    assert slipped == several


def drawn(make: Any, wanted: str) -> Any:
    """The first draw whose text is this one."""
    rng = random.Random(SEED)
    for _ in range(200_000):
        written = make(rng)
        if re.fullmatch(wanted, written.text):
            return written
    raise AssertionError(f"no draw is written {wanted}")


def test_the_country_says_which_figure_is_the_month() -> None:
    notations: dict[Country, str] = {"us": r"4/3/2026", "gb": r"3/4/2026", "de": r"3\.4\.26"}
    for country, notation in notations.items():
        written = drawn(partial(draw_date, country), notation)
        assert written.fields == {"date": "2026-04-03"}
        assert written.slip == ({"date": "2026-03-04"} if country == "us" else None)


def test_a_day_that_cannot_be_a_month_misleads_nobody() -> None:
    written = drawn(lambda rng: draw_date("us", rng), r"4/1[3-9]/2026")
    assert written.slip is None
    assert date.fromisoformat(written.fields["date"]).month == 4


@pytest.mark.parametrize(
    ("country", "text", "quantity", "unit", "slip"),
    [
        ("us", r"3 dozen", 36, "pcs", 3),
        ("de", r"3 Pfund", 1.5, "kg", 3),
        ("de", r"4 Pfd\.", 2, "kg", 4),
        ("us", r"2 1/2 kg", 2.5, "kg", None),
        ("us", r"3/4 litres", 0.75, "l", None),
        ("us", r"350 grams", 0.35, "kg", None),
        ("us", r"80 cm", 0.8, "m", None),
        ("de", r"7,5 kg", 7.5, "kg", None),
        ("gb", r"7\.5 kg", 7.5, "kg", None),
        ("gb", r"12 pcs", 12, "pcs", None),
    ],
)
def test_quantities_are_converted(country: Any, text: str, quantity: float, unit: str, slip: float | None) -> None:
    written = drawn(lambda rng: draw_quantity(country, rng), text)
    assert written.fields == {"quantity": quantity, "unit": unit}
    assert written.slip == (None if slip is None else {"quantity": slip})


def test_in_a_code_the_place_tells_letters_from_digits() -> None:
    written = drawn(draw_code, r"[A-Z]0-?\d{4}")
    assert written.fields["code"] == f"{written.text[0]}O-{written.text[-4:]}"
    copied = drawn(draw_code, r"[A-NP-Z]{2}-O\d{3}")
    assert copied.fields["code"] == copied.text.replace("O", "0")
    assert copied.slip == {"code": copied.text}


def test_street_types_are_written_out_and_umlauts_spelt() -> None:
    german = drawn(lambda rng: draw_place("de", rng), r"Müllerstr\. \d+, 0.*")
    assert german.fields["street"] == f"Muellerstrasse {german.text.partition(',')[0].rpartition(' ')[2]}"
    assert german.slip == {"postcode": german.fields["postcode"][1:]}
    british = drawn(lambda rng: draw_place("gb", rng), r"\d+ Oak Rd, .* [a-z]{2}\d+ \d[a-z]{2}")
    assert british.fields["street"].endswith(" Oak Road")
    assert british.fields["postcode"] == british.text.rpartition(", ")[2].partition(" ")[2].upper()


def test_the_definitions_name_every_key_in_the_schemas_order() -> None:
    for name in ("schema", "schema_definitions"):
        text = (ROOT / f"params/prompts/normalise/{name}.md").read_text(encoding="utf-8")
        assert tuple(re.findall(r"^- (\w+):", text, re.MULTILINE)) == FIELD_NAMES


def test_gold_can_be_written_as_json(orders: list[Order]) -> None:
    for order in orders[:200]:
        assert json.loads(json.dumps(order.gold)) == order.gold
