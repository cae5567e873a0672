"""Samples of a split: drawn, seeded, whole groups, and used wherever a part of a split is looked at."""

import re
from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from components.evaluation.sample import places, sample
from components.records import Example

ROOT = Path(__file__).resolve().parents[3]


def examples(groups: list[str]) -> list[Example]:
    return [
        Example(id=f"e{at}", input={"text": ""}, demonstration="", reference=group, group=group)
        for at, group in enumerate(groups)
    ]


def test_all_labels_are_drawn_from_a_split_sorted_by_label() -> None:
    rows = [
        Example(id=f"{label}{at}", input={}, demonstration=label, reference=label, group=f"{label}{at}")
        for label in "abcdefg"
        for at in range(100)
    ]
    drawn = Counter(row.reference for row in sample(rows, 300, 1))
    assert set(drawn) == set("abcdefg")  # the first 300 rows have three
    assert all(20 <= count <= 70 for count in drawn.values())


@given(st.lists(st.sampled_from("abcdefgh"), max_size=60), st.integers(0, 70), st.integers(0, 9))
def test_a_sample_has_its_size_its_order_and_at_most_one_part_of_a_group(groups: list[str], n: int, seed: int) -> None:
    rows = examples(groups)
    chosen = places(rows, n, seed)
    assert len(chosen) == min(n, len(rows)) and chosen == sorted(set(chosen))
    assert sample(rows, n, seed) == [rows[place] for place in chosen]
    inside, outside = {groups[place] for place in chosen}, {groups[at] for at in range(len(rows)) if at not in chosen}
    assert len(inside & outside) <= 1


def test_the_seed_decides_and_a_smaller_sample_is_part_of_a_larger_one() -> None:
    rows = examples([str(at) for at in range(200)])
    assert places(rows, 50, 1) == places(rows, 50, 1) != places(rows, 50, 2)
    assert set(places(rows, 50, 1)) < set(places(rows, 100, 1))


def test_no_code_takes_the_first_rows_of_a_split() -> None:
    first = re.compile(r"""(examples\(["'](?:train|dev|test|sealed)["']\)|\b_?(?:dev|train))\[ ?:(?! *half)""")
    for folder in ("components", "flows", "monitoring", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            if path != ROOT / "benchmarks" / "worlds.py":  # its rows are drawn independently of each other
                assert not first.search(path.read_text(encoding="utf-8")), path
