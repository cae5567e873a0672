"""Conversations with tools as the watch compares them: one row each, with columns in the groups turns and tools.

`turns.` describes the conversation (how many, how long, how it ended), `tools.` what was called: how often, whether it
failed and in which words, which schema it has, which arguments it was given, and what came back, by its shape and by
the values of its fields. A changed tool shows in its schema, its results and its failures before answers are wrong.
"""

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from components.data.joining import Joined, is_failure
from components.errors import DataError
from components.params import WatchParams
from components.records import ToolCall, Trajectory, encodable
from components.scorers.matching import is_number
from monitoring.columns import Groups, Table, number, settled
from monitoring.watch import Sides, Watched, judged, unjudged

MOST_VALUES = 20  # different values of a result's field, beyond which it is text and not a label
MOST_NEW = 5  # labels that the reference never had and that keep their name
NEW = "another"
MOST_COLUMNS = 300  # the most common ones: objects may be keyed by numbers, and results come from callers
MOST_FIELDS, MOST_SHAPE = 60, 2000  # fields of one object, and characters of its shape
MOST_ERROR = 60  # characters of a failure's words
_WORD = re.compile(r"\S+")
Row = dict[str, Any]


def watch_tries(sides: Sides[Joined], params: WatchParams, page: Path) -> Watched:
    """Compare conversations with the usual ones, if there are enough to be judged; then writes Evidently's page.

    Raises:
        DataError: The reference is empty.
    """
    look = unjudged(sides, params).model_copy(update={"of": "conversations"})
    if not look.judged:
        return look
    return judged(look, compare_tries(sides.reference, sides.window.observations), params, page)


def compare_tries(reference: Sequence[Joined], current: Sequence[Joined]) -> Table:
    """Both sides as a table.

    Raises:
        DataError: A side is empty.
    """
    if not reference or not current:
        raise DataError(f"expected conversations on both sides, found {len(reference)} before and {len(current)} now")
    sides = [[_row(joined.trajectory) for joined in side] for side in (reference, current)]
    known = Counter(name for rows in sides for row in rows for name in row)
    names = [name for name, _ in known.most_common(MOST_COLUMNS)]
    first, second = (pd.DataFrame({name: [row.get(name) for row in rows] for name in names}) for rows in sides)
    for name in names:
        _typed(first, second, name)
    return settled(first, second, (Groups.of(reference), Groups.of(current)))


def in_slices(trajectory: Trajectory, slices: Collection[str]) -> bool:
    """Whether a conversation is in one of the slices, which a look names as `column=label`."""
    row = _row(trajectory)
    return any(str(row.get(name)) == label for name, _, label in (text.rpartition("=") for text in slices))


def _typed(first: pd.DataFrame, second: pd.DataFrame, name: str) -> None:
    """Give a column its type: numbers, or labels, of which the most common new ones keep their names.

    A column that has both numbers and other values is compared as labels. One with too many different values, or
    hardly any that recur, says nothing and is dropped.
    """
    values = [value for side in (first, second) for value in side[name] if value is not None]
    if all(map(is_number, values)):
        for side in (first, second):
            side[name] = side[name].astype(float)  # None becomes NaN
        return
    known = Counter(map(str, filter(_there, first[name])))
    if len(known) > MOST_VALUES or len(known) > max(1, sum(known.values()) / 2):
        for side in (first, second):
            side.drop(columns=name, inplace=True)
        return
    new = Counter(str(value) for value in second[name] if _there(value) and str(value) not in known)
    shown = {*known, *(label for label, _ in new.most_common(MOST_NEW))}
    for side in (first, second):
        labels = [None if not _there(value) else str(value) if str(value) in shown else NEW for value in side[name]]
        side[name] = pd.Series(labels, dtype=object, index=side.index)


def _there(value: Any) -> bool:
    return value is not None


def _row(trajectory: Trajectory) -> Row:
    """A conversation's value in each column; texts from JSON may have half a character, which no file takes."""
    calls = trajectory.calls
    row: Row = {
        "turns.count": float(trajectory.turns),
        "turns.tokens": float(trajectory.usage.output_tokens),
        "turns.stop": trajectory.stop_reason,
        "tools.calls": float(trajectory.tool_calls),
        "tools.errors": trajectory.tool_errors / trajectory.tool_calls if trajectory.tool_calls else None,
        "tools.first": calls[0].name if calls else "none",
        "quality.score": trajectory.reward,
    }
    results = {message.tool_call_id: message.content for message in trajectory.messages if message.role == "tool"}
    for tool in trajectory.tools:
        schema = json.dumps(tool.parameters, sort_keys=True).encode()
        row[f"tools.{tool.name}.schema"] = hashlib.sha256(schema).hexdigest()[:8]
        row |= _of_tool(tool.name, [call for call in calls if call.name == tool.name], results)
    return {encodable(name): encodable(value) if isinstance(value, str) else value for name, value in row.items()}


def _of_tool(name: str, calls: Sequence[ToolCall], results: Mapping[str | None, str]) -> Row:
    """How often a tool was called, whether it failed, and the last arguments and result."""
    row: Row = {f"tools.{name}.calls": float(len(calls))}
    answered = [(call, results[call.id]) for call in calls if call.id in results]
    if not answered:
        return row
    right = [(call, result) for call, result in answered if not is_failure(result)]
    row[f"tools.{name}.failed"] = "never" if len(right) == len(answered) else "at least once"
    row[f"tools.{name}.error"] = next((_error(result) for _, result in answered if is_failure(result)), "none")
    row |= _described(f"tools.{name}.given", _parsed(answered[-1][0].arguments))
    if right:
        row |= _described(f"tools.{name}.gave", _parsed(right[-1][1]))
    return row


def _error(result: str) -> str:
    """The kind of failure that a result describes: its words, with # in place of those that contain digits."""
    value = _parsed(result)
    text = str(value["error"]) if isinstance(value, dict) else result
    return _WORD.sub(lambda word: "#" if any(map(str.isdecimal, word[0])) else word[0], text)[:MOST_ERROR]


def _described(name: str, value: Any) -> Row:
    """A value's shape and, for an object, the values of its plain fields."""
    row: Row = {name: _shape(value)[:MOST_SHAPE]}
    if isinstance(value, dict):
        fields = islice(value.items(), MOST_FIELDS)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        row |= {f"{name}.{key}"[:200]: held for key, field in fields if _there(held := _held(field))}
    return row


def _held(value: Any) -> str | float | None:
    """A plain value as it stands in a column; None for anything else."""
    if isinstance(value, bool | str):
        return str(value)[:60]
    return None if math.isnan(held := number(value)) else held


def _shape(value: Any) -> str:
    """The shape of a value: an object's fields with their kinds, or the shape of a list's first entry."""
    if isinstance(value, dict):
        return "{" + ", ".join(sorted(f"{key}: {_kind(entry)}" for key, entry in value.items())) + "}"  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list):
        return f"[{_shape(value[0])}]" if value else "[]"  # pyright: ignore[reportUnknownArgumentType]
    return _kind(value)


def _kind(value: Any) -> str:
    kinds: Iterable[tuple[type, str]] = ((bool, "boolean"), (str, "text"), (dict, "object"), (list, "list"))
    other = "nothing" if math.isnan(number(value)) else "number"
    return next((name for kind, name in kinds if isinstance(value, kind)), other)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
