"""Small worlds: a few fields with descriptions, and messages that mention their values.

A world decides what can be asked (its fields) and what people write (clauses around values); `prompts` decides how a
prompt asks, and `skills` which questions make a lesson.
"""

import random
import re
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

from components.base.lexicon import Lexicon, is_common
from components.base.values import COPIED, NORMALISED, JsonValue, Kind

_CLAUSES = (
    "the {s} is {v}", "{s} {v}", "{s}: {v}", "my {s} is {v}", "{v} is the {s}", "with {s} {v}", "{s} = {v}",
    "it says {s} {v}", "I have {s} {v}", "({s} {v})", "please note the {s}, {v}", "for {s} {v}", "our {s} was {v}",
    "{s} should be {v}", "they gave me {v} as {s}", "about {s} {v}", "regarding the {s} {v}", "{v} ({s})",
)  # fmt: skip
_ROLE_CLAUSES = (
    "not {s} {w}, I mean {s} {v}", "the {s} is {v}, not {w}", "{s} {w} is done, this is about {v}",
    "I first wrote {w} but the right {s} is {v}", "last time it was {s} {w}, now it is {s} {v}",
    "ignore {s} {w}, the one I need is {v}", "{v} is the {s} I mean, {w} was for someone else",
    "the old {s} {w} was closed, please look at {v}", "this is {s} {v} (the other one, {w}, is fine)",
    "it is about {s} {v} and not about {w}", "the {s} changed from {w} to {v}",
)  # fmt: skip
# Without the subject: only its format tells what the value is.
_BARE_CLAUSES = (
    "{v}", "it is about {v}", "see {v}", "{x} {v}", "my {x} is {v}", "the {x} in question is {v}", "{x}: {v}",
    "I have {v}", "{v} came up", "this is {v}", "from {v}", "on {v}", "they say {v}", "{v}, that is the {x}",
    "with {v}", "for {v}",
)  # fmt: skip
_FAMILIES = {
    "id": "code", "code": "code", "phone": "code", "cased": "code", "amount": "number", "count": "number",
    "measure": "number", "time": "time", "date": "date", "name": "words", "phrase": "words",
}  # fmt: skip
_ROLE_HINTS = ("the one that is meant", "the one the writer means", "the current one, not the other one")
_TOPIC_CLAUSES = (
    "there is something with {w}", "I write because of {w}", "it is about {w}", "can you look at {w}", "{w}",
    "we have {w} here", "what about {w}", "my question is on {w}", "I want to talk about {w}", "again {w}",
    "help with {w} please", "since monday {w}", "they told me {w}", "the thing is {w}", "I noticed {w}", "{w} again",
)  # fmt: skip
_WISHES = (*_TOPIC_CLAUSES, "I want {w}", "please {w}", "I need {w}")
_REFUSALS = ("no {w} needed", "I do not want {w}", "no {w} please", "without {w}", "we need no {w}")
_MEANINGS = (
    "{w}", "{w}", "about {w}", "the writer mentions {w}", "messages on {w}", "anything with {w}", "when {w}",
    "Wants {w}, or asks for it.", "Has {w} and needs an answer.", "It is {w} that the text is about.", "Says {w}.",
    "Only if there is {w} in it.", "The {w} is the reason for the message.", "use it for {w}", "Needs {w} now.",
)  # fmt: skip
_OPENERS = ("Hi,", "Hello,", "hey", "Good morning,", "Dear team,", "Hello there,", "hi all", "To whom it may concern,")
_CLOSERS = ("Thanks", "thank you", "Regards,", "Best,", "bye", "Kind regards,", "cheers", "Many thanks,")
_DOCUMENTS = ("message", "text", "note", "mail", "letter", "entry", "chat", "report")


@dataclass(frozen=True)
class Difficulty:
    """The difficulty of a lesson: every maximum grows with `level` in [0, 1]."""

    level: float

    def upto(self, low: int, high: int, rng: random.Random) -> int:
        """An integer from `low` to as far towards `high` as the level allows."""
        return rng.randint(low, low + round((high - low) * self.level))

    def chance(self, probability: float, rng: random.Random) -> bool:
        """True with `probability`, scaled by the level."""
        return rng.random() < probability * self.level


@dataclass(frozen=True)
class Mention:
    """What a message says about a field: the answer, and the clauses that contain it (none if absent)."""

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
        """The words with which messages and prompts refer to it."""
        ...

    def schema(self) -> dict[str, object]:
        """Its JSON Schema."""
        ...

    def describe(self, rng: random.Random) -> str:
        """A prompt's description of it."""
        ...

    def options(self) -> list[tuple[str, str]]:
        """Labels with their meanings; empty unless the field is a choice with meanings."""
        ...

    def words(self) -> tuple[str, ...]:
        """The words that decide its answer."""
        ...

    def mention(self, lexicon: Lexicon, difficulty: Difficulty) -> Mention:
        """Draw what a message says about it."""
        ...


@dataclass(frozen=True)
class Slot:
    """A value to copy or to normalise; with `role`, the right one of two candidates has to be chosen."""

    key: str
    subject: str
    kind: Kind
    role: bool = False

    @property
    def family(self) -> str:
        """The group of kinds that look alike in a message."""
        return _FAMILIES[self.kind.name]

    def stands_alone(self, families: Counter[str]) -> bool:
        """Whether its format alone identifies it: the only one of its family, and not plain words, like filler."""
        return not self.role and self.family != "words" and families[self.family] == 1

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
        """Draw what a message says about it; `bare` does not name it, for values that nothing else resembles."""
        rng = lexicon.rng
        if rng.random() < 0.12:
            return Mention(None)
        value = self.kind.sample(lexicon)
        if bare:
            text = _phrase(rng.choice(_BARE_CLAUSES), rng, v=value.surface, x=lexicon.word())
            return Mention(value.canonical, (text,))
        if not self.role:
            return Mention(value.canonical, (_phrase(rng.choice(_CLAUSES), rng, s=self.subject, v=value.surface),))
        other = self.kind.sample(lexicon)
        while other.canonical == value.canonical:
            other = self.kind.sample(lexicon)
        text = _phrase(rng.choice(_ROLE_CLAUSES), rng, s=self.subject, v=value.surface, w=other.surface)
        return Mention(value.canonical, (text,))


@dataclass(frozen=True)
class Choice:
    """A label from a list: the message contains the label itself, or words of its meaning."""

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
        decisive = tuple(word for _, words in self.meanings for word in words)
        decisive += tuple(word for text in self.texts for word in re.findall(r"\w{5,}", text))
        return decisive + tuple(part for label, _ in self.meanings for part in re.split("[-_ ]", label))

    def options(self) -> list[tuple[str, str]]:
        if self.literal:
            return []
        if self.texts:
            return [(label, text) for (label, _), text in zip(self.meanings, self.texts, strict=True)]
        return [(label, self.frame.format(w=_join(words))) for label, words in self.meanings]

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
            return Mention(label, (_phrase(rng.choice(_CLAUSES), rng, s=self.subject, v=text),))
        fewest = 1 if difficulty.chance(0.5, rng) else min(2, len(words))
        picked = rng.sample(words, rng.randint(fewest, min(4, len(words)))) if len(words) > 1 else list(words)
        if rng.random() < 0.6:
            picked.sort(key=words.index)
        return Mention(label, (_phrase(rng.choice(_TOPIC_CLAUSES), rng, w=_mix(picked, difficulty, rng)),))


@dataclass(frozen=True)
class Flag:
    """Whether the message says a certain thing."""

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
        wish = " ".join(self.said)
        return rng.choice((
            f"true if the writer wants {wish}, else false", f"true or false: {wish} is mentioned",
            f"true if {wish} is asked for, otherwise false", f"boolean, true when the text mentions {wish}",
        ))  # fmt: skip

    def mention(self, lexicon: Lexicon, difficulty: Difficulty) -> Mention:
        rng, wish = lexicon.rng, " ".join(self.said)
        if rng.random() < 0.5:
            return Mention(True, (_phrase(rng.choice(_WISHES), rng, w=wish),))
        if difficulty.chance(0.3, rng):
            return Mention(False, (_phrase(rng.choice(_REFUSALS), rng, w=wish),))
        return Mention(False)


def _join(words: tuple[str, ...]) -> str:
    if len(words) < 3:
        return " ".join(words)
    return f"{' '.join(words[:2])} or {' '.join(words[2:])}"


def _mix(words: list[str], difficulty: Difficulty, rng: random.Random) -> str:
    """Words of a meaning as running text, sometimes with connecting words, sometimes inflected."""
    inflected = [word + rng.choice(("s", "ed", "ing")) if difficulty.chance(0.1, rng) else word for word in words]
    joint = rng.choice((" ", " ", " and ", " with the ", " of the ", ", "))
    return joint.join(inflected)


@dataclass(frozen=True)
class World:
    """A document type, its topic, and the fields that can be asked for."""

    document: str
    topic: str
    fields: tuple[Field, ...]

    def words(self) -> frozenset[str]:
        """The words that decide an answer and that filler must avoid."""
        return frozenset(word for field in self.fields for word in field.words())

    def message(self, lexicon: Lexicon, difficulty: Difficulty) -> tuple[str, dict[str, JsonValue]]:
        """Draw a message and the values of all fields."""
        families = Counter(field.family for field in self.fields if isinstance(field, Slot))
        rng, mentions = lexicon.rng, list[tuple[str, Mention]]()
        for field in self.fields:
            if (
                isinstance(field, Slot)
                and lexicon.rough
                and field.stands_alone(families)
                and difficulty.chance(0.3, rng)
            ):
                mentions.append((field.key, field.mention(lexicon, difficulty, bare=True)))
            else:
                mentions.append((field.key, field.mention(lexicon, difficulty)))
        clauses = [clause for _, mention in mentions for clause in mention.clauses]
        if lexicon.rough and difficulty.chance(0.35, lexicon.rng):
            clauses += _distractors(lexicon, frozenset(families))
        return compose(clauses, lexicon, difficulty, self.words()), {key: mention.answer for key, mention in mentions}


def _distractors(lexicon: Lexicon, families: frozenset[str]) -> list[str]:
    """One or two clauses with irrelevant values, of kinds that the world does not have."""
    rng, clauses = lexicon.rng, list[str]()
    for _ in range(rng.randint(1, 2)):
        other = draw_slot(lexicon, COPIED + NORMALISED)
        if other.family not in families:
            surface, template = other.kind.sample(lexicon).surface, rng.choice(_CLAUSES + _BARE_CLAUSES)
            clauses.append(_phrase(template, rng, s=other.subject, v=surface, x=lexicon.word()))
    return clauses


def compose(clauses: list[str], lexicon: Lexicon, difficulty: Difficulty, avoid: frozenset[str] = frozenset()) -> str:
    """Clauses in random order among filler (no words of `avoid`), with greetings, signatures and typos."""
    rng = lexicon.rng
    rng.shuffle(clauses)
    parts = [clause + rng.choice((".", ".", ",", "!", ";", "...")) for clause in clauses]
    for _ in range(difficulty.upto(0, 4, rng)):
        parts.insert(rng.randint(0, len(parts)), _slip(lexicon.sentence(avoid), difficulty, rng))
    if difficulty.chance(0.5, rng):
        parts.insert(0, rng.choice(_OPENERS))
    if difficulty.chance(0.5, rng):
        parts.append(rng.choice(_CLOSERS) + (f" {lexicon.first_name()}" if rng.random() < 0.5 else ""))
    joint = "\n" if difficulty.chance(0.25, rng) else " "
    text = joint.join(parts) if parts else lexicon.sentence()
    if lexicon.rough and difficulty.chance(0.15, rng):
        text = f"{rng.choice(('Subject', 'Re', 'Title', 'Fwd'))}: {lexicon.sentence(avoid)}\n{text}"
    if lexicon.rough and difficulty.chance(0.1, rng):
        text = f"{text}\n> {lexicon.sentence(avoid)}\n> {lexicon.sentence(avoid)}"
    return text


def say(subject: str, value: str, rng: random.Random) -> str:
    """A clause that states a subject's value."""
    return _phrase(rng.choice(_CLAUSES), rng, s=subject, v=value)


def _phrase(template: str, rng: random.Random, **texts: str) -> str:
    """A clause; its first letter may be capitalised, unless it belongs to a value."""
    clause = template.format(**texts)
    if template.startswith(("{v}", "{w}")) or rng.random() < 0.5:
        return clause
    return clause[0].upper() + clause[1:]


def _slip(sentence: str, difficulty: Difficulty, rng: random.Random) -> str:
    """A filler sentence, sometimes with a letter dropped or doubled."""
    if not difficulty.chance(0.3, rng) or len(sentence) < 4:
        return sentence
    index = rng.randrange(1, len(sentence) - 1)
    return sentence[:index] + rng.choice(("", sentence[index] * 2)) + sentence[index + 1 :]


def _key(lexicon: Lexicon, subject: list[str], style: str) -> str:
    if style == "camel":
        return subject[0] + "".join(word.capitalize() for word in subject[1:])
    return "_".join(subject)


def draw_slot(lexicon: Lexicon, kinds: tuple[type, ...], *, role: bool = False, style: str = "snake") -> Slot:
    """A slot about an entity, with a key from the lexicon's side of the split."""
    rng = lexicon.rng
    kind: Kind = rng.choice(kinds).draw(rng)
    while True:
        shape, noun, entity = rng.random(), rng.choice(kind.nouns), lexicon.entity()
        subject = (
            [entity, noun]
            if shape < 0.7
            else [noun]
            if shape < 0.8
            else [entity]
            if shape < 0.9
            else [lexicon.word(), noun]
        )
        key = _key(lexicon, subject, style)
        if lexicon.admits_key(key):
            return Slot(key, " ".join(subject), kind, role)


def draw_choice(lexicon: Lexicon, difficulty: Difficulty, plan: "Plan", *, count: int, style: str = "snake") -> Choice:
    """A choice among `count` labels whose meanings share no words."""
    rng = lexicon.rng
    longest = 10 if difficulty.chance(0.15, rng) else 1 + round(3 * difficulty.level)
    sizes = [rng.randint(1, longest) for _ in range(count)]
    words = lexicon.words(sum(sizes), difficulty.level)
    labels = lexicon.labels(count, difficulty.level)
    meanings: list[tuple[str, tuple[str, ...]]] = []
    for label, size in zip(labels, sizes, strict=True):
        mine, words = tuple(words[:size]), words[size:]
        meanings.append((label, mine))
    subject = rng.choice(
        (["topic"], ["category"], ["kind"], ["type"], ["class"], ["label"], [lexicon.word(), "type"], [lexicon.word()])
    )
    key = _key(lexicon, subject, style)
    while not lexicon.admits_key(key):
        subject = [lexicon.word(), rng.choice(("type", "class", "kind", "group"))]
        key = _key(lexicon, subject, style)
    frame = rng.choice(_MEANINGS) if difficulty.chance(1.2, rng) else "{w}"
    wordy = lexicon.rough and not plan.literal and difficulty.chance(0.15, rng)
    texts = tuple(_wordy(meaning, lexicon) for _, meaning in meanings) if wordy else ()
    return Choice(key, " ".join(subject), tuple(meanings), plan.literal, frame, texts, plan.vague)


def _wordy(words: tuple[str, ...], lexicon: Lexicon) -> str:
    """A meaning as people write it: its words somewhere among a sentence or two of others."""
    rng, text = lexicon.rng, _join(words)
    parts = [text, *(lexicon.sentence().rstrip(".,!?") for _ in range(rng.randint(1, 2)))]
    rng.shuffle(parts)
    joint = rng.choice((" ", " ", ", ", "; ", ": ", " or "))
    whole = joint.join(parts)
    return whole[0].upper() + whole[1:] + "."


def draw_flag(lexicon: Lexicon, style: str = "snake") -> Flag:
    """A yes-or-no question about one or two words."""
    rng = lexicon.rng
    words = tuple(lexicon.words(rng.choice((1, 2))))
    while True:
        lead = rng.choice(("wants", "has", "is", "needs", "with"))
        key = _key(lexicon, [lead, *words[:1]], style)
        if lexicon.admits_key(key):
            return Flag(key, " ".join(words), words)
        words = tuple(lexicon.words(len(words)))


@dataclass(frozen=True)
class Plan:
    """The contents of a world: the number of slots and flags, and a choice for each number of labels."""

    slots: int = 0
    kinds: tuple[type, ...] = COPIED + NORMALISED
    role: bool = False
    choices: tuple[int, ...] = ()
    literal: bool = False
    vague: bool = False
    flags: int = 0


def draw_world(lexicon: Lexicon, difficulty: Difficulty, plan: Plan) -> World:
    """A world drawn to this plan, with its fields in random order and distinct keys.

    A held-out world has a held-out key of several words, or held-out labels: keys of one word are on both sides.
    """
    while True:
        world = _draw_world(lexicon, difficulty, plan)
        if not lexicon.held_out or any(isinstance(field, Choice) or not is_common(field.key) for field in world.fields):
            return world


def _draw_world(lexicon: Lexicon, difficulty: Difficulty, plan: Plan) -> World:
    rng = lexicon.rng
    style = "camel" if rng.random() < 0.1 else "snake"
    kinds = [*plan.choices, *["slot"] * plan.slots, *["flag"] * plan.flags]
    rng.shuffle(kinds)
    role_at = kinds.index("slot") if plan.role and plan.slots else -1
    fields: dict[str, Field] = {}
    for index, kind in enumerate(kinds):
        field = None
        while field is None or field.key in fields:
            if isinstance(kind, int):
                field = draw_choice(lexicon, difficulty, plan, count=kind, style=style)
            elif kind == "flag":
                field = draw_flag(lexicon, style)
            else:
                role = plan.role and (index == role_at or rng.random() < 0.6)
                field = draw_slot(lexicon, plan.kinds, role=role, style=style)
        fields[field.key] = field
    return World(rng.choice(_DOCUMENTS), lexicon.entity(), tuple(fields.values()))
