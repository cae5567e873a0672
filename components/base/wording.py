"""How people write: clauses around values, filler, greetings, signatures and slips, put together to a message.

Decides wording only; which values and labels there are, and what is asked of them, is decided elsewhere.
"""

import random
from dataclasses import dataclass

from components.base.lexicon import Lexicon

CLAUSES = (
    "the {s} is {v}", "{s} {v}", "{s}: {v}", "my {s} is {v}", "{v} is the {s}", "with {s} {v}", "{s} = {v}",
    "it says {s} {v}", "I have {s} {v}", "({s} {v})", "please note the {s}, {v}", "for {s} {v}", "our {s} was {v}",
    "{s} should be {v}", "they gave me {v} as {s}", "about {s} {v}", "regarding the {s} {v}", "{v} ({s})",
)  # fmt: skip
ROLE_CLAUSES = (
    "not {s} {w}, I mean {s} {v}", "the {s} is {v}, not {w}", "{s} {w} is done, this is about {v}",
    "I first wrote {w} but the right {s} is {v}", "last time it was {s} {w}, now it is {s} {v}",
    "ignore {s} {w}, the one I need is {v}", "{v} is the {s} I mean, {w} was for someone else",
    "the old {s} {w} was closed, please look at {v}", "this is {s} {v} (the other one, {w}, is fine)",
    "it is about {s} {v} and not about {w}", "the {s} changed from {w} to {v}",
)  # fmt: skip
# Without the subject: what the value is can only be told by how it looks.
BARE_CLAUSES = (
    "{v}", "it is about {v}", "see {v}", "{x} {v}", "my {x} is {v}", "the {x} in question is {v}", "{x}: {v}",
    "I have {v}", "{v} came up", "this is {v}", "from {v}", "on {v}", "they say {v}", "{v}, that is the {x}",
    "with {v}", "for {v}",
)  # fmt: skip
# A value with what stands close to it.
TYPED = (
    "{v}", "{v}", "({v})", '"{v}"', "#{v}", "no. {v}", "no.{v}", "[{v}]", "{v} -", "{v}-", "- {v} -", "{v}Please",
    "{v}I", "{v}and", "{v}/", "<{v}>", "ref:{v}", "{v}..", "nr {v}",
)  # fmt: skip
TOPIC_CLAUSES = (
    "there is something with {w}", "I write because of {w}", "it is about {w}", "can you look at {w}", "{w}",
    "we have {w} here", "what about {w}", "my question is on {w}", "I want to talk about {w}", "again {w}",
    "help with {w} please", "since monday {w}", "they told me {w}", "the thing is {w}", "I noticed {w}", "{w} again",
)  # fmt: skip
WISHES = (*TOPIC_CLAUSES, "I want {w}", "please {w}", "I need {w}")
REFUSALS = ("no {w} needed", "I do not want {w}", "no {w} please", "without {w}", "we need no {w}")
_OPENERS = ("Hi,", "Hello,", "hey", "Good morning,", "Dear team,", "Hello there,", "hi all", "To whom it may concern,")
_CLOSERS = ("Thanks", "thank you", "Regards,", "Best,", "bye", "Kind regards,", "cheers", "Many thanks,")


@dataclass(frozen=True)
class Difficulty:
    """How hard a lesson may be: every maximum grows with `level` in [0, 1]."""

    level: float

    def upto(self, low: int, high: int, rng: random.Random) -> int:
        """A whole number between `low` and the share of the way to `high` that the level allows."""
        return rng.randint(low, low + round((high - low) * self.level))

    def chance(self, probability: float, rng: random.Random) -> bool:
        """True with at most `probability`, scaled by the level."""
        return rng.random() < probability * self.level


def compose(clauses: list[str], lexicon: Lexicon, difficulty: Difficulty, avoid: frozenset[str] = frozenset()) -> str:
    """Clauses in random order among filler without the words of `avoid`, with greetings, signatures and slips."""
    rng = lexicon.rng
    rng.shuffle(clauses)
    parts = [clause + rng.choice((".", ".", ",", "!", ";", "...")) for clause in clauses]
    for _ in range(difficulty.upto(0, 8 if lexicon.rough else 4, rng)):
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
    """A clause that gives a subject's value."""
    return phrase(rng.choice(CLAUSES), rng, s=subject, v=value)


def phrase(template: str, rng: random.Random, **texts: str) -> str:
    """A clause; its first letter may be raised, unless it belongs to a value."""
    clause = template.format(**texts)
    if template.startswith(("{v}", "{w}")) or rng.random() < 0.5:
        return clause
    return clause[0].upper() + clause[1:]


def join(words: tuple[str, ...]) -> str:
    """Words as a meaning lists them: side by side, from the third on as an alternative."""
    if len(words) < 3:
        return " ".join(words)
    return f"{' '.join(words[:2])} or {' '.join(words[2:])}"


def mix(words: list[str], difficulty: Difficulty, rng: random.Random) -> str:
    """Words of a meaning in running text, sometimes joined, sometimes inflected."""
    said = [word + rng.choice(("s", "ed", "ing")) if difficulty.chance(0.1, rng) else word for word in words]
    joint = rng.choice((" ", " ", " and ", " with the ", " of the ", ", "))
    return joint.join(said)


def _slip(sentence: str, difficulty: Difficulty, rng: random.Random) -> str:
    """A letter dropped or doubled somewhere in a filler sentence."""
    if not difficulty.chance(0.3, rng) or len(sentence) < 4:
        return sentence
    at = rng.randrange(1, len(sentence) - 1)
    return sentence[:at] + rng.choice(("", sentence[at] * 2)) + sentence[at + 1 :]
