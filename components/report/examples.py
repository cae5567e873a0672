"""What a rung changed, field by field: where each of two answers is right. Pure.

Decides what the scores of two answers say of their fields. Scorers alone know which answers are right: a field may be
right and written otherwise than in the reference.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from components.records import Score
from components.report.evidence import Change

MOST_EXAMPLES = 5
MOST_CHARACTERS = 1_500  # of a message or an answer


@dataclass(frozen=True)
class FieldLine:
    """A field of an example: the reference, the parent's and the child's value, and whether each is right.

    None: it differs from the reference, and the answer errs in another field.
    """

    field: str
    reference: str
    parent: str
    child: str
    parent_right: bool | None
    child_right: bool | None


@dataclass(frozen=True)
class Comparison:
    """An example's two answers side by side; `lines` are fields that are not right in both, `agreed` counts the others.

    `parent_text` and `child_text` hold answers that are not objects. Where fields tell nothing there are no lines, only
    both texts: the reference is no object, no field has an error, or an agent was tried.
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
    lines = () if reference is None or change.tried else _lines(change, reference, parent or {}, child or {})
    wrong = tuple(line for line in lines if not (line.parent_right and line.child_right))
    return Comparison(
        example_id=change.example_id,
        message=shorten(change.message),
        reference=shorten(change.reference),
        lines=wrong,
        agreed=len(lines) - len(wrong) if wrong else 0,
        parent_text=shorten(change.parent_answer) if not wrong or parent is None else "",
        child_text=shorten(change.answer) if not wrong or child is None else "",
    )


def shorten(text: str) -> str:
    """A text cut to at most MOST_CHARACTERS, with an ellipsis."""
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS].rstrip() + " …"


def _lines(
    change: Change, reference: dict[str, Any], parent: dict[str, Any], child: dict[str, Any]
) -> tuple[FieldLine, ...]:
    names = list(dict.fromkeys([*reference, *parent, *child]))
    parent_right = _right(change.parent_score, names, reference, parent)
    child_right = _right(change.score, names, reference, child)
    return tuple(
        FieldLine(
            field=name,
            reference=_written(reference, name),
            parent=_written(parent, name),
            child=_written(child, name),
            parent_right=parent_right[name],
            child_right=child_right[name],
        )
        for name in names
    )


def _right(
    score: Score, names: Sequence[str], reference: dict[str, Any], answer: dict[str, Any]
) -> dict[str, bool | None]:
    """Whether each field is right: all of an answer that passed, else what the score's parts say.

    Where these find no error, fields are right that equal the reference's. Where they do, it is unknown of fields
    without a part that do not.
    """
    if score.passed:
        return dict.fromkeys(names, True)
    same: dict[str, bool | None] = {name: _same(reference, answer, name) for name in names}
    told = {name: score.parts[name] >= 1 for name in names if name in score.parts}
    if all(told.values()):
        return same
    return {name: same[name] or None for name in names} | told


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
