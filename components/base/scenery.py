"""The situations, wishes, facts and things of everyday life that scenes are drawn from, as read from `scenes/*.txt`.

No text in there is about an online shop's orders, and none comes from a workload. One in ten situations, by hash of
its name, is held out from training, with all its wordings.
"""

import random
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TypeVar

from components.base.lexicon import Lexicon, is_held_out

FOLDER = Path(__file__).parent / "scenes"
ANY_THING = "*"


@dataclass(frozen=True)
class Meaning:
    """Something that a message may say: its name, definitions for prompts, and wordings for messages.

    `things` may stand for `{t}` in the wordings; none when any thing may. `denials` name the subject and say the
    contrary; `later` only considers it for another time.
    """

    name: str
    definitions: tuple[str, ...]
    wordings: tuple[str, ...]
    things: tuple[str, ...] = ()
    denials: tuple[str, ...] = ()
    later: tuple[str, ...] = ()

    def without(self, wording: str) -> "Meaning":
        """The same with one wording less, such as one that the prompt shows."""
        return replace(self, wordings=tuple(one for one in self.wordings if one != wording))


@dataclass(frozen=True)
class Thing:
    """Something that people own or book: its name, other words for it, and a description of its class."""

    name: str
    words: tuple[str, ...]
    description: str


_One = TypeVar("_One", Meaning, Thing)


def _lines(name: str) -> list[str]:
    return [line for line in (FOLDER / name).read_text(encoding="utf-8").splitlines() if line.strip()]


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split("|"))


def _meanings(lines: list[str], things: tuple[str, ...] = ()) -> tuple[Meaning, ...]:
    """Blocks of one line `= name | definition | …` and lines of wordings by their first sign: - + ! ~."""
    made: list[Meaning] = []
    signs: dict[str, list[str]] = {}

    def close(head: tuple[str, ...]) -> None:
        said = {sign: tuple(texts) for sign, texts in signs.items()}
        wordings = said.get("-", ()) + said.get("+", ())
        made.append(Meaning(head[0], head[1:], wordings, things, said.get("!", ()), said.get("~", ())))

    head: tuple[str, ...] = ()
    for line in lines:
        if line.startswith("="):
            if head:
                close(head)
            head, signs = _parts(line[1:]), {}
        else:
            texts = signs.setdefault(line[0], [])
            texts += [line[1:].strip()] if line[0] == "-" else _parts(line[1:])
    close(head)
    return tuple(made)


@cache
def domains() -> tuple[tuple[Meaning, ...], ...]:
    """The situations, grouped by the trade or office that people write to."""
    groups: list[tuple[Meaning, ...]] = []
    for path in sorted(FOLDER.glob("situations_*.txt")):
        for block in path.read_text(encoding="utf-8").split("@ ")[1:]:
            head, *lines = [line for line in block.splitlines() if line.strip()]
            listed = head.split("|")[1].strip()
            things = () if listed == ANY_THING else tuple(thing.strip() for thing in listed.split(","))
            groups.append(_meanings(lines, things))
    return tuple(groups)


@cache
def facts() -> tuple[Meaning, ...]:
    """Circumstances that a message may tell beside its subject; they stand on both sides of the border."""
    return _meanings(_lines("conditions.txt"))


@cache
def wishes() -> tuple[Meaning, ...]:
    """What a writer may want done, refuse, or only consider; on both sides of the border."""
    return _meanings(_lines("wishes.txt"))


@cache
def synonyms() -> tuple[tuple[str, ...], ...]:
    """Groups of expressions of nearly one meaning."""
    return tuple(tuple(part.strip() for part in line.split(",")) for line in _lines("synonyms.txt"))


@cache
def things() -> tuple[Thing, ...]:
    """Everyday goods and services."""
    made: list[Thing] = []
    for line in _lines("things.txt"):
        name, words, description = _parts(line)
        made.append(Thing(name, tuple(word.strip() for word in words.split(",")), description))
    return tuple(made)


@cache
def fillers() -> tuple[str, ...]:
    """Sentences that decide nothing."""
    return tuple(_lines("fillers.txt"))


@cache
def shortened() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Words and what people type for them in a chat."""
    return tuple((parts[0], parts[1:]) for parts in map(_parts, _lines("registers.txt")))


@cache
def _things(held_out: bool) -> tuple[Thing, ...]:
    return tuple(one for one in things() if is_held_out(one.name) == held_out)


@cache
def _domains(held_out: bool) -> tuple[tuple[Meaning, ...], ...]:
    sides = (tuple(one for one in group if is_held_out(one.name) == held_out) for group in domains())
    return tuple(group for group in sides if group)


@cache
def _synonyms(held_out: bool) -> tuple[tuple[str, ...], ...]:
    return tuple(group for group in synonyms() if is_held_out(group[0]) == held_out)


class Scenery:
    """Draws from one side of the held-out border with a lexicon's random generator."""

    def __init__(self, lexicon: Lexicon) -> None:
        self.rng, self._held_out = lexicon.rng, lexicon.held_out

    def situations(self, count: int) -> list[Meaning]:
        """Up to `count` different situations, mostly of one trade."""
        groups, mixed = _domains(self._held_out), self.rng.random() < 0.3
        chosen: dict[str, Meaning] = {}
        first = list(self.rng.choice(groups))
        others = [one for group in groups for one in group]
        self.rng.shuffle(first)
        pool = self.rng.sample(others, min(len(others), 3 * count)) if mixed else first
        for one in (*pool, *self.rng.sample(others, min(len(others), 3 * count))):
            if len(chosen) < count:
                chosen.setdefault(one.name, one)
        options = list(chosen.values())
        self.rng.shuffle(options)
        return options

    def facts(self, count: int) -> list[Meaning]:
        """Up to `count` different facts."""
        return _some(self.rng, facts(), count)

    def wishes(self, count: int) -> list[Meaning]:
        """Up to `count` different wishes."""
        return _some(self.rng, wishes(), count)

    def things(self, count: int) -> list[Thing]:
        """Up to `count` different things."""
        return _some(self.rng, _things(self._held_out), count)

    def synonyms(self, count: int) -> list[tuple[str, ...]]:
        """Up to `count` groups that share no expression."""
        groups, taken, said = _synonyms(self._held_out), list[tuple[str, ...]](), set[str]()
        for group in self.rng.sample(groups, min(len(groups), 2 * count)):
            if len(taken) < count and not said & set(group):
                taken.append(group)
                said |= set(group)
        return taken


def _some(rng: random.Random, pool: tuple[_One, ...], count: int) -> list[_One]:
    return rng.sample(pool, min(count, len(pool)))
