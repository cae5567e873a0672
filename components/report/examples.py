"""What a rung changed, field by field: which parts of two answers agree with the reference. Pure."""

import json
from dataclasses import dataclass
from typing import Any

from components.report.evidence import Change

MOST_EXAMPLES = 5
MOST_CHARACTERS = 1_500  # of a message or an answer


@dataclass(frozen=True)
class FieldLine:
    """One field of an example: the reference, what parent and child wrote, and whether that agrees."""

    field: str
    reference: str
    parent: str
    child: str
    parent_right: bool
    child_right: bool


@dataclass(frozen=True)
class Comparison:
    """An example side by side; `lines` are the fields in which an answer errs, `agreed` counts the others.

    Where an answer is no object, its text stands in `parent_text` or `child_text`; where the reference is none, there
    are no lines and both texts.
    """

    example_id: str
    message: str
    reference: str
    lines: tuple[FieldLine, ...]
    agreed: int
    parent_text: str
    child_text: str


def compare(change: Change) -> Comparison:
    """Take an example apart."""
    reference, parent, child = (_object(text) for text in (change.reference, change.parent_answer, change.answer))
    lines = () if reference is None else _lines(reference, parent or {}, child or {})
    wrong = tuple(line for line in lines if not (line.parent_right and line.child_right))
    return Comparison(
        example_id=change.example_id,
        message=shorten(change.message),
        reference=shorten(change.reference),
        lines=wrong,
        agreed=len(lines) - len(wrong),
        parent_text=shorten(change.parent_answer) if reference is None or parent is None else "",
        child_text=shorten(change.answer) if reference is None or child is None else "",
    )


def shorten(text: str) -> str:
    """A text of at most MOST_CHARACTERS, with a sign where it was cut."""
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS].rstrip() + " …"


def _lines(reference: dict[str, Any], parent: dict[str, Any], child: dict[str, Any]) -> tuple[FieldLine, ...]:
    names = list(dict.fromkeys([*reference, *parent, *child]))
    return tuple(
        FieldLine(
            field=name,
            reference=_written(reference, name),
            parent=_written(parent, name),
            child=_written(child, name),
            parent_right=_same(reference, parent, name),
            child_right=_same(reference, child, name),
        )
        for name in names
    )


def _same(reference: dict[str, Any], answer: dict[str, Any], name: str) -> bool:
    """Equal in value and kind: in Python True equals 1, in JSON it does not."""
    missing = object()
    expected, given = reference.get(name, missing), answer.get(name, missing)
    return isinstance(expected, bool) == isinstance(given, bool) and expected == given


def _written(answer: dict[str, Any], name: str) -> str:
    return shorten(json.dumps(answer[name], ensure_ascii=False)) if name in answer else "missing"


def _object(text: str) -> dict[str, Any] | None:
    try:
        parsed: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None  # pyright: ignore[reportUnknownVariableType]
