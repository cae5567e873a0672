"""Texts as prompts and messages show them: one clean-up for what is trained on and for what is served."""

import unicodedata
from collections.abc import Sequence
from typing import Any

from components.records import to_json


def clean(text: str) -> str:
    r"""Text that every later reader can hold: NFC, `\n` as line end, no half surrogate pairs, no white space around."""
    return unicodedata.normalize("NFC", "\n".join(text.strip().encode("utf-8", "replace").decode("utf-8").splitlines()))


def shown(cell: Any) -> str:
    """A cell of a table, or a value of a JSON object: text as it is, nothing for null, everything else as JSON."""
    if cell is None:
        return ""
    return clean(cell if isinstance(cell, str) else to_json(cell))


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names for a sentence, the first of many."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")
