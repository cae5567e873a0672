"""How simulated people ask: in two styles, with misspellings, and sometimes for the same thing again.

Shared by those embedded workloads that simulate people.
"""

import random
import re
from collections.abc import Container
from typing import Literal

Style = Literal["terse", "written"]
STYLES: tuple[Style, ...] = ("terse", "terse", "written", "written", "written")
TYPO_RATES: dict[Style, tuple[float, ...]] = {"terse": (0.0, 0.02, 0.06), "written": (0.0, 0.0, 0.02)}
REPEAT_SHARE = 0.1
REPEAT_REACH = 40

OPENERS = (
    "Hi,", "Hello,", "Good morning,", "For the weekly report:", "Quick question:", "For the board:", "Dear team,",
    "For our newsletter:", "For the audit:", "Next one:", "From sales:", "From the warehouse:", "Another one:",
    "Before the meeting:", "Ticket from finance:", "Follow-up:",
)  # fmt: skip
CLOSERS = ("Thanks!", "Thank you.", "It is for the report.", "No hurry.", "Today, please.", "Cheers.", "Best, Kim")
_WORD = re.compile(r"\b[a-z]{5,}\b")


def base_index(label: str, index: int, seed: int) -> int:
    """The number of the request whose case request `index` repeats: its own or, in one of ten, an earlier one's."""
    while index > 0:
        rng = random.Random(f"{label}/{seed}/base/{index}")
        if rng.random() >= REPEAT_SHARE:
            return index
        index -= rng.randrange(1, min(index, REPEAT_REACH) + 1)
    return index


def dressed(text: str, style: Style, protected: Container[str], rng: random.Random) -> str:
    """A request as typed in a hurry or with care; `protected` words are spelt right."""
    text = misspelt(text, rng.choice(TYPO_RATES[style]), protected, rng)
    if style == "terse":
        return text.rstrip("?")
    text = text if text.endswith("?") else f"{text}."
    if rng.random() < 0.6:
        text = f"{rng.choice(OPENERS)} {text}"
    elif text[1].isalpha():  # names such as f(x) keep their case
        text = text[0].upper() + text[1:]
    return f"{text} {rng.choice(CLOSERS)}" if rng.random() < 0.35 else text


def misspelt(text: str, rate: float, protected: Container[str], rng: random.Random) -> str:
    """Misspell a share `rate` in [0, 1] of the longer lower-case words, except `protected` ones.

    A letter is dropped, doubled or swapped with the next one; digits and short words are not changed.
    """

    def spell(match: re.Match[str]) -> str:
        word = match[0]
        if word in protected or rng.random() >= rate:
            return word
        index = rng.randrange(1, len(word) - 2)
        return rng.choice((
            word[:index] + word[index + 1 :],
            word[:index] + word[index] + word[index:],
            word[:index] + word[index + 1] + word[index] + word[index + 2 :],
        ))  # fmt: skip

    return text if rate == 0.0 else _WORD.sub(spell, text)
