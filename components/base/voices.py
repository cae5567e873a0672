"""How people write: clauses put in order and into sentences, in a formal, plain, hasty or chatty voice."""

import random

from components.base.lexicon import Lexicon
from components.base.scenery import fillers, shortened
from components.base.worlds import Difficulty

Clause = tuple[str, dict[str, str]]
"""A template and the values that stand in it, which no voice may alter."""

_OPENERS = (
    "Hi,", "Hello,", "Good morning,", "Dear all,", "Hello there,", "Good evening,", "Dear Sir or Madam,", "Hi there,",
    "Good day,", "To the team:", "Ladies and gentlemen,", "Hey,",
)  # fmt: skip
_CLOSERS = ("Thanks,", "Regards,", "Best,", "Kind regards,", "Yours,", "Cheers,", "Many thanks,", "With best wishes,", "Greetings,")
_CHAT_OPENERS = ("hi", "hey", "yo", "hello", "heya", "hi guys", "morning", "")
_CHAT_CLOSERS = ("thx", "ty", "bye", "cheers", "ok bye", "")
_FEWEST_SLIP_LETTERS = 5


def speak(subject: list[Clause], details: list[Clause], lexicon: Lexicon, difficulty: Difficulty) -> str:
    """A message that says all clauses: the subject mostly first, with filler, a greeting and an end."""
    rng = lexicon.rng
    voice = rng.choices(("plain", "formal", "chat", "terse"), weights=(4, 2, 3, 1))[0]
    details = list(details)
    rng.shuffle(details)
    clauses = [*subject, *details]
    if rng.random() < 0.35:
        rng.shuffle(clauses)
    for _ in range(0 if voice == "terse" else difficulty.upto(0, 2, rng)):
        filler = rng.choice(fillers()) if rng.random() < 0.8 else lexicon.sentence()
        clauses.insert(rng.randint(0, len(clauses)), (filler.rstrip(".,!?").replace("{", "").replace("}", ""), {}))
    sloppy = rng.choice((0.0, 0.0, 0.03)) if voice != "formal" else 0.0
    said = [_sentence(clause, voice, rng, sloppy * difficulty.level) for clause in clauses]
    text = _join(said, voice, rng)
    return _frame(text, voice, lexicon) or lexicon.sentence()


def _sentence(clause: Clause, voice: str, rng: random.Random, sloppy: float) -> str:
    template, values = clause
    if voice == "chat":
        template = _shorten(template, rng)
        template = template.lower() if "{" not in template else template
    elif rng.random() < 0.3:
        template = _contract(template)
    if sloppy:
        template = " ".join(_slip(word, rng) if rng.random() < sloppy else word for word in template.split(" "))
    text = template.format(**values)
    starts_with_value = template.startswith(("{v}", "{c}", "{w}"))
    return text if voice == "chat" or starts_with_value or not text else text[0].upper() + text[1:]


def _shorten(template: str, rng: random.Random) -> str:
    """What a hasty writer types for some words."""
    padded = f" {template} "
    for word, typed in shortened():
        if f" {word} " in padded and rng.random() < 0.5:
            padded = padded.replace(f" {word} ", f" {rng.choice(typed)} ")
    return padded[1:-1]


def _contract(template: str) -> str:
    """Words run together as in speech."""
    padded = f" {template} "
    for word, typed in shortened():
        if "'" in typed[-1]:
            padded = padded.replace(f" {word} ", f" {typed[-1]} ")
    return padded[1:-1]


def _slip(word: str, rng: random.Random) -> str:
    """A word with a letter dropped, doubled or two letters swapped; none that holds a value."""
    if len(word) < _FEWEST_SLIP_LETTERS or not word.isalpha():
        return word
    at = rng.randrange(1, len(word) - 1)
    swapped = word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :]
    return rng.choice((word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:], swapped))


def _join(said: list[str], voice: str, rng: random.Random) -> str:
    ends = {"plain": (".", ".", ".", "!", ","), "formal": (".",), "chat": (",", ".", "", " +", "...", "!"), "terse": (";", ".", ",", " -")}
    joint = "\n" if voice != "chat" and rng.random() < 0.15 else " "
    parts: list[str] = []
    for at, text in enumerate(said):
        end = rng.choice(ends[voice])
        if at == len(said) - 1:
            end = "." if voice in ("plain", "formal") else rng.choice((".", "", "!"))
        question = text.lower().startswith(("can ", "could ", "may ", "is ", "are ", "do ", "does ", "when ", "how ", "what ", "where ", "why ", "will "))
        parts.append(text + ("?" if question and rng.random() < 0.7 and voice != "chat" else "" if text[-1:] in ".!?" else end))
    return joint.join(parts)


def _frame(text: str, voice: str, lexicon: Lexicon) -> str:
    rng = lexicon.rng
    if voice == "terse" or rng.random() < 0.25:
        return text
    if voice == "chat":
        return " ".join(part for part in (rng.choice(_CHAT_OPENERS), text, rng.choice(_CHAT_CLOSERS)) if part)
    joint = rng.choice((" ", "\n"))
    text = f"{rng.choice(_OPENERS)}{joint}{text}"
    if rng.random() < 0.6:
        text += f"{joint}{rng.choice(_CLOSERS)} {lexicon.full_name() if rng.random() < 0.6 else lexicon.first_name()}"
    if rng.random() < 0.1:
        text = f"{rng.choice(('Subject', 'Re', 'Title'))}: {rng.choice(fillers()).rstrip('.')}\n{text}"
    return text
