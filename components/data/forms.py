"""Texts that say the same in another form: composed or not, with characters that nobody sees, other blanks, other case.

Decides which differences are of form alone. Joiners are letters of some scripts and hold emoji together; they count
as invisible only where they join nothing.
"""

import re
import unicodedata

# Soft hyphen, grapheme joiner, Hangul fillers, Khmer and Mongolian vowel separators, zero-width space, direction marks
# and embeddings, word joiner and invisible operators, byte order mark, variation selectors.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0]"
)
# Zero-width joiner and non-joiner between Latin, Greek or Cyrillic letters, digits, signs, or at an end.
_IDLE_JOINER = re.compile(
    "(?:(?<![\u0590-\u1fff\u2190-\uffff\U00010000-\U0010ffff])|(?=[\u0000-\u058f]|$))[\u200c\u200d]"
)


def plain(text: str) -> str:
    """The text composed (NFC), without what nobody sees, its blanks single and none around it."""
    if not text.isascii():
        text = _IDLE_JOINER.sub("", _INVISIBLE.sub("", unicodedata.normalize("NFC", text)))
        text = unicodedata.normalize("NFC", text)
    return " ".join(text.split())


def folded(text: str) -> str:
    """What texts that differ in form, width or case have in common; for comparing only."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", plain(text)).casefold())
    return " ".join(text.casefold().split())
