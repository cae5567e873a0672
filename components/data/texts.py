"""Cleans texts for prompts and messages, in the same way for training and serving."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from components.records import encodable, to_json

# Controls but tabs and line ends, whatever turns the text after it around, signs unseen, halves of characters.
_STEERS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]")


def clean(text: str) -> str:
    r"""Text in a form that everything else can handle: NFC, `\n` as line end, no lone surrogates, stripped."""
    return unicodedata.normalize("NFC", "\n".join(encodable(text.strip()).splitlines()))


def shown(cell: Any) -> str:
    """A table's cell or a JSON value as text: strings unchanged, "" for null, everything else as JSON."""
    if cell is None:
        return ""
    return clean(cell if isinstance(cell, str) else to_json(cell))


def visible(text: str, indent: str = "    ") -> str:
    """Somebody's text as a terminal may show it: what would steer the terminal is �, further lines are indented."""
    return _STEERS.sub("�", f"\n{indent}".join(text.splitlines()))


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names as a list in a sentence; of many, the first and their number."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")
