"""Unit tests for programs: calls with edge inputs, and what the right program returns.

Decides which inputs are tried. Runs only this package's programs; those of models run in the scorer's sandbox.
"""

import json
import random
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from components.workloads.snippets.cases import Case
from components.workloads.snippets.elements import LETTERS

TESTS = 6
MOST_TESTS = 14
VOCABULARY = (
    "apple", "Anna", "bench", "cat", "Dog", "eel", "GATE", "hat", "Ivy", "lamp", "level", "Mouse", "noon", "OWL",
    "pear", "rain", "Stone", "tea", "umbrella", "window", "as", "to", "In", "seed", "Tomato", "garden", "BUS", "orange",
)  # fmt: skip
Function = Callable[[Any], Any]


def draw_tests(case: Case, rng: random.Random) -> str:
    """Draw a case's tests as JSON: an empty input, and more until each habit's slip fails one of them."""
    right = compiled(case.program.code())
    slips = [compiled(case.program.code(habit)) for habit in case.program.habits]
    drawn: list[dict[str, Any]] = []
    while len(drawn) < TESTS or (slips and len(drawn) < MOST_TESTS):
        argument = _argument(case, len(drawn), rng)
        drawn.append({"call": "f", "args": [argument], "expected": right(argument)})
        slips = [slip for slip in slips if not _fails(slip, drawn[-1])]
    return json.dumps(drawn)


def passes(code: str, tests: str) -> bool:
    """Whether one of this package's programs passes tests from `draw_tests`."""
    function = compiled(code)
    return not any(_fails(function, test) for test in json.loads(tests))


@lru_cache(maxsize=4096)
def compiled(code: str) -> Function:
    """The function `f` in one of this package's programs."""
    scope: dict[str, Any] = {}
    exec(code, scope)
    return scope["f"]


def _fails(function: Function, test: dict[str, Any]) -> bool:
    """Whether a function fails a test or raises, as slips do."""
    try:
        return bool(function(*test["args"]) != test["expected"])
    except ValueError:  # the largest of nothing
        return True


def _argument(case: Case, number: int, rng: random.Random) -> Any:
    """An input of the case's kind; the first one is empty."""
    size = 0 if number == 0 else rng.randint(4, 9)
    edges = case.edges
    match case.stream.kind:
        case "range":
            return (
                rng.choice((*(abs(edge) for edge in edges if isinstance(edge, int)), rng.randint(3, 40))) if size else 0
            )
        case "numbers":
            return [_number(edges, rng) for _ in range(size)]
        case "words":
            return [_word(edges, rng) for _ in range(size)]
        case "text":
            return "".join(rng.choice((_word(edges, rng), " ", str(rng.randrange(10)))) for _ in range(size))
        case _:
            return {_word(edges, rng): _number(edges, rng) for _ in range(size)}


def _number(edges: tuple[int | str, ...], rng: random.Random) -> int:
    numbers = [edge for edge in edges if isinstance(edge, int)]
    return rng.choice(numbers) if numbers and rng.random() < 0.5 else rng.randint(-20, 60)


def _word(edges: tuple[int | str, ...], rng: random.Random) -> str:
    """A word, often with an edge's letter at the beginning, in the middle or at the end, or of an edge's length."""
    word, near = rng.choice(VOCABULARY), rng.random()
    letters = [edge for edge in edges if isinstance(edge, str)]
    lengths = [edge for edge in edges if isinstance(edge, int) and 0 < edge < 12]
    if letters and near < 0.5:
        letter, index = rng.choice(letters), rng.choice((0, len(word) // 2, len(word)))
        return word[:index] + letter + word[index:]
    if lengths and near < 0.6:
        return "".join(rng.choice(LETTERS) for _ in range(rng.choice(lengths)))
    return word
