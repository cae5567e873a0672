"""Small worlds: a few fields drawn together, and messages that mention their values.

A world decides what may be asked (its fields) and what people write of them; how a prompt puts the question is
`prompts`, and which questions make a lesson is `skills`.
"""

from collections import Counter
from dataclasses import dataclass, replace

from components.base.fields import Choice, Field, Flag, Mention, Slot
from components.base.lexicon import Lexicon, is_common
from components.base.values import COPIED, NORMALISED, Identifier, JsonValue, Kind
from components.base.wording import BARE_CLAUSES, CLAUSES, Difficulty, compose, join, phrase

_MEANINGS = (
    "{w}", "{w}", "about {w}", "the writer mentions {w}", "messages on {w}", "anything with {w}", "when {w}",
    "Wants {w}, or asks for it.", "Has {w} and needs an answer.", "It is {w} that the text is about.", "Says {w}.",
    "Only if there is {w} in it.", "The {w} is the reason for the message.", "use it for {w}", "Needs {w} now.",
)  # fmt: skip
_DOCUMENTS = ("message", "text", "note", "mail", "letter", "entry", "chat", "report")


@dataclass(frozen=True)
class World:
    """A document type, what it is about, and the fields that can be asked of it."""

    document: str
    topic: str
    fields: tuple[Field, ...]

    def words(self) -> frozenset[str]:
        """Words that decide an answer, which filler must therefore avoid."""
        return frozenset(word for one in self.fields for word in one.words())

    def message(self, lexicon: Lexicon, difficulty: Difficulty) -> tuple[str, dict[str, JsonValue]]:
        """Draw one message and the answer to all fields."""
        families = Counter(one.family for one in self.fields if isinstance(one, Slot))
        rng, mentions = lexicon.rng, list[tuple[str, Mention]]()
        for one in self.fields:
            if isinstance(one, Slot) and lexicon.rough and one.stands_alone(families) and difficulty.chance(0.45, rng):
                mentions.append((one.key, one.mention(lexicon, difficulty, bare=True)))
            else:
                mentions.append((one.key, one.mention(lexicon, difficulty)))
        clauses = [clause for _, mention in mentions for clause in mention.clauses]
        if lexicon.rough and difficulty.chance(0.6, lexicon.rng):
            clauses += _distractors(lexicon, [one for one in self.fields if isinstance(one, Slot)])
        return compose(clauses, lexicon, difficulty, self.words()), {key: mention.answer for key, mention in mentions}


def _distractors(lexicon: Lexicon, slots: list[Slot]) -> list[str]:
    """One to three clauses with values that nobody asks for, each told from every slot by its kind or its form."""
    rng, clauses = lexicon.rng, list[str]()
    for _ in range(rng.randint(1, 3)):
        other = draw_slot(lexicon, COPIED + NORMALISED)
        if all(one.differs_from(other) for one in slots):
            surface, template = other.kind.sample(lexicon).surface, rng.choice(CLAUSES + BARE_CLAUSES)
            clauses.append(phrase(template, rng, s=other.subject, v=surface, x=lexicon.word()))
    return clauses


@dataclass(frozen=True)
class Plan:
    """What a world shall hold: so many slots and flags, and one choice for each number of labels."""

    slots: int = 0
    kinds: tuple[type, ...] = COPIED + NORMALISED
    role: bool = False
    choices: tuple[int, ...] = ()
    literal: bool = False
    vague: bool = False
    flags: int = 0


def draw_world(lexicon: Lexicon, difficulty: Difficulty, plan: Plan) -> World:
    """A world after the plan, its fields in random order with keys all different.

    A held-out world has at least one held-out key of several words, or held-out labels: single words are common keys.
    """
    while True:
        world = _draw_world(lexicon, difficulty, plan)
        if not lexicon.held_out or any(isinstance(one, Choice) or not is_common(one.key) for one in world.fields):
            return world


def _draw_world(lexicon: Lexicon, difficulty: Difficulty, plan: Plan) -> World:
    rng = lexicon.rng
    style = "camel" if rng.random() < 0.1 else "snake"
    wanted = [*plan.choices, *["slot"] * plan.slots, *["flag"] * plan.flags]
    rng.shuffle(wanted)
    role_at = wanted.index("slot") if plan.role and plan.slots else -1
    fields: dict[str, Field] = {}
    for at, one in enumerate(wanted):
        field = None
        while field is None or field.key in fields:
            if isinstance(one, int):
                field = draw_choice(lexicon, difficulty, plan, count=one, style=style)
            elif one == "flag":
                field = draw_flag(lexicon, style)
            else:
                role = plan.role and (at == role_at or rng.random() < 0.6)
                field = draw_slot(lexicon, plan.kinds, role=role, style=style)
        fields[field.key] = field
    return World(rng.choice(_DOCUMENTS), lexicon.entity(), tuple(fields.values()))


def draw_slot(lexicon: Lexicon, kinds: tuple[type, ...], *, role: bool = False, style: str = "snake") -> Slot:
    """A slot about some entity, with a key that lies on the lexicon's side."""
    rng = lexicon.rng
    kind: Kind = rng.choice(kinds).draw(rng)
    if lexicon.rough and isinstance(kind, Identifier):
        kind = replace(kind, spelled=rng.random() < 0.7)
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
    """A choice among `count` labels whose meanings share no word."""
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
    wordy = lexicon.rough and not plan.literal and difficulty.chance(0.3, rng)
    texts = tuple(_wordy(said, lexicon) for _, said in meanings) if wordy else ()
    return Choice(key, " ".join(subject), tuple(meanings), plan.literal, frame, texts, plan.vague)


def _wordy(said: tuple[str, ...], lexicon: Lexicon) -> str:
    """A meaning as people write it: its words somewhere in a sentence or two of others."""
    rng, text = lexicon.rng, join(said)
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


def _key(lexicon: Lexicon, subject: list[str], style: str) -> str:
    if style == "camel":
        return subject[0] + "".join(word.capitalize() for word in subject[1:])
    return "_".join(subject)
