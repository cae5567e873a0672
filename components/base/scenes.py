"""Scenes: worlds nearer to real messages than `worlds`, with situations to recognise by what is meant.

A scene may hold a choice among situations and one among things, wishes and facts to confirm or deny, rules that
decide by all of these, and the slots of every world. The answer follows from what was drawn; how people write it is
`voices`.
"""

import random
from dataclasses import dataclass, field

from components.base.lexicon import Lexicon
from components.base.scenery import Meaning, Scenery, Thing
from components.base.values import JsonValue, number
from components.base.voices import Clause, speak
from components.base.worlds import Difficulty, Field, Mention, Slot, World, draw_slot

_PICK_LEADS = (
    "one of", "string, one of", "choose one", "exactly one of", "what the {d} is about, one of", "string, the {s}, one of",
    "the {s}, one of", "string, what it is about, one of", "one label of", "the {s} that fits best, one of",
)  # fmt: skip
_RULE_LEADS = (
    "the first that applies", "string, the first line that is true", "string, the first of these that holds",
    "take the first one that fits", "go through these from the top and stop at the first that is true",
    "string, whichever comes first", "the first match of",
)  # fmt: skip
_REST = ("Everything else", "All other cases", "None of these", "Any other {d}", "In all other cases", "Otherwise", "The rest")
_LEVELS = (
    ("minor", "medium", "major"), ("green", "yellow", "red"), ("p4", "p3", "p2", "p1"), ("later", "soon", "now"),
    ("routine", "elevated", "critical"), ("slow", "standard", "fast", "instant"), ("c", "b", "a"), ("1", "2", "3", "4"),
    ("small", "big", "huge"), ("none", "some", "strong"), ("relaxed", "brisk", "immediate"), ("d", "c", "b", "a"),
    ("background", "regular", "top"), ("weak", "fair", "severe", "extreme"), ("blue", "amber", "purple"),
)  # fmt: skip
_LEVEL_NAMES = ("level", "rank", "grade", "severity", "stage", "tier", "class", "queue", "band", "importance", "step")
_PICK_NAMES = (
    "topic", "subject", "reason", "category", "kind", "matter", "theme", "concern", "type", "case", "issue", "request",
    "purpose", "about", "cause", "motive",
)  # fmt: skip
_THING_NAMES = ("article", "thing", "goods", "group", "object", "department", "line", "service", "family", "section")
_UNCOUNTED = (
    "parking", "tolls", "wrapping", "the insurance", "drinks", "the deposit", "breakfast", "the guide", "cleaning",
    "a late fee", "the cloakroom", "petrol", "tax", "the entry", "a taxi", "postage", "coupons", "the buffet",
)  # fmt: skip


@dataclass
class Telling:
    """One message in the making: what has been decided so far, and the clauses that say it."""

    answers: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    facts: set[str] = field(default_factory=set[str])
    subject: list[Clause] = field(default_factory=list[Clause])
    details: list[Clause] = field(default_factory=list[Clause])
    thing: str | None = None
    thing_named: bool = False


@dataclass(frozen=True)
class Pick:
    """A choice among situations or things by their meaning; without definitions the labels alone must do."""

    key: str
    subject: str
    labels: tuple[str, ...]
    definitions: tuple[str, ...]
    lead: str
    meanings: tuple[Meaning, ...] = ()
    things: tuple[tuple[str, ...], ...] = ()

    def schema(self) -> dict[str, object]:
        return {"enum": list(self.labels)}

    def options(self) -> list[tuple[str, str]]:
        return list(zip(self.labels, self.definitions, strict=True)) if self.definitions else []

    def words(self) -> tuple[str, ...]:
        return ()

    def describe(self, rng: random.Random) -> str:
        return f"{self.lead} {rng.choice((', ', ', ', ' | ')).join(self.labels)}"

    def tell(self, telling: Telling, lexicon: Lexicon) -> None:
        """Decide for one option, and say it."""
        rng = lexicon.rng
        at = rng.randrange(len(self.labels))
        telling.answers[self.key] = self.labels[at]
        if self.things:
            telling.thing = rng.choice(self.things[at])
            return
        meaning = self.meanings[at]
        for wording in rng.sample(meaning.wordings, 2 if rng.random() < 0.15 else 1):
            thing = telling.thing or rng.choice(meaning.things or _any_thing(lexicon))
            telling.thing_named |= "{t}" in wording
            telling.subject.append((wording, {"t": thing}))

    def mention(self, lexicon: Lexicon, difficulty: Difficulty) -> Mention:
        raise NotImplementedError("a scene tells its picks together")


@dataclass(frozen=True)
class Wish:
    """True if the writer wants a certain thing done, now: not when it is refused or put off; perhaps in one case too."""

    key: str
    subject: str
    meaning: Meaning
    text: str
    others: tuple[Meaning, ...]
    pick: str | None = None
    label: str | None = None

    def schema(self) -> dict[str, object]:
        return {"type": "boolean"}

    def options(self) -> list[tuple[str, str]]:
        return []

    def words(self) -> tuple[str, ...]:
        return ()

    def describe(self, rng: random.Random) -> str:
        return self.text

    def tell(self, telling: Telling, lexicon: Lexicon) -> None:
        """Decide whether it is wanted, and say so, or that something else is."""
        rng, drawn, meaning = lexicon.rng, lexicon.rng.random(), self.meaning
        value = drawn < 0.42
        if value:
            telling.details.append((rng.choice(meaning.wordings), {}))
        elif drawn < 0.54 and meaning.denials:
            telling.details.append((rng.choice(meaning.denials), {}))
        elif drawn < 0.64 and meaning.later:
            telling.details.append((rng.choice(meaning.later), {}))
        elif drawn < 0.84 and self.others:
            telling.details.append((rng.choice(rng.choice(self.others).wordings), {}))
        telling.answers[self.key] = value or (self.pick is not None and telling.answers.get(self.pick) == self.label)

    def mention(self, lexicon: Lexicon, difficulty: Difficulty) -> Mention:
        raise NotImplementedError("a scene tells its wishes together")


@dataclass(frozen=True)
class Condition:
    """One test of a rule: a fact told, a label picked, a wish, or an amount on one side of a bound."""

    text: str
    fact: str = ""
    key: str = ""
    among: tuple[JsonValue, ...] = ()
    bound: float = 0.0
    over: bool = True

    def holds(self, telling: Telling) -> bool:
        """Whether the message told so far meets it; an amount that is absent never does."""
        if self.fact:
            return self.fact in telling.facts
        value = telling.answers.get(self.key)
        if self.among:
            return value in self.among
        if value is None or isinstance(value, (str, bool)):
            return False
        return (value >= self.bound) == self.over


@dataclass(frozen=True)
class Rule:
    """The first label one of whose alternatives holds, all parts of it; the last label is for everything else."""

    key: str
    subject: str
    labels: tuple[str, ...]
    ways: tuple[tuple[tuple[Condition, ...], ...], ...]
    texts: tuple[str, ...]
    lead: str
    shown: tuple[str, ...]
    facts: tuple[Meaning, ...] = ()

    def schema(self) -> dict[str, object]:
        return {"enum": list(self.shown)}

    def options(self) -> list[tuple[str, str]]:
        return list(zip(self.labels, self.texts, strict=True)) if self.texts else []

    def words(self) -> tuple[str, ...]:
        return ()

    def describe(self, rng: random.Random) -> str:
        return f"{rng.choice(('one of', 'string, one of', 'choose one:'))} {', '.join(self.shown)}"

    def tell(self, telling: Telling, lexicon: Lexicon) -> None:
        """Perhaps tell facts that it asks for, then follow it."""
        rng = lexicon.rng
        for fact in self.facts:
            drawn = rng.random()
            if drawn < 0.3 and fact.name not in telling.facts:
                telling.facts.add(fact.name)
                telling.details.append((rng.choice(fact.wordings), {}))
            elif drawn < 0.36 and fact.denials and fact.name not in telling.facts:
                telling.details.append((rng.choice(fact.denials), {}))
        telling.answers[self.key] = self.follow(telling)

    def follow(self, telling: Telling) -> str:
        """The label that the rule gives."""
        for label, ways in zip(self.labels, self.ways, strict=False):
            if any(all(part.holds(telling) for part in way) for way in ways):
                return label
        return self.labels[-1]

    def mention(self, lexicon: Lexicon, difficulty: Difficulty) -> Mention:
        raise NotImplementedError("a scene tells its rules last")


@dataclass(frozen=True)
class Sum:
    """An amount of money of which certain parts are not to be counted."""

    slot: Slot
    uncounted: tuple[str, ...]
    text: str

    @property
    def key(self) -> str:
        return self.slot.key

    @property
    def subject(self) -> str:
        return self.slot.subject

    def schema(self) -> dict[str, object]:
        return self.slot.schema()

    def options(self) -> list[tuple[str, str]]:
        return []

    def words(self) -> tuple[str, ...]:
        return ()

    def describe(self, rng: random.Random) -> str:
        return self.text

    def tell(self, telling: Telling, lexicon: Lexicon) -> None:
        """Perhaps name the sum, and beside it what does not count."""
        rng, value = lexicon.rng, None
        if rng.random() < 0.7:
            drawn = self.slot.kind.sample(lexicon)
            value = drawn.canonical
            if rng.random() < 0.25:  # round sums, as bounds are
                value = number(rng.choice((50, 100, 150, 200, 250, 300, 400, 500, 600, 750, 800, 900, 1000, 1200, 1500)))
                drawn = type(drawn)(value, rng.choice((f"${value}", f"{value} dollars", f"{value} euros", f"€{value}", f"{value} EUR")))
            telling.details.append((rng.choice(_SUM_CLAUSES), {"v": drawn.surface, "s": self.subject}))
        if self.uncounted and rng.random() < 0.25:
            other = self.slot.kind.sample(lexicon).surface
            telling.details.append((rng.choice(_UNCOUNTED_CLAUSES), {"v": other, "x": rng.choice(self.uncounted)}))
        telling.answers[self.key] = value

    def mention(self, lexicon: Lexicon, difficulty: Difficulty) -> Mention:
        raise NotImplementedError("a scene tells its sums together")


_SUM_CLAUSES = (
    "I paid {v}", "it cost {v}", "you took {v}", "{v} is what it says", "the bill says {v}", "that makes {v}", "for {v}",
    "the {s} was {v}", "it is about {v}", "{v} in all", "we are talking of {v}", "{s}: {v}", "worth {v}", "{v} is a lot",
    "my statement shows {v}", "I gave {v} for it", "{v} have been debited", "the {s} is {v}", "all for {v}", "I was to pay {v}",
)  # fmt: skip
_UNCOUNTED_CLAUSES = (
    "{x} was {v} on top", "plus {v} for {x}", "{v} for {x} is another thing", "not counting {x} at {v}", "and {x} came to {v}",
    "{x} ({v}) not included", "I had {v} off for {x}",
)  # fmt: skip
_THING_CLAUSES = (
    "it is about the {t}", "I mean the {t}", "my {t}", "the {t}, that is", "{t}", "this concerns the {t}", "for the {t}",
    "we have the {t}", "the {t} from you", "subject: {t}", "I am talking of the {t}", "I write about my {t}",
)  # fmt: skip


@dataclass(frozen=True)
class Scene(World):
    """A world whose fields depend on one another."""

    aside: tuple[Meaning, ...] = ()

    def message(self, lexicon: Lexicon, difficulty: Difficulty) -> tuple[str, dict[str, JsonValue]]:
        """Draw one message and the answer to all fields."""
        telling, rng = Telling(), lexicon.rng
        order = {"things": 0, "pick": 1, "other": 2, "rule": 3}
        for one in sorted(self.fields, key=lambda one: order[_place(one)]):
            if isinstance(one, (Pick, Wish, Rule, Sum)):
                one.tell(telling, lexicon)
            else:
                mention = one.mention(lexicon, difficulty)
                telling.answers[one.key] = mention.answer
                telling.details += [("{c}", {"c": clause}) for clause in mention.clauses]
        if telling.thing and (not telling.thing_named or rng.random() < 0.2):
            telling.details.append((rng.choice(_THING_CLAUSES), {"t": telling.thing}))
        for fact in self.aside:
            if rng.random() < 0.3:
                telling.details.append((rng.choice(fact.wordings), {}))
        text = speak(telling.subject, telling.details, lexicon, difficulty)
        return text, {one.key: telling.answers[one.key] for one in self.fields}


def _place(one: Field) -> str:
    if isinstance(one, Rule):
        return "rule"
    if isinstance(one, Pick):
        return "things" if one.things else "pick"
    return "other"


@dataclass(frozen=True)
class Cast:
    """What a scene shall hold: options of its two choices (0 for none), how many slots, wishes and rules; and whether defined."""

    situations: int = 0
    things: int = 0
    slots: int = 0
    money: bool = False
    wishes: int = 0
    rules: int = 0
    defined: bool = True


def draw_scene(lexicon: Lexicon, difficulty: Difficulty, cast: Cast, kinds: tuple[type, ...]) -> Scene:
    """A scene after the cast, its rules last, the other fields mostly in the order of a form."""
    rng, scenery = lexicon.rng, Scenery(lexicon)
    document = rng.choice(("message", "mail", "note", "letter", "text", "chat", "ticket", "request", "inquiry", "post"))
    fields: dict[str, Field] = {}

    def put(one: Field) -> None:
        fields.setdefault(one.key, one)

    if cast.situations:
        put(_situations(lexicon, scenery, cast, document))
    if cast.things:
        put(_things(lexicon, scenery, cast))
    for _ in range(cast.slots):
        put(draw_slot(lexicon, kinds, role=rng.random() < 0.35))
    if cast.money:
        put(_sum(lexicon))
    facts, wishes = scenery.facts(8), scenery.wishes(6)
    for at in range(min(cast.wishes, len(wishes))):
        put(_wish(lexicon, wishes[at], wishes[cast.wishes :], list(fields.values()), cast))
    if rng.random() < 0.4:
        shuffled = list(fields.items())
        rng.shuffle(shuffled)
        fields = dict(shuffled)
    used = 0
    for _ in range(cast.rules):
        rule = _rule(lexicon, facts[used:], list(fields.values()), cast, document)
        used += len(rule.facts)
        put(rule)
    aside = tuple(facts[used : used + 2]) if rng.random() < 0.3 else ()
    return Scene(document, rng.choice(("service", "support", "front desk", "office")), tuple(fields.values()), aside)


def _labels(lexicon: Lexicon, names: list[str], own: float) -> tuple[str, ...]:
    """The names as labels in one style, or labels that say nothing."""
    rng = lexicon.rng
    if rng.random() < own:
        joint = rng.choice("_____- ")
        return tuple(name.replace("_", joint) for name in names)
    return tuple(lexicon.labels(len(names), rng.random()))


def _any_thing(lexicon: Lexicon) -> tuple[str, ...]:
    """The words for something that anybody may have."""
    return _said(Scenery(lexicon).things(1)[0], "")


def _defined(one: Meaning, wording: str, lexicon: Lexicon, form: float) -> str:
    """A definition: written out, both of them, by the example of a wording, or both ways."""
    rng = lexicon.rng
    text = rng.choice(one.definitions)
    if not text.endswith("."):
        text += "."
    if form < 0.65:
        return text
    if form < 0.75:
        return " ".join(rng.sample(one.definitions, 2)) if len(one.definitions) > 1 else text
    example = wording.format(t=rng.choice(one.things or _any_thing(lexicon)))
    if form < 0.87:
        return f"{text} {rng.choice(('Example: ', 'Such as: ', 'E.g. ', 'Like: '))}{example}"
    return f"{rng.choice(('e.g. ', 'like: ', ''))}{example}"


def _key(lexicon: Lexicon, names: tuple[str, ...]) -> tuple[str, str]:
    """A key and the words for it."""
    rng = lexicon.rng
    name = rng.choice(names)
    key = name
    if rng.random() < 0.25:
        while not lexicon.admits_key(key := f"{lexicon.entity()}_{name}"):
            pass
    return key, key.replace("_", " ")


def _situations(lexicon: Lexicon, scenery: Scenery, cast: Cast, document: str) -> Pick:
    rng, key = lexicon.rng, _key(lexicon, _PICK_NAMES)
    meanings = scenery.situations(cast.situations)
    labels = _labels(lexicon, [one.name for one in meanings], 0.6 if cast.defined else 1.0)
    definitions: tuple[str, ...] = ()
    if cast.defined:
        form = rng.random()
        examples = [rng.choice(one.wordings) for one in meanings]
        definitions = tuple(_defined(one, text, lexicon, form) for one, text in zip(meanings, examples, strict=True))
        meanings = [one.without(text) for one, text in zip(meanings, examples, strict=True)]
    lead = rng.choice(_PICK_LEADS).format(d=document, s=key[1])
    return Pick(*key, labels, definitions, lead, tuple(meanings))


def _things(lexicon: Lexicon, scenery: Scenery, cast: Cast) -> Pick:
    rng, key = lexicon.rng, _key(lexicon, _THING_NAMES)
    chosen = scenery.things(cast.things)
    labels = _labels(lexicon, [one.name for one in chosen], 0.85 if cast.defined else 1.0)
    brands = [_brand(lexicon) if rng.random() < 0.7 else "" for _ in chosen]
    definitions: tuple[str, ...] = ()
    if cast.defined:
        definitions = tuple(_shown(one, brand, rng) for one, brand in zip(chosen, brands, strict=True))
    said = tuple(_said(one, brand if definitions else "") for one, brand in zip(chosen, brands, strict=True))
    return Pick(*key, labels, definitions, rng.choice(_PICK_LEADS).format(d="thing", s=key[1]), (), said)


def _brand(lexicon: Lexicon) -> str:
    rng, name = lexicon.rng, lexicon.made_up().capitalize()
    return name if rng.random() < 0.4 else f"{name} {rng.choice((str(rng.randint(1, 9)), str(rng.randint(10, 900)), 'Pro', 'Plus', f'X{rng.randint(1, 9)}', 'Home', 'Mini'))}"


def _shown(one: Thing, brand: str, rng: random.Random) -> str:
    """The description of a thing's class, with its brand where it has one."""
    if not brand:
        return f"{one.description}."
    return one.description + rng.choice((", such as the {b}.", ", for example the {b}.", " ({b}).", ", like the {b}.", ", our {b}.")).format(b=brand)


def _said(one: Thing, brand: str) -> tuple[str, ...]:
    """How a message may name a thing."""
    name = one.name.replace("_", " ")
    return (name, name, *one.words, *((brand, brand) if brand else ()))


def _sum(lexicon: Lexicon) -> Sum:
    from components.base.values import Amount

    rng, slot = lexicon.rng, draw_slot(lexicon, (Amount,))
    hint, uncounted = slot.kind.hint(rng), tuple(rng.sample(_UNCOUNTED, rng.randint(1, 3)))
    text = rng.choice((f"{hint}, the {slot.subject}", f"the {slot.subject}, {hint}", f"{hint}, what was paid or shall be paid", hint))
    text += rng.choice((" or null", ", or null if none is named", ", null if absent", "; null when it is not there"))
    if rng.random() < 0.6:
        listed = " and ".join(one.removeprefix("a ").removeprefix("the ") for one in uncounted)
        text += rng.choice((". {x} do not count.", ", without {x}", ". Leave out {x}.", "; {x} are not part of it")).format(x=listed.capitalize() if text[-1] == "." else listed)
    else:
        uncounted = ()
    return Sum(slot, uncounted, text)


def _wish(lexicon: Lexicon, meaning: Meaning, others: list[Meaning], before: list[Field], cast: Cast) -> Wish:
    rng, said = lexicon.rng, lexicon.rng.choice(meaning.definitions)
    key = f"{rng.choice(('wants', 'needs', 'asks_for', 'wish', 'wants'))}_{meaning.name}"
    while not lexicon.admits_key(key):
        key = f"{rng.choice(('wants', 'needs', 'asks', 'wish', 'get', 'with'))}_{lexicon.word(0)}"
    picks = [one for one in before if isinstance(one, Pick) and one.meanings]
    pick, label = (picks[0], rng.choice(picks[0].labels)) if picks and cast.defined and rng.random() < 0.3 else (None, None)
    also = f" or the {pick.subject} is {label}" if pick else ""
    text = rng.choice((
        "true if the writer asks for {x}{a}, else false", "true if {x} is wanted now{a}; false if not, or only later",
        "true when the writer wants {x}{a}; false if they refuse it, want another thing or may want it some day",
        "boolean, true for a wish for {x}{a}", "true or false: does the writer ask for {x}{b}?",
    )).format(x=said, a=also, b=also)  # fmt: skip
    if not cast.defined:
        text = rng.choice(("true or false", "boolean", f"true or false, {said}"))
    return Wish(key, said, meaning, text, tuple(others), pick.key if pick else None, label)


def _rule(lexicon: Lexicon, facts: list[Meaning], before: list[Field], cast: Cast, document: str) -> Rule:
    rng, key = lexicon.rng, _key(lexicon, _LEVEL_NAMES)
    shown = list(rng.choice(_LEVELS))
    labels = shown[::-1] if rng.random() < 0.6 else rng.sample(shown, len(shown))
    if rng.random() < 0.5:  # what is left over need not be the lowest
        labels.append(labels.pop(rng.randrange(len(labels))))
    left, used = list(facts), list[Meaning]()
    ways: list[tuple[tuple[Condition, ...], ...]] = []
    texts: list[str] = []
    for at in range(len(labels) - 1):
        alternatives: list[tuple[Condition, ...]] = []
        for _ in range(rng.choice((1, 1, 2, 2, 3))):
            parts = [_condition(rng, left, used, before, document) for _ in range(2 if rng.random() < 0.15 else 1)]
            alternatives.append(tuple(one for one in parts if one is not None))
        alternatives = [one for one in alternatives if one]
        ways.append(tuple(alternatives))
        texts.append(_rule_text(alternatives, at, rng))
    texts.append(rng.choice(_REST).format(d=document) + rng.choice((".", "")))
    lead = rng.choice(_RULE_LEADS)
    return Rule(*key, tuple(labels), tuple(ways), tuple(texts) if cast.defined else (), lead, tuple(shown), tuple(used))


def _rule_text(alternatives: list[tuple[Condition, ...]], at: int, rng: random.Random) -> str:
    """The alternatives of one label in words."""
    said = [rng.choice((" and ", " while ", ", and also ")).join(part.text for part in way) for way in alternatives]
    text = rng.choice(("; or ", ", or ", "; ", ", or if ")).join(said) or "never"
    if at and rng.random() < 0.6:
        text = rng.choice(("Otherwise, if ", "Else if ", "If not, and ", "Otherwise when ")) + text
    elif rng.random() < 0.5:
        text = rng.choice(("If ", "When ", "Only if ", "")) + text
    return text[0].upper() + text[1:] + rng.choice((".", ".", ""))


def _condition(
    rng: random.Random, left: list[Meaning], used: list[Meaning], before: list[Field], document: str
) -> Condition | None:
    """A fact not used yet, or something about a field that stands before."""
    sums = [one for one in before if isinstance(one, Sum)]
    picks = [one for one in before if isinstance(one, Pick)]
    wishes = [one for one in before if isinstance(one, Wish)]
    drawn = rng.random()
    if sums and drawn < 0.25:
        bound, over = rng.choice((50, 100, 150, 200, 250, 300, 400, 600, 750, 800, 1000, 1200, 1500, 2000)), rng.random() < 0.75
        name = rng.choice((f"the {sums[0].subject}", sums[0].key, "the sum"))
        text = rng.choice(("{n} is {b} or more", "{n} is at least {b}", "{n} of {b} or above")) if over else "{n} is under {b}"
        return Condition(text.format(n=name, b=bound), key=sums[0].key, bound=bound, over=over)
    if picks and drawn < 0.4:
        pick = rng.choice(picks)
        among = tuple(rng.sample(pick.labels, min(len(pick.labels), rng.choice((1, 1, 2)))))
        return Condition(f"the {pick.subject} is {' or '.join(among)}", key=pick.key, among=among)
    if wishes and drawn < 0.5:
        wish = rng.choice(wishes)
        return Condition(rng.choice((f"{wish.key} is true", f"the writer wants {wish.subject}")), key=wish.key, among=(True,))
    if not left:
        return None
    fact = left.pop()
    used.append(fact)
    return Condition(rng.choice(fact.definitions), fact=fact.name)
