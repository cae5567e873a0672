"""Masks personal data in texts before they are stored: each kind becomes a mark such as <email>.

Rules see texts in plain characters (wide and Arabic digits, unusual spaces and dashes become the usual ones); marks
replace the corresponding spans of the original. In JSON, only strings are masked, one by one, so that it stays valid.
`personal` decides what is personal among numbers and addresses, `names` among names.
"""

import json
import re
import unicodedata
from bisect import bisect_right
from itertools import accumulate

from components.data.names import names
from components.data.personal import births, emails, ibans, letter_ids, numbers

MOST_ROUNDS = 4  # a mark can change the context of its neighbours
# A string literal and, if it is a key, its colon: all other quotes in JSON are escaped.
_LITERAL = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)(\s*+:)?', re.DOTALL)
_INVISIBLE = {0xAD, *range(0x200B, 0x2010), *range(0x202A, 0x202F), 0x2060, *range(0x2066, 0x206A), 0xFEFF}
_LONG_VOWEL = "\u30fc"  # looks like a dash and is used as one


class _Plain(dict[str, str]):
    """Each character in its plain form, computed once."""

    def __missing__(self, character: str) -> str:
        if ord(character) in _INVISIBLE:
            plain = ""
        elif character == "\t" or unicodedata.category(character) == "Zs":
            plain = " "
        elif character == _LONG_VOWEL or unicodedata.category(character) == "Pd":
            plain = "-"
        elif character.isdecimal():
            plain = str(unicodedata.decimal(character))
        else:
            plain = unicodedata.normalize("NFKC", character)
        self[character] = plain
        return plain


_PLAIN = _Plain()


def mask(text: str) -> str:
    """The text with marks for personal data; existing marks are kept."""
    for _ in range(MOST_ROUNDS):
        masked = _json(text) if _is_json(text) else _text(text)
        if masked == text:
            break
        text = masked
    return text


def _is_json(text: str) -> bool:
    """Whether a text is a JSON object or array."""
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _json(text: str) -> str:
    """A JSON text with its strings masked, and keys and numbers unchanged."""
    return _LITERAL.sub(lambda literal: literal[0] if literal[1] else _masked_literal(literal[0]), text)


def _masked_literal(literal: str) -> str:
    value: str = json.loads(literal, strict=False)
    masked = _text(value)
    return literal if masked == value else json.dumps(masked, ensure_ascii=literal.isascii())


def _text(text: str) -> str:
    """A round over a text that is not JSON."""
    plain, ends = _as_meant(text)
    spans = list[tuple[int, int, str]]()
    for rule in (emails, ibans, letter_ids, births, numbers, names):
        spans_of_rule = rule(plain)
        spans += spans_of_rule
        plain = _blanked(plain, spans_of_rule)
    return _replaced(text, sorted(spans), ends) if spans else text


def _as_meant(text: str) -> tuple[str, list[int] | None]:
    """A text in plain characters, and where the text of each of the original's characters ends; None if unchanged."""
    if text.isascii():
        return text.replace("\t", " "), None
    pieces = [_PLAIN[character] for character in text]
    plain = "".join(pieces)
    same = len(plain) == len(text) and all(map(len, pieces))
    return plain, None if same else list(accumulate(map(len, pieces)))


def _places(ends: list[int] | None, start: int, end: int) -> tuple[int, int]:
    """The original's span for a span of the plain text."""
    return (start, end) if ends is None else (bisect_right(ends, start), bisect_right(ends, end - 1) + 1)


def _blanked(text: str, spans: list[tuple[int, int, str]]) -> str:
    """The text with these spans, which are in order, blanked out."""
    pieces, position = list[str](), 0
    for start, end, _ in spans:
        pieces += [text[position:start], "\0" * (end - start)]
        position = end
    return "".join([*pieces, text[position:]])


def _replaced(text: str, spans: list[tuple[int, int, str]], ends: list[int] | None) -> str:
    pieces, position = list[str](), 0
    for start, end, kind in spans:
        first, last = _places(ends, start, end)
        pieces += [text[position:first], f"<{kind}>"]
        position = last
    return "".join([*pieces, text[position:]])
