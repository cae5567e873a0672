"""The building blocks of requests: sources of elements, conditions and transformations.

The words go around a noun: a condition follows it, a transformation precedes it.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from components.workloads.snippets.programs import Part

COMPARISONS: dict[str, tuple[str, ...]] = {
    ">": ("more than {n}", "over {n}", "above {n}"),
    "<": ("less than {n}", "under {n}", "below {n}"),
    ">=": ("at least {n}", "{n} or more", "no less than {n}"),
    "<=": ("at most {n}", "{n} or less", "no more than {n}"),
}
COMPARISON_WEIGHTS = (6, 6, 2, 2)
STRICT = {">=": ">", "<=": "<"}
LETTERS = "abcdeghilmnoprstuw"


@dataclass(frozen=True)
class Piece:
    """The wordings of something, its Python code, and its edge values, which tests should try."""

    words: tuple[str, ...]
    part: Part
    edges: tuple[int | str, ...] = ()


Draw = Callable[[random.Random], Piece]


def compared(value: str, frames: tuple[str, ...], numbers: range) -> Draw:
    """Conditions on the number computed by `value`; `{n}` in a frame stands for the comparison."""

    def draw(rng: random.Random) -> Piece:
        sign = rng.choices(tuple(COMPARISONS), COMPARISON_WEIGHTS)[0]
        number = rng.choice(numbers)
        words = tuple(frame.format(n=phrase.format(n=number)) for frame in frames for phrase in COMPARISONS[sign])
        code = f"{value} {sign} {number}"
        part = Part(code, "bound", f"{value} {STRICT[sign]} {number}") if sign in STRICT else Part(code)
        return Piece(words, part, (number - 1, number, number + 1))

    return draw


def within(value: str, frames: tuple[str, ...]) -> Draw:
    """Conditions that a number is between two others, inclusive."""

    def draw(rng: random.Random) -> Piece:
        low = rng.randint(-5, 20)
        high = low + rng.randint(3, 30)
        words = tuple(frame.format(a=low, b=high) for frame in frames)
        return Piece(words, Part(f"{low} <= {value} <= {high}"), (low - 1, low, high, high + 1))

    return draw


def numbered(frames: tuple[str, ...], code: str, numbers: range) -> Draw:
    """Pieces with a number `{n}`."""

    def draw(rng: random.Random) -> Piece:
        number = rng.choice(numbers)
        return Piece(tuple(frame.format(n=number) for frame in frames), Part(code.format(n=number)), (number,))

    return draw


def lettered(frames: tuple[str, ...], code: str, loose: str = "") -> Draw:
    """Pieces with a letter `{c}`; with `loose`, some ignore case, which is easily forgotten."""

    def draw(rng: random.Random) -> Piece:
        letter = rng.choice(LETTERS)
        words, strict = tuple(frame.format(c=letter) for frame in frames), code.format(c=letter)
        if loose and rng.random() < 0.2:
            words = tuple(f"{word}{how}" for word in words for how in (", capital or not", " in any case"))
            return Piece(words, Part(loose.format(c=letter), "case", strict), (letter, letter.upper()))
        return Piece(words, Part(strict), (letter, letter.upper()))

    return draw


def plain(code: str, *words: str) -> Draw:
    """A piece without variables."""
    piece = Piece(words, Part(code))
    return lambda rng: piece


@dataclass(frozen=True)
class Stream:
    """A kind of elements: the argument that contains them, the loop over them, and their conditions and changes."""

    kind: str
    argument: str
    variable: str
    source: Part
    nouns: tuple[str, ...]
    conditions: tuple[Draw, ...]
    changes: tuple[Draw, ...]
    numeric: bool


def of_numbers(value: str) -> tuple[Draw, ...]:
    """Conditions on numbers."""
    return (
        compared(value, ("that are {n}", "of {n}"), range(-9, 60)),
        within(value, ("from {a} to {b}", "between {a} and {b} inclusive")),
        numbered(("divisible by {n}", "that are multiples of {n}"), value + " % {n} == 0", range(3, 13)),
        numbered(("other than {n}", "that are not {n}"), value + " != {n}", range(0, 10)),
        plain(f"{value} % 2 == 0", "that are even", "that can be halved"),
        plain(f"{value} % 2", "that are odd"),
    )


def changed_numbers(value: str) -> tuple[Draw, ...]:
    """Transformations of numbers."""
    return (
        numbered(("{n} times each of", "each multiplied by {n} of"), value + " * {n}", range(2, 13)),
        numbered(("each plus {n} of", "{n} more than each of"), value + " + {n}", range(1, 31)),
        numbered(("each minus {n} of", "{n} less than each of"), value + " - {n}", range(1, 31)),
        numbered(("the remainders by {n} of", "each modulo {n} of"), value + " % {n}", range(3, 13)),
        plain(f"{value} * {value}", "the squares of", "each squared of"),
        plain(f"abs({value})", "the absolute values of", "the sizes without sign of"),
        plain(f"-{value}", "the opposites of", "the negatives of"),
    )


NUMBERS = Stream(
    "numbers", "xs", "x", Part("x in xs"), ("the numbers in xs", "the values of xs", "the numbers of list xs"),
    of_numbers("x"), changed_numbers("x"), numeric=True,
)  # fmt: skip
UP_TO = Stream(
    "range", "n", "i", Part("i in range(1, n + 1)", "last", "i in range(1, n)"),
    ("the numbers from 1 to n", "the whole numbers from 1 up to n", "1, 2, ... n"),
    of_numbers("i"), changed_numbers("i"), numeric=True,
)  # fmt: skip
BELOW = Stream(
    "range", "n", "i", Part("i in range(n)"),
    ("the numbers from 0 that are below n", "the whole numbers less than n", "0, 1, ... n - 1"),
    of_numbers("i"), changed_numbers("i"), numeric=True,
)  # fmt: skip
WORDS = Stream(
    "words", "ws", "w", Part("w in ws"), ("the words in ws", "the strings of ws", "the words of list ws"),
    (
        compared("len(w)", ("with {n} letters", "that have {n} letters"), range(2, 10)),
        lettered(("starting with {c}", "that begin with {c}"), "w.startswith('{c}')", "w.lower().startswith('{c}')"),
        lettered(("ending in {c}", "that end with {c}"), "w.endswith('{c}')", "w.lower().endswith('{c}')"),
        lettered(("that contain {c}", "with {c} in them"), "'{c}' in w", "'{c}' in w.lower()"),
        lettered(("without {c}", "that have no {c}"), "'{c}' not in w", "'{c}' not in w.lower()"),
        plain("w.isupper()", "that are all capitals", "in capitals"),
    ),
    (
        plain("w.upper()", "in capitals,", "in upper case,"),
        plain("w[::-1]", "backwards,", "reversed,"),
        plain("w.title()", "with a capital first,", "capitalised,"),
        plain("len(w)", "the lengths of", "how long each is of"),
        numbered(("the first {n} letters of", "the beginnings, {n} long, of"), "w[:{n}]", range(2, 6)),
        numbered(("the last {n} letters of", "the ends, {n} long, of"), "w[-{n}:]", range(2, 6)),
    ), numeric=False,
)  # fmt: skip
VOWELS = Piece(
    ("that are vowels, capital or not", "that are vowels in any case"),
    Part("c.lower() in 'aeiou'", "case", "c in 'aeiou'"),
    ("A", "e"),
)
LETTERS_OF = Stream(
    "text", "s", "c", Part("c in s"), ("the characters of s", "the characters in text s", "the letters of s"),
    (
        plain("c.isdigit()", "that are digits"),
        plain("c.isupper()", "that are capitals", "in upper case"),
        lettered(("other than {c}", "that are not {c}"), "c != '{c}'", "c.lower() != '{c}'"),
        lettered(("equal to {c}", "that are {c}"), "c == '{c}'", "c.lower() == '{c}'"),
        lambda rng: VOWELS,
        plain("c != ' '", "that are no spaces", "except spaces"),
    ),
    (
        plain("c.upper()", "in capitals,", "in upper case,"),
        numbered(("{n} times each of", "each repeated {n} times of"), "c * {n}", range(2, 6)),
    ), numeric=False,
)  # fmt: skip
ITEMS = Stream(
    "dict", "d", "k", Part("k, v in d.items()"), ("the names in d", "the keys of d"),
    (
        compared("v", ("whose value is {n}", "with a value of {n}"), range(0, 60)),
        within("v", ("valued from {a} to {b}", "with values between {a} and {b} inclusive")),
        lettered(("starting with {c}", "that begin with {c}"), "k.startswith('{c}')", "k.lower().startswith('{c}')"),
        lettered(("that contain {c}",), "'{c}' in k", "'{c}' in k.lower()"),
    ),
    (
        plain("k.upper()", "in capitals,", "in upper case,"),
        plain("v", "the values of", "the numbers behind"),
        numbered(("{n} times the values of", "the values multiplied by {n} of"), "v * {n}", range(2, 13)),
        numbered(("the values plus {n} of", "the values raised by {n} of"), "v + {n}", range(1, 31)),
    ), numeric=False,
)  # fmt: skip
STREAMS = (NUMBERS, NUMBERS, WORDS, WORDS, LETTERS_OF, LETTERS_OF, ITEMS, ITEMS, UP_TO, BELOW)
