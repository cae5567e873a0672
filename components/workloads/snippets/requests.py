"""Simulated requests for short functions: a text, the right program, an imperfect demonstration, and unit tests.

Request i of a seed is always the same, however many are drawn. About one request in ten repeats an earlier one's
program in other words and with other tests, and shares its group.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from components.workloads.asking import STYLES, Style, base_index, dressed
from components.workloads.snippets.cases import draw_case, worded
from components.workloads.snippets.programs import Program
from components.workloads.snippets.trials import draw_tests, passes

# How often an annotator slips if a habit applies: hurried requests get hurried answers. Overall, two thirds of each
# habit's cases are right.
SLIP_SHARES: dict[Style, float] = {"terse": 0.76, "written": 0.06}


@dataclass(frozen=True, slots=True)
class Request:
    """A request: `gold` is the right answer, `demonstration` is an annotator's.

    `evidence` has unit tests that no prompt shows: `tests` for scoring answers, and `sealed`, which are never used for
    rewards. Requests in the same `group` ask for the same program and must stay in one split.
    """

    id: str
    task: str
    gold: dict[str, str]
    demonstration: dict[str, str]
    slices: dict[str, str]
    group: str
    evidence: dict[str, str]


def generate(n: int, seed: int) -> Iterator[Request]:
    """Yield requests 0 to n - 1 of a seed.

    Raises:
        ValueError: if `n` is negative.
    """
    if n < 0:
        raise ValueError(f"n must be ≥ 0, found {n}")
    return (make_request(index, seed) for index in range(n))


def make_request(index: int, seed: int) -> Request:
    """Return request number `index` of a seed."""
    base = base_index("snippets", index, seed)
    case = draw_case(random.Random(f"snippets/{seed}/case/{base}"))
    rng = random.Random(f"snippets/{seed}/request/{index}")
    style, trials = rng.choice(STYLES), draw_tests(case, rng)
    return Request(
        id=f"R{index:06d}",
        task=dressed(worded(case, rng), style, (), rng),
        gold={"code": case.program.code()},
        demonstration={"code": demonstrate(case.program, style, trials, rng)},
        slices={"kind": case.stream.kind, "style": style},
        group=f"G{base:06d}",
        evidence={"tests": trials, "sealed": draw_tests(case, rng)},
    )


def demonstrate(program: Program, style: Style, tests: str, rng: random.Random) -> str:
    """Return the annotator's program: the right one, or one with a single slip that some test detects."""
    if program.habits and rng.random() < SLIP_SHARES[style]:
        slip = program.code(rng.choice(program.habits))
        return program.code() if passes(slip, tests) else slip
    return program.code()
