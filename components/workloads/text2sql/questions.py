"""Simulated questions about the shop's database: a text, the right query and an imperfect demonstration.

Question i of a seed is always the same, however many are drawn. About one question in ten repeats an earlier one in
other words, and shares its group.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from components.workloads.asking import STYLES, Style, base_index, dressed
from components.workloads.text2sql.cases import WORDS_KEPT, draw_case
from components.workloads.text2sql.queries import Query
from components.workloads.text2sql.shop import differ
from components.workloads.text2sql.wording import Case

# How often an annotator slips if a habit applies: hurried questions get hurried answers. Overall, two thirds of each
# habit's cases are right.
SLIP_SHARES: dict[Style, float] = {"terse": 0.62, "written": 0.16}


@dataclass(frozen=True, slots=True)
class Question:
    """A question: `gold` is the right answer, `demonstration` is an annotator's.

    Questions in the same `group` ask for the same query and must stay in one split.
    """

    id: str
    question: str
    gold: dict[str, str]
    demonstration: dict[str, str]
    slices: dict[str, str]
    group: str


def generate(n: int, seed: int) -> Iterator[Question]:
    """Yield questions 0 to n - 1 of a seed.

    Raises:
        ValueError: if `n` is negative.
    """
    if n < 0:
        raise ValueError(f"n must be ≥ 0, found {n}")
    return (make_question(index, seed) for index in range(n))


def make_question(index: int, seed: int) -> Question:
    """Return question number `index` of a seed."""
    base = base_index("text2sql", index, seed)
    case = draw_case(random.Random(f"text2sql/{seed}/case/{base}"))
    rng = random.Random(f"text2sql/{seed}/question/{index}")
    style = rng.choice(STYLES)
    return Question(
        id=f"Q{index:06d}",
        question=dressed(worded(case, rng), style, WORDS_KEPT, rng),
        gold={"sql": case.query.sql()},
        demonstration={"sql": demonstrate(case.query, style, rng)},
        slices={"kind": case.kind, "style": style},
        group=f"G{base:06d}",
    )


def worded(case: Case, rng: random.Random) -> str:
    """Word a question for a case."""
    filled = rng.choice(case.sentences).format_map({name: rng.choice(ways) for name, ways in case.slots.items()})
    return " ".join(filled.split())


def demonstrate(query: Query, style: Style, rng: random.Random) -> str:
    """Return the annotator's query: the right one, or one with a single slip that changes its result."""
    right = query.sql()
    if query.habits and rng.random() < SLIP_SHARES[style]:
        slip = query.sql(rng.choice(query.habits))
        return slip if differ(right, slip) else right
    return right
