"""Normal forms of texts: composition, invisible characters, white space, case.

Decides which differences are only of form. Joiners are meaningful in some scripts and in emoji; they count as invisible
only where they join nothing.
"""

import re
import unicodedata

# Soft hyphen, grapheme joiner, Hangul fillers, Khmer and Mongolian vowel separators, zero-width space, direction marks
# and embeddings, word joiner and invisible operators, byte order mark, variation selectors.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0]"
)
# Zero-width joiner and non-joiner between Latin, Greek or Cyrillic letters, digits or signs, or at an end.
_IDLE_JOINER = re.compile(
    "(?:(?<![\u0590-\u1fff\u2190-\uffff\U00010000-\U0010ffff])|(?=[\u0000-\u058f]|$))[\u200c\u200d]"
)


_BLANK = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")


def visible(text: str) -> str:
    """The visible text: composed (NFC), one kind of space, nothing invisible, stripped."""
    if text.isascii():
        return text.strip()
    text = _IDLE_JOINER.sub("", _INVISIBLE.sub("", unicodedata.normalize("NFC", text)))
    return unicodedata.normalize("NFC", _BLANK.sub(" ", text)).strip()


def plain(text: str) -> str:
    """The same on one line, with single spaces."""
    return " ".join(visible(text).split())


def folded(text: str) -> str:
    """The text without differences in form, width or case; only for comparison."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", plain(text)).casefold())
    return " ".join(text.casefold().split())
