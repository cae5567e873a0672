"""The triage workload is held out of pretraining: nothing of it is in the generator."""

import random
import re
from itertools import pairwise
from pathlib import Path

import pytest

from components.base.curriculum import SKILLS, Curriculum, segments
from components.workloads.triage import DEFINITIONS, LABELS, PHRASINGS

LESSONS = 6_000
WORDS_IN_A_ROW = 5


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def runs(text: str, length: int = WORDS_IN_A_ROW) -> set[tuple[str, ...]]:
    in_order = words(text)
    return {tuple(in_order[at : at + length]) for at in range(len(in_order) - length + 1)}


def literal_pieces(template: str) -> list[str]:
    """The fixed text of a phrasing, between its slots."""
    return re.split(r"\{[^}]*\}", template)


@pytest.fixture(scope="module")
def generated() -> list[str]:
    curriculum, rng = Curriculum(dict.fromkeys(SKILLS, 1.0), 1.0, 2), random.Random(20_000)
    return ["".join(text for text, _ in segments(curriculum.lesson(rng, 1.0))) for _ in range(LESSONS)]


def test_no_label_of_several_words_is_generated(generated: list[str]) -> None:
    labels = [label for label in LABELS if "_" in label]
    assert len(labels) >= 15
    assert [label for label in labels if any(label in text.lower() for text in generated)] == []


def test_no_five_words_of_a_definition_or_a_phrasing_are_generated(generated: list[str]) -> None:
    held_out: set[tuple[str, ...]] = set()
    for text in (*DEFINITIONS.values(), *(piece for template in PHRASINGS for piece in literal_pieces(template))):
        held_out |= runs(text)
    assert len(held_out) > 1_000
    assert held_out & set().union(*(runs(text) for text in generated)) == set()


def test_no_label_definition_or_phrasing_stands_in_the_generators_source() -> None:
    source = "\n".join(path.read_text() for path in Path("components/base").glob("*.py")).lower()
    pieces = [piece.strip().lower() for template in PHRASINGS for piece in literal_pieces(template)]
    forbidden = {label for label in LABELS if "_" in label} | {text.lower() for text in DEFINITIONS.values()}
    forbidden |= {piece for piece in pieces if len(words(piece)) >= WORDS_IN_A_ROW}
    forbidden.discard("everything else.")
    assert [text for text in sorted(forbidden) if text in source] == []


def test_the_five_word_check_can_fail() -> None:
    taken = DEFINITIONS["damaged_item"]
    assert runs(f"well, {taken.upper()} indeed") & runs(taken)
    assert [pair for pair in pairwise(words(taken)) if pair]
