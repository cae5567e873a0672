"""The functions that people ask for: they transform and filter the elements of a stream and aggregate them.

A case consists of a program, its wordings, and the values that its tests should try.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from components.workloads.snippets.elements import STREAMS, Draw, Piece, Stream
from components.workloads.snippets.programs import Part, Program

FOR = (
    "f({a}): ", "write f({a}) that returns ", "f({a}) should return ", "function f of {a}, returning ",
    "f({a}) gives ", "we need f({a}) for ", "please write f({a}): ",
)  # fmt: skip
NO_CHANGE = Piece(("",), Part(""))


@dataclass(frozen=True)
class Case:
    """A program and its wordings: an opening, and a frame with its content."""

    stream: Stream
    program: Program
    frames: tuple[str, ...]
    change: Piece
    condition: Piece

    @property
    def edges(self) -> tuple[int | str, ...]:
        """The values that tests should try."""
        return (*self.change.edges, *self.condition.edges)


@dataclass(frozen=True)
class Elements:
    """The parts of a comprehension: the expression, the source and the condition."""

    change: str
    stream: Stream
    condition: Part | None

    def parts(self) -> tuple[Part, ...]:
        """`change for variable in source if condition`."""
        loop = (Part(f"{self.change} for "), self.stream.source)
        return loop if self.condition is None else (*loop, Part(" if "), self.condition)


Result = tuple[tuple[str, ...], tuple[Part, ...]]
Make = Callable[[random.Random, Elements], Result]


def _around(before: str, elements: Elements, *after: Part) -> tuple[Part, ...]:
    return (Part(before), *elements.parts(), *after)


def listed(rng: random.Random, elements: Elements) -> Result:
    """All elements."""
    return ("a list of {it}", "{it}, as a list"), _around("[", elements, Part("]"))


def joined(rng: random.Random, elements: Elements) -> Result:
    """The elements joined to a text."""
    if elements.stream.kind == "text":
        return ("one text of {it}", "{it}, joined"), _around("''.join(", elements, Part(")"))
    mark, name = rng.choice((("-", "dashes"), (", ", "commas"), (" ", "spaces"), ("/", "slashes")))
    words = (f"one text of {{it}}, with {name} between", f"{{it}}, joined by {name}")
    return words, _around(f"'{mark}'.join(", elements, Part(")"))


def summed(rng: random.Random, elements: Elements) -> Result:
    """Their sum, 0 if there are none."""
    return ("the sum of {it}", "the total of {it}"), _around("sum(", elements, Part(")"))


def counted(rng: random.Random, elements: Elements) -> Result:
    """Their number."""
    words = ("the number of {it}", "the count of {it}")
    return words, _around("len([", elements, Part("])"))


def extreme(rng: random.Random, elements: Elements) -> Result:
    """The largest or the smallest, with a default if there are none."""
    name, words = rng.choice((("max", ("largest", "highest")), ("min", ("smallest", "lowest"))))
    frames = tuple(
        f"the {word} of {{it}}, {end}" for word in words for end in ("0 if there is none", "or 0 without any")
    )
    loop = (Part("["), *elements.parts(), Part("]"))
    return frames, (Part(f"{name}("), *loop, Part(", default=0", "empty", ""), Part(")"))


def ordered(rng: random.Random, elements: Elements) -> Result:
    """All elements, in ascending or descending order."""
    if rng.random() < 0.8:
        return ("{it}, sorted", "the sorted list of {it}"), _around("sorted(", elements, Part(")"))
    words = ("{it}, sorted from high to low", "the falling sorted list of {it}")
    return words, (Part("sorted(["), *elements.parts(), Part("]"), Part(", reverse=True", "rising", ""), Part(")"))


def cut(rng: random.Random, elements: Elements) -> Result:
    """The first or last few elements that satisfy the condition."""
    number = rng.randint(2, 6)
    if rng.random() < 0.3:
        words = (f"the last {number} of {{it}}", f"{{it}}, only the final {number}")
        return words, _around("[", elements, Part(f"][-{number}:]"))
    words = (f"the first {number} of {{it}}", f"{{it}}, only the first {number}")
    stream = elements.stream
    if elements.condition is None or stream.kind not in ("numbers", "words", "text"):
        return words, _around("[", elements, Part(f"][:{number}]"))
    early = f"[{elements.change} for {stream.source.code}[:{number}] if {elements.condition.code}]"
    right = "".join(part.code for part in _around("[", elements, Part(f"][:{number}]")))
    return words, (Part(right, "early_cut", early),)


def distinct(rng: random.Random, elements: Elements) -> Result:
    """The distinct values, sorted."""
    return ("{it}, each once and sorted", "the sorted different ones of {it}"), _around(
        "sorted(set(", elements, Part("))")
    )


def aggregations_of(stream: Stream, numeric: bool) -> tuple[Make, ...]:
    """The possible aggregations of numeric or textual elements."""
    every: tuple[Make, ...] = (listed, counted, ordered, cut, distinct)
    return (*every, summed, extreme) if numeric else (*every, joined, joined)


def draw_case(rng: random.Random) -> Case:
    """Draw a request's case; a sorted or counted list of texts always has a condition, so that it is not trivial."""
    stream = rng.choice(STREAMS)
    changed, chosen = rng.choice(((True, True), (True, True), (False, True), (False, True), (True, False)))
    change = _drawn(stream.changes, rng) if changed else NO_CHANGE
    condition = _drawn(stream.conditions, rng) if chosen else None
    becomes = change.part.code or stream.variable
    numeric = stream.numeric or becomes.startswith(("v", "len("))
    words, parts = rng.choice(aggregations_of(stream, numeric))(
        rng, Elements(becomes, stream, condition and condition.part)
    )
    return Case(stream, Program(stream.argument, parts), words, change, condition or NO_CHANGE)


def _drawn(draws: tuple[Draw, ...], rng: random.Random) -> Piece:
    return rng.choice(draws)(rng)


def worded(case: Case, rng: random.Random) -> str:
    """Word a request for a case."""
    noun, condition = rng.choice(case.stream.nouns), rng.choice(case.condition.words)
    thing = f"{rng.choice(case.change.words)} {noun} {condition}"
    text = rng.choice(FOR).format(a=case.program.argument) + rng.choice(case.frames).format(it=thing)
    return " ".join(text.split()).replace(" ,", ",")
