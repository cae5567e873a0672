"""What a rung changed, field by field: where each of two answers agrees with the reference. Pure."""

import json
from dataclasses import dataclass
from typing import Any

from components.report.evidence import Change

MOST_EXAMPLES = 5
MOST_CHARACTERS = 1_500  # of a message or an answer


@dataclass(frozen=True)
class FieldLine:
    """A field of an example: the reference, the parent's and the child's value, and whether each agrees."""

    field: str
    reference: str
    parent: str
    child: str
    parent_right: bool
    child_right: bool


@dataclass(frozen=True)
class Comparison:
    """An example's two answers side by side; `lines` are the fields with errors, `agreed` counts the others.

    `parent_text` and `child_text` hold answers that are not objects; if the reference is not an object, there are no
    lines, only both texts.
    """

    example_id: str
    message: str
    reference: str
    lines: tuple[FieldLine, ...]
    agreed: int
    parent_text: str
    child_text: str


def compare(change: Change) -> Comparison:
    """Compare an example's answers field by field."""
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
    """A text cut to at most MOST_CHARACTERS, with an ellipsis."""
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
    """Equal in value and type: True equals 1 in Python, but not in JSON."""
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
