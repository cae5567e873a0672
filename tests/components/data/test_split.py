"""Splits: exact sizes, nothing that belongs together on two sides, the same every time."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.shares import drawn
from components.data.sources import Row
from components.data.split import SPLITS, TooFewRowsError, assign, straddling
from components.errors import ConfigError, DataError
from components.params import Workload
from components.records import Example
from tests.components.data.conftest import OUTPUT

COLUMNS = {"input": ["text"], "output": {"intent": "label", "amount": "sum"}}


def row(number: int, group: str = "", part: Any = "all") -> Row:
    name = f"r{number}"
    example = Example(id=name, input={"text": name}, demonstration="{}", reference="{}", group=group or name)
    return Row(example, part, f"rows.csv:{number}")


def workload(source: dict[str, Any]) -> Workload:
    return Workload.model_validate(
        {
            "name": "shop",
            "description": "",
            "source": source,
            "output": OUTPUT,
            "prompts": ["loose"],
            "trained_prompt": "short",
            "scorer": {"weighted": {"json_schema": 1.0}},
            "traffic": {"calls_per_year": 1},
            "incumbent": "m",
        }
    )


def generated(**sizes: int) -> Workload:
    return workload({"kind": "generated", "generator": "a:b", "seed": 1, "sizes": sizes})


def from_files(files: dict[str, str], **shares: float) -> Workload:
    return workload({"kind": "csv", "files": files, "columns": COLUMNS, "shares": shares})


def firsts(n: int, pairs: list[tuple[int, int]]) -> list[int]:
    """For each of n rows the first one of its bundle."""
    labels = list(range(n))
    for _ in pairs:
        for first, other in pairs:
            least = min(labels[first], labels[other])
            labels = [least if label in (labels[first], labels[other]) else label for label in labels]
    return labels


GROUPS = st.lists(st.integers(0, 30), min_size=60, max_size=120)
PAIRS = st.lists(st.tuples(st.integers(0, 59), st.integers(0, 59)), max_size=5)


@given(GROUPS, PAIRS, st.integers(0, 5))
def test_groups_and_near_duplicates_stay_on_one_side(
    groups: list[int], pairs: list[tuple[int, int]], seed: int
) -> None:
    rows = [row(number, f"g{group}") for number, group in enumerate(groups)]
    alike = firsts(len(rows), pairs)
    try:
        splits = assign(rows, alike, from_files({"all": "a.csv"}, dev=0.2, test=0.2, sealed=0.2, seed=seed))
    except DataError:  # one bundle may hold nearly all rows
        return
    side = {place: split for split, places in splits.items() for place in places}
    assert sorted(side) == list(range(len(rows)))
    for first in range(len(rows)):
        for second in range(first):
            assert groups[first] != groups[second] or side[first] == side[second]
    assert all(side[first] == side[second] for first, second in pairs)


def test_generated_sizes_are_exact_although_groups_are_whole() -> None:
    # Pairs of rows: a split of three rows needs a single row to be full.
    rows = [row(number, f"g{number // 2}") for number in range(20)] + [row(number) for number in range(20, 30)]
    splits = assign(rows, [], generated(train=7, dev=3, test=3, sealed=3))
    assert {split: len(places) for split, places in splits.items()} == {"train": 7, "dev": 3, "test": 3, "sealed": 3}


def test_a_larger_train_split_leaves_the_others_as_they_are() -> None:
    rows = [row(number) for number in range(100)]
    small = assign(rows, [], generated(train=20, dev=5, test=10, sealed=10))
    large = assign(rows, [], generated(train=60, dev=5, test=10, sealed=10))
    assert all(small[split] == large[split] for split in ("dev", "test", "sealed"))
    assert set(small["train"]) < set(large["train"])


def test_too_few_generated_rows_are_refused() -> None:
    with pytest.raises(TooFewRowsError, match=r"expected 9 rows for train, found 7 \(a:b\)"):
        assign([row(number) for number in range(10)], [], generated(train=9, dev=1, test=1, sealed=1))


def test_a_generated_source_needs_a_size_for_each_split() -> None:
    with pytest.raises(ConfigError, match=r"source\.sizes must name train, dev, test and sealed, found no sealed"):
        assign([row(0)], [], generated(train=1, dev=1, test=1))


def test_shares_are_of_the_rows_without_a_split_and_follow_the_seed() -> None:
    rows = [row(number) for number in range(200)]
    shares = {"dev": 0.05, "test": 0.1, "sealed": 0.15}
    first = assign(rows, [], from_files({"all": "a.csv"}, **shares, seed=1))
    assert {split: len(places) for split, places in first.items()} == {
        "train": 140,
        "dev": 10,
        "test": 20,
        "sealed": 30,
    }
    assert assign(rows, [], from_files({"all": "a.csv"}, **shares, seed=1)) == first
    assert assign(rows, [], from_files({"all": "a.csv"}, **shares, seed=2)) != first


def texts(rows: list[Row], of: Workload, likes: list[int] | None = None) -> dict[str, set[str]]:
    """Split → its rows' texts. Rows with the same number in `likes` are near-duplicates."""
    first: dict[int, int] = {}
    alike = [first.setdefault(key, place) for place, key in enumerate(likes or range(len(rows)))]
    splits = assign(rows, alike, of)
    return {split: {rows[place].example.input["text"] for place in places} for split, places in splits.items()}


CUT = from_files({"all": "a.csv"}, dev=0.1, test=0.1, sealed=0.1)


@pytest.mark.parametrize("dropped", [0, 123, 456, 789, 999])
def test_a_row_less_moves_at_most_one_row_over_each_border(dropped: int) -> None:
    rows = [row(number) for number in range(1000)]
    before, after = texts(rows, CUT), texts([*rows[:dropped], *rows[dropped + 1 :]], CUT)
    # 10 % of 999 rows are 100 too: where the row was in one of them, its first neighbour moves up.
    assert all(
        len(after[split]) == 100 and len(after[split] - before[split]) <= 1 for split in ("dev", "test", "sealed")
    )
    assert not before["train"] & after["sealed"]


def test_a_tenth_more_rows_seals_no_row_that_was_learnt() -> None:
    rows = [row(number) for number in range(1100)]
    before, after = texts(rows[:1000], CUT), texts(rows, CUT)
    # Sealed has room for 110 rows instead of 100: of the old ones it has those that were next, in test, at the most.
    assert not before["train"] & after["sealed"] and not before["dev"] & after["sealed"]
    assert len(before["test"] & after["sealed"]) <= 10


def test_where_only_sealed_is_cut_a_tenth_more_rows_seals_no_more_than_the_new_room() -> None:
    of = from_files({"train": "a.csv", "dev": "b.csv", "test": "c.csv"}, sealed=0.1)
    judged = [row(2000, part="dev"), row(2001, part="test")]
    rows = [*judged, *(row(number, part="train") for number in range(1100))]
    before, after = texts(rows[:1002], of), texts(rows, of)
    assert (len(before["sealed"]), len(after["sealed"])) == (100, 110)
    assert len(before["train"] & after["sealed"]) <= 10


def test_neither_the_order_of_a_file_nor_its_ids_move_a_row() -> None:
    rows = [row(number) for number in range(200)]
    named = [
        Row(own.example.model_copy(update={"id": f"n{at}", "group": f"n{at}"}), "all", own.where)
        for at, own in enumerate(reversed(rows))
    ]
    assert texts(named, CUT) == texts(rows, CUT)


def test_rows_that_belong_together_stay_where_they_are_in_a_file_with_the_newest_first() -> None:
    # Threes of near-duplicates; from row 150 on also groups of two, which these join to sixes.
    rows = [row(number, f"g{number // 2}" if number >= 150 else "") for number in range(300)]
    likes = [number // 3 for number in range(300)]
    assert texts(rows[::-1], CUT, likes[::-1]) == texts(rows, CUT, likes)


def test_a_near_duplicate_put_in_front_moves_those_that_it_resembles_only_where_it_leads_them() -> None:
    # 10.5 % are 32 rows, ten threes and two places to spare: where one of the ten gets a fourth row, all still fit.
    of = from_files({"all": "a.csv"}, dev=0.105, test=0.105, sealed=0.105, seed=1)
    rows, likes = [row(number) for number in range(300)], [number // 3 for number in range(300)]
    before = texts(rows, of, likes)
    leads, moves = list[bool](), list[bool]()
    for three in range(100):
        new = row(1000 + three)
        after = texts([new, *rows], of, [three, *likes])
        moves.append(any(before[split] - after[split] for split in SPLITS))
        old = [drawn("first/1", f"r{number}") for number in range(3 * three, 3 * three + 3)]
        leads.append(drawn("first/1", new.example.input["text"]) < min(old))
    assert any(moves) and all(first for first, moved in zip(leads, moves, strict=True) if moved)
    assert 12 < sum(leads) < 38  # one of four, within three standard deviations of 4.3


def test_rows_that_belong_together_are_sealed_no_more_often_than_others() -> None:
    rows, tens = [row(number) for number in range(1000)], {f"r{number}" for number in range(200)}
    likes = [number // 10 if number < 200 else number for number in range(1000)]  # twenty tens and 800 single rows
    cuts = [from_files({"all": "a.csv"}, dev=0.1, test=0.1, sealed=0.1, seed=seed) for seed in range(20)]
    sealed = [texts(rows, cut, likes)["sealed"] for cut in cuts]
    # 10 % of 4,000 rows, within three standard deviations of 60; by the least draw of ten it would be most of 2,000
    assert 220 < sum(len(tens & some) for some in sealed) < 580


def test_a_group_stays_where_it_is_when_a_row_comes_before_its_others() -> None:
    rows = [row(number, f"g{number // 2}") for number in range(200)]
    newest = [row(number, f"g{number - 200}") for number in range(200, 300)]
    before, after = texts(rows, CUT), texts([*newest, *rows], CUT)
    # 10 groups of two rows have as much room in 20 of 200 rows as 10 of three in 30 of 300.
    assert all(before[split] < after[split] for split in ("train", "dev", "test", "sealed"))


def test_splits_without_a_file_are_cut_from_train_and_those_with_one_stay() -> None:
    rows = [row(number, part="train") for number in range(100)] + [
        row(number, part="test") for number in range(100, 120)
    ]
    files = {"train": "a.csv", "test": "b.csv"}
    splits = assign(rows, [], from_files(files, dev=0.1, test=0.3, sealed=0.2))
    assert splits["test"] == list(range(100, 120))
    assert {split: len(places) for split, places in splits.items()} == {
        "train": 70,
        "dev": 10,
        "test": 20,
        "sealed": 20,
    }


def test_rows_like_those_of_a_train_file_go_to_train() -> None:
    rows = [row(number) for number in range(40)] + [row(number, part="train") for number in range(40, 50)]
    alike = [0] * 20 + list(range(20, 40)) + [0] + list(range(41, 50))
    splits = assign(rows, alike, from_files({"all": "a.csv", "train": "b.csv"}, dev=0.1, test=0.1, sealed=0.1))
    assert set(range(20)) | set(range(40, 50)) <= set(splits["train"])
    assert sum(len(places) for places in splits.values()) == 50


@pytest.mark.parametrize("empty", ["dev", "test", "sealed"])
def test_a_split_without_rows_is_refused(empty: str) -> None:
    shares = {"dev": 0.1, "test": 0.1, "sealed": 0.1} | {empty: 0.0}
    with pytest.raises(DataError, match=f"found none for {empty}"):
        assign([row(number) for number in range(30)], [], from_files({"all": "a.csv"}, **shares))


def test_the_row_of_the_stricter_split_stays() -> None:
    rows = [row(0, part="train"), row(1, part="test"), row(2, part="sealed"), row(3, "g", "dev"), row(4, "g", "train")]
    assert straddling(rows, [0, 0, 0, 3, 4]) == {
        0: "near-duplicate of r2 in sealed",
        1: "near-duplicate of r2 in sealed",
        4: "of the group of r3 in dev",
    }


def test_a_row_that_is_left_out_takes_no_other_along() -> None:
    rows = [row(0, "g", "train"), row(1, "g", "dev"), row(2, "g", "test"), row(3, part="train"), row(4, part="sealed")]
    assert straddling(rows, [0, 1, 2, 3, 3], {2, 4}) == {0: "of the group of r1 in dev"}


def test_rows_of_one_file_do_not_straddle() -> None:
    rows = [row(0, "g", "train"), row(1, "g", "train"), row(2, part="test"), row(3, part="test")]
    assert straddling(rows, [0, 0, 2, 2]) == {}


def test_all_splits_are_named() -> None:
    assert SPLITS == ("train", "dev", "test", "sealed")
