"""Words, names and invented words from which worlds are drawn, and the split between training and held-out.

Every label, key, definition and value is hashed: one in ten is held out. Training never generates those, and
evaluation generates nothing else. Single dictionary words and sentence frames are shared.
"""

import random
import re
import zlib
from collections.abc import Callable
from functools import cache

HELD_OUT_SHARE = 10

ENTITIES = (
    "permit", "locker", "berth", "sample", "crate", "ward", "case", "ticket", "parcel", "vehicle", "badge",
    "member", "lesson", "recipe", "orchard", "gallery", "tenant", "cabin", "ferry", "court", "patient", "exam",
    "licence", "meter", "pump", "route", "shift", "stall", "studio", "survey", "tree", "valve", "visitor",
    "voucher", "wagon", "workshop", "booking", "file", "claim", "contract", "device", "site", "trip",
    "room", "seat", "policy", "project", "unit", "job",
)  # fmt: skip

_SYLLABLE_STARTS = (
    "b", "br", "c", "ch", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "kl", "l", "m", "n", "p", "pl", "qu",
    "r", "s", "sh", "st", "t", "tr", "v", "w", "y", "z",
)  # fmt: skip
_SYLLABLE_ENDS = (
    "a", "e", "i", "o", "u", "an", "el", "in", "or", "us", "ar", "en", "ix", "ol", "um", "ai", "ea", "ou", "ist",
    "and", "ent", "ork", "ell", "im", "ot", "ub", "ek", "ash", "orn",
)  # fmt: skip


def is_held_out(text: str) -> bool:
    """Whether this label, key or value is held out for evaluation (one in ten, by hash, ignoring case)."""
    return zlib.crc32(text.casefold().encode()) % HELD_OUT_SHARE == 0


def is_common(key: str) -> bool:
    """Whether a key is a single plain word, such as `amount`, which both sides use."""
    return "_" not in key and key.islower()


@cache
def dictionary_words() -> tuple[str, ...]:
    """Common English words of four letters or more (Faker's en_US list)."""
    from faker.providers.lorem.en_US import Provider

    return tuple(word for word in Provider.word_list if len(word) > 3 and word.islower())


@cache
def short_words() -> tuple[str, ...]:
    """Common English words of any length, for filler sentences (Faker's en_US list)."""
    from faker.providers.lorem.en_US import Provider

    return tuple(Provider.word_list)


@cache
def uncommon_words() -> tuple[str, ...]:
    """Some 10,000 rarer words: jobs, catchphrases, surnames, and lower-case words of other languages (Faker).

    Real messages are full of words that no list of common ones has; what matters here is how they are tokenised.
    """
    from faker.providers.color.en_US import Provider as Colors
    from faker.providers.company.en_US import Provider as Companies
    from faker.providers.job.en_US import Provider as Jobs
    from faker.providers.lorem import cs_CZ, da_DK, de_DE, es_ES, fr_FR, it_IT, nl_NL, pl_PL

    texts: list[str] = [*Jobs.jobs, *Colors.all_colors, *_person_names()[1]]
    texts += [word for part in (*Companies.bsWords, *Companies.catch_phrase_words) for word in part]
    for language in (cs_CZ, da_DK, de_DE, es_ES, fr_FR, it_IT, nl_NL, pl_PL):
        texts += language.Provider.word_list
    words = {word for text in texts for word in re.findall("[a-z]+", text.lower()) if text.isascii()}
    return tuple(sorted(word for word in words - set(dictionary_words()) if 4 <= len(word) <= 14))


@cache
def _person_names() -> tuple[tuple[str, ...], tuple[str, ...]]:
    from faker.providers.person.en_US import Provider

    return tuple(Provider.first_names), tuple(Provider.last_names)


class Lexicon:
    """Draws words and names with one random generator, from one side of the split.

    With `rough`, prompts and messages are as untidy as real ones: rarer words, remarks, distractors.
    """

    def __init__(self, rng: random.Random, *, held_out: bool = False, rough: bool = False) -> None:
        self.rng = rng
        self.held_out = held_out
        self.rough = rough

    def draw(self, make: Callable[[], str]) -> str:
        """Call `make` until its text is on this lexicon's side of the split."""
        while is_held_out(text := make()) != self.held_out:
            pass
        return text

    def admits_key(self, key: str) -> bool:
        """Whether a key is on this side; keys of one plain word are on both."""
        return ("_" not in key and key.islower()) or is_held_out(key) == self.held_out

    def word(self, strangeness: float = 1.0) -> str:
        """A word, mostly from the dictionary; with `strangeness` in [0, 1] some are invented or, if rough, rarer."""
        drawn = self.rng.random()
        if drawn < 0.3 * strangeness:
            return self.made_up()
        return self.rng.choice(uncommon_words() if self.rough and drawn < 0.5 else dictionary_words())

    def made_up(self) -> str:
        """A pronounceable invented word of two or three syllables."""
        rng = self.rng
        parts = (rng.choice(_SYLLABLE_STARTS) + rng.choice(_SYLLABLE_ENDS) for _ in range(rng.choice((2, 2, 3))))
        return "".join(parts)

    def words(self, count: int, strangeness: float = 1.0) -> list[str]:
        """`count` different words."""
        drawn: dict[str, None] = {}
        while len(drawn) < count:
            drawn[self.word(strangeness)] = None
        return list(drawn)

    def entity(self) -> str:
        """The topic of a world: something that has numbers, dates and owners."""
        return self.rng.choice(ENTITIES) if self.rng.random() < 0.6 else self.word()

    def label(self, strangeness: float = 1.0) -> str:
        """A class label: one word, or with some strangeness up to three, in snake case, kebab case or plain."""
        rng = self.rng
        joint = rng.choice("__-") if rng.random() < 0.9 else " "
        longest = 1 + round(2 * strangeness)
        return self.draw(lambda: joint.join(self.words(rng.choice((1, rng.randint(1, longest))), strangeness)))

    def labels(self, count: int, strangeness: float = 1.0) -> list[str]:
        """`count` different labels."""
        drawn: dict[str, None] = {}
        while len(drawn) < count:
            drawn[self.label(strangeness)] = None
        return list(drawn)

    def first_name(self) -> str:
        """A given name, or an invented one."""
        return self.rng.choice(_person_names()[0]) if self.rng.random() < 0.7 else self.made_up().capitalize()

    def full_name(self) -> str:
        """A given name and a surname."""
        last = self.rng.choice(_person_names()[1]) if self.rng.random() < 0.7 else self.made_up().capitalize()
        return f"{self.first_name()} {last}"

    def sentence(self, avoid: frozenset[str] = frozenset()) -> str:
        """A meaningless filler sentence of three to nine words, none of them in `avoid`."""
        rng = self.rng
        rare = rng.choice((0.0, 0.1, 0.4)) if self.rough else 0.0
        drawn = [
            rng.choice(uncommon_words() if rare and rng.random() < rare else short_words())
            for _ in range(rng.randint(3, 9))
        ]
        words = [word for word in drawn if word not in avoid] or ["well"]
        text = " ".join(words) + rng.choice((".", ".", ".", "!", "?", ","))
        return text[0].upper() + text[1:] if rng.random() < 0.7 else text
