"""Personal data out of texts before anything is stored: each kind becomes a mark such as <email>.

Decides what is put where: texts are read as people mean them (wide and Arabic digits, odd blanks and dashes as the
usual ones) and marks replace what stands in the original. In a JSON text only strings change, each by itself, so that
it stays one. What counts as personal, `personal` decides for numbers and addresses and `names` for names.
"""

import json
import re
import unicodedata
from bisect import bisect_right
from itertools import accumulate

from components.data.names import names
from components.data.personal import births, emails, ibans, letter_ids, numbers

MOST_ROUNDS = 4  # a mark may give a neighbour another context
# A literal and, where it is a key, the colon that says so: a JSON text's other quotes are escaped.
_LITERAL = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)(\s*+:)?', re.DOTALL)
_INVISIBLE = {0xAD, *range(0x200B, 0x2010), *range(0x202A, 0x202F), 0x2060, *range(0x2066, 0x206A), 0xFEFF}
_LONG_VOWEL = "\u30fc"  # written like a dash, and for one


class _Plain(dict[str, str]):
    """Each character as people mean it; worked out once."""

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
    """The text with marks for personal data; what is masked already stays as it is."""
    for _ in range(MOST_ROUNDS):
        masked = _json(text) if _is_json(text) else _text(text)
        if masked == text:
            break
        text = masked
    return text


def _is_json(text: str) -> bool:
    """Whether a text is an object or an array of JSON."""
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _json(text: str) -> str:
    """A JSON text with its strings masked, keys and numbers as they were."""
    return _LITERAL.sub(lambda literal: literal[0] if literal[1] else _masked_literal(literal[0]), text)


def _masked_literal(literal: str) -> str:
    value: str = json.loads(literal, strict=False)
    masked = _text(value)
    return literal if masked == value else json.dumps(masked, ensure_ascii=literal.isascii())


def _text(text: str) -> str:
    """One round over a text that is no JSON."""
    plain, ends = _as_meant(text)
    spans = list[tuple[int, int, str]]()
    for rule in (emails, ibans, letter_ids, births, numbers, names):
        found = rule(plain)
        spans += found
        plain = _blanked(plain, found)
    return _replaced(text, sorted(spans), ends) if spans else text


def _as_meant(text: str) -> tuple[str, list[int] | None]:
    """A text as people mean it, and where each of its characters ends there; None where places are the same."""
    if text.isascii():
        return text.replace("\t", " "), None
    pieces = [_PLAIN[character] for character in text]
    plain = "".join(pieces)
    same = len(plain) == len(text) and all(map(len, pieces))
    return plain, None if same else list(accumulate(map(len, pieces)))


def _places(ends: list[int] | None, start: int, end: int) -> tuple[int, int]:
    """A span of the plain text in the original."""
    return (start, end) if ends is None else (bisect_right(ends, start), bisect_right(ends, end - 1) + 1)


def _blanked(text: str, spans: list[tuple[int, int, str]]) -> str:
    """A text of the same length with nothing to find in these spans, which are in order."""
    pieces, at = list[str](), 0
    for start, end, _ in spans:
        pieces += [text[at:start], "\0" * (end - start)]
        at = end
    return "".join([*pieces, text[at:]])


def _replaced(text: str, spans: list[tuple[int, int, str]], ends: list[int] | None) -> str:
    pieces, at = list[str](), 0
    for start, end, kind in spans:
        first, last = _places(ends, start, end)
        pieces += [text[at:first], f"<{kind}>"]
        at = last
    return "".join([*pieces, text[at:]])
