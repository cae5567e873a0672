"""Fields of a world: slots to copy or normalise, choices by definition, flags; what is said of each."""

import random
import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Protocol

from components.base.lexicon import Lexicon
from components.base.values import Amount, Identifier, JsonValue, Kind, Value
from components.base.wording import (
    BARE_CLAUSES,
    CLAUSES,
    REFUSALS,
    ROLE_CLAUSES,
    TOPIC_CLAUSES,
    TYPED,
    WISHES,
    Difficulty,
    join,
    mix,
    phrase,
)  # fmt: skip

_FAMILIES = {
    "id": "code", "code": "code", "phone": "code", "cased": "code", "amount": "number", "count": "number",
    "measure": "number", "time": "time", "date": "date", "name": "words", "phrase": "words",
}  # fmt: skip
_ROLE_HINTS = ("the one that is meant", "the one the writer means", "the current one, not the other one")


@dataclass(frozen=True)
class Mention:
    """What a message says of one field: the answer, and the clauses that carry it (none when absent)."""

    answer: JsonValue
    clauses: tuple[str, ...] = ()


class Field(Protocol):
    """One key of the answer."""

    @property
    def key(self) -> str:
        """Its name in the answer."""
        ...

    @property
    def subject(self) -> str:
        """The words by which messages and prompts refer to it."""
        ...

    def schema(self) -> dict[str, object]:
        """Its JSON Schema."""
        ...

    def describe(self, rng: random.Random) -> str:
        """What a prompt says of it."""
        ...

    def options(self) -> list[tuple[str, str]]:
        """Labels with their meanings, empty unless the field is a choice by definition."""
        ...

    def words(self) -> tuple[str, ...]:
        """Words that decide its answer."""
        ...

    def mention(self, lexicon: Lexicon, difficulty: Difficulty) -> Mention:
        """Draw what one message says of it."""
        ...


@dataclass(frozen=True)
class Slot:
    """A value to copy or to normalise; with `role`, one of two candidates has to be chosen."""

    key: str
    subject: str
    kind: Kind
    role: bool = False

    @property
    def family(self) -> str:
        """Kinds that look alike in a message."""
        return _FAMILIES[self.kind.name]

    def stands_alone(self, families: Counter[str]) -> bool:
        """Whether its form alone tells its value: nothing of its family beside it, and not words, as filler is."""
        return not self.role and self.family != "words" and families[self.family] == 1

    def differs_from(self, other: "Slot") -> bool:
        """Whether a value of the other slot cannot be taken for one of this: by its family or its written form."""
        if self.family != other.family:
            return True
        if isinstance(self.kind, Identifier) and self.kind.has_form:
            return not isinstance(other.kind, Identifier) or replace(other.kind, spelled=True) != self.kind
        return isinstance(self.kind, Amount) and not isinstance(other.kind, Amount)  # only amounts have a currency

    def schema(self) -> dict[str, object]:
        return {"type": [self.kind.json_type, "null"]}

    def words(self) -> tuple[str, ...]:
        return tuple(self.subject.split())

    def options(self) -> list[tuple[str, str]]:
        return []

    def describe(self, rng: random.Random) -> str:
        hint = self.kind.hint(rng)
        if self.role and rng.random() < 0.7:
            hint = f"{hint}, {rng.choice(_ROLE_HINTS)}"
        if rng.random() < 0.2:
            hint = f"{self.kind.json_type}, {hint}"
        named = rng.choice(
            (f"the {self.subject}, {hint}", f"{self.subject} ({hint})", hint, f"{hint}: the {self.subject}")
        )
        return named + rng.choice((" or null", ", null if absent", "; null if missing", ", or null"))

    def mention(self, lexicon: Lexicon, difficulty: Difficulty, *, bare: bool = False) -> Mention:
        """Draw what one message says of it; `bare` without naming it, where nothing else looks alike."""
        rng = lexicon.rng
        if rng.random() < (0.25 if lexicon.rough else 0.12):
            return Mention(None)
        value = self.kind.sample(lexicon)
        if lexicon.rough:
            value = self._as_typed(value, rng)
        if bare:
            text = phrase(rng.choice(BARE_CLAUSES), rng, v=value.surface, x=lexicon.word())
            return Mention(value.canonical, (text,))
        if not self.role:
            return Mention(value.canonical, (phrase(rng.choice(CLAUSES), rng, s=self.subject, v=value.surface),))
        other = self.kind.sample(lexicon)
        while other.canonical == value.canonical:
            other = self.kind.sample(lexicon)
        text = phrase(rng.choice(ROLE_CLAUSES), rng, s=self.subject, v=value.surface, w=other.surface)
        return Mention(value.canonical, (text,))

    def _as_typed(self, value: Value, rng: random.Random) -> Value:
        """An identifier whose form the prompt tells, as hasty people type it: small letters, no blanks around it."""
        if not (isinstance(self.kind, Identifier) and self.kind.has_form) or rng.random() < 0.6:
            return value
        typed = value.surface.lower() if rng.random() < 0.3 else value.surface
        return Value(value.canonical, rng.choice(TYPED).format(v=typed))


@dataclass(frozen=True)
class Choice:
    """A label from a list: the message holds the label itself, or words of its meaning."""

    key: str
    subject: str
    meanings: tuple[tuple[str, tuple[str, ...]], ...]
    literal: bool
    frame: str = "{w}"
    texts: tuple[str, ...] = ()
    vague: bool = False

    def schema(self) -> dict[str, object]:
        return {"enum": [label for label, _ in self.meanings]}

    def words(self) -> tuple[str, ...]:
        said = tuple(word for _, words in self.meanings for word in words)
        said += tuple(word for text in self.texts for word in re.findall(r"\w{5,}", text))
        return said + tuple(part for label, _ in self.meanings for part in re.split("[-_ ]", label))

    def options(self) -> list[tuple[str, str]]:
        if self.literal:
            return []
        if self.texts:
            return [(label, text) for (label, _), text in zip(self.meanings, self.texts, strict=True)]
        return [(label, self.frame.format(w=join(words))) for label, words in self.meanings]

    def describe(self, rng: random.Random) -> str:
        labels = [label for label, _ in self.meanings]
        joint = rng.choice((", ", ", ", " | ", "/"))
        lead = rng.choice(("one of ", "one of: ", "", "string, one of ", f"the {self.subject}, one of "))
        return lead + joint.join(labels)

    def mention(self, lexicon: Lexicon, difficulty: Difficulty) -> Mention:
        rng = lexicon.rng
        label, words = rng.choice(self.meanings)
        if self.vague:
            return Mention(label)
        if self.literal:
            text = label.replace("_", " ") if rng.random() < 0.5 else label
            return Mention(label, (phrase(rng.choice(CLAUSES), rng, s=self.subject, v=text),))
        fewest = 1 if difficulty.chance(0.5, rng) else min(2, len(words))
        said = rng.sample(words, rng.randint(fewest, min(4, len(words)))) if len(words) > 1 else list(words)
        if rng.random() < 0.6:
            said.sort(key=words.index)
        return Mention(label, (phrase(rng.choice(TOPIC_CLAUSES), rng, w=mix(said, difficulty, rng)),))


@dataclass(frozen=True)
class Flag:
    """True if the message says a certain thing, else false."""

    key: str
    subject: str
    said: tuple[str, ...]

    def schema(self) -> dict[str, object]:
        return {"type": "boolean"}

    def words(self) -> tuple[str, ...]:
        return self.said

    def options(self) -> list[tuple[str, str]]:
        return []

    def describe(self, rng: random.Random) -> str:
        said = " ".join(self.said)
        return rng.choice((
            f"true if the writer wants {said}, else false", f"true or false: {said} is mentioned",
            f"true if {said} is asked for, otherwise false", f"boolean, true when the text mentions {said}",
        ))  # fmt: skip

    def mention(self, lexicon: Lexicon, difficulty: Difficulty) -> Mention:
        rng, said = lexicon.rng, " ".join(self.said)
        if rng.random() < 0.5:
            return Mention(True, (phrase(rng.choice(WISHES), rng, w=said),))
        if difficulty.chance(0.3, rng):
            return Mention(False, (phrase(rng.choice(REFUSALS), rng, w=said),))
        return Mention(False)
