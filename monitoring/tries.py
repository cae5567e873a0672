"""What the watch compares of conversations with tools: a row a conversation, its columns in the groups turns and tools.

`turns.` describes the conversation (how many, how long, how it ended), `tools.` what was called: how often, whether it
failed and in which words, which schema it has, which arguments it was given, and what came back, by its shape and by
the values of its fields. A tool that changed is told by its schema, its results and its failures before answers are
wrong.
"""

import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from components.data.joining import Joined, is_failure
from components.errors import DataError
from components.params import WatchParams
from components.records import ToolCall, Trajectory
from components.scorers.matching import is_number
from monitoring.columns import Groups, Table, settled
from monitoring.watch import Sides, Watched, judged, unjudged

MOST_VALUES = 20  # of a field of results, beyond which it is a text and not a label
MOST_NEW = 5  # labels that the reference never had, each by its name
NEW = "another"
MOST_COLUMNS = 300  # of those the most common: objects may be keyed by numbers, and results come from callers
MOST_FIELDS, MOST_SHAPE = 60, 2000  # of one object, and characters of its form
MOST_ERROR = 60  # characters of a failure's words
_WORD = re.compile(r"\S+")
Row = dict[str, Any]


def watch_tries(sides: Sides[Joined], params: WatchParams, page: Path) -> Watched:
    """Compare conversations with those that are usual; writes the page where there are enough to be judged.

    Raises:
        DataError: There are none that are usual, though there need not be as many as in a window.
    """
    found = unjudged(sides, params).model_copy(update={"of": "conversations"})
    if not found.judged:
        return found
    return judged(found, compare_tries(sides.reference, sides.window.observations), params, page)


def compare_tries(reference: Sequence[Joined], current: Sequence[Joined]) -> Table:
    """Both sides as a table.

    Raises:
        DataError: A side is empty.
    """
    if not reference or not current:
        raise DataError(f"expected conversations on both sides, found {len(reference)} before and {len(current)} now")
    sides = [[_row(one.trajectory) for one in side] for side in (reference, current)]
    known = Counter(name for rows in sides for row in rows for name in row)
    names = [name for name, _ in known.most_common(MOST_COLUMNS)]
    first, second = (pd.DataFrame({name: [row.get(name) for row in rows] for name in names}) for rows in sides)
    for name in names:
        _typed(first, second, name)
    return settled(first, second, (Groups.of(reference), Groups.of(current)))


def in_slices(one: Trajectory, slices: Collection[str]) -> bool:
    """Whether a conversation is of a slice that moved, as a look names it: `column=label`."""
    row = _row(one)
    return any(str(row.get(name)) == label for name, _, label in (text.rpartition("=") for text in slices))


def _typed(first: pd.DataFrame, second: pd.DataFrame, name: str) -> None:
    """A column of numbers as such; one of labels with few of them, of which those that are new are told by name.

    A field of results that is now a number and now something else is compared as labels; one with too many values of
    which none is usual says nothing, and goes.
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


def _row(one: Trajectory) -> Row:
    """A conversation as the columns have it."""
    calls = one.calls
    row: Row = {
        "turns.count": float(one.turns),
        "turns.tokens": float(one.usage.output_tokens),
        "turns.stop": one.stop_reason,
        "tools.calls": float(one.tool_calls),
        "tools.errors": one.tool_errors / one.tool_calls if one.tool_calls else None,
        "tools.first": calls[0].name if calls else "none",
        "quality.score": one.reward,
    }
    results = {message.tool_call_id: message.content for message in one.messages if message.role == "tool"}
    for tool in one.tools:
        schema = json.dumps(tool.parameters, sort_keys=True).encode()
        row[f"tools.{tool.name}.schema"] = hashlib.sha256(schema).hexdigest()[:8]
        row |= _of_tool(tool.name, [call for call in calls if call.name == tool.name], results)
    return row


def _of_tool(name: str, calls: Sequence[ToolCall], results: Mapping[str | None, str]) -> Row:
    """How often a tool was called, whether it failed, and the last that it was given and gave."""
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
    """What kind of failure a result tells of: its words, whatever numbers and names with digits stand among them."""
    value = _parsed(result)
    text = str(value["error"]) if isinstance(value, dict) else result
    return _WORD.sub(lambda word: "#" if any(map(str.isdecimal, word[0])) else word[0], text)[:MOST_ERROR]


def _described(name: str, value: Any) -> Row:
    """A value by its shape, and the plain fields of an object by what they hold."""
    row: Row = {name: _shape(value)[:MOST_SHAPE]}
    if isinstance(value, dict):
        fields = islice(value.items(), MOST_FIELDS)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        row |= {f"{name}.{key}"[:200]: held for key, field in fields if _there(held := _held(field))}
    return row


def _held(value: Any) -> str | float | None:
    """A plain value as a column has it; None of what has parts."""
    if isinstance(value, bool | str):
        return str(value)[:60]
    return float(value) if _is_finite(value) else None


def _shape(value: Any) -> str:
    """The form of a value: the fields of an object with their kinds, those of a list by its first entry."""
    if isinstance(value, dict):
        return "{" + ", ".join(sorted(f"{key}: {_kind(one)}" for key, one in value.items())) + "}"  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list):
        return f"[{_shape(value[0])}]" if value else "[]"  # pyright: ignore[reportUnknownArgumentType]
    return _kind(value)


def _kind(value: Any) -> str:
    kinds: Iterable[tuple[type, str]] = ((bool, "boolean"), (str, "text"), (dict, "object"), (list, "list"))
    other = "number" if _is_finite(value) else "nothing"
    return next((name for kind, name in kinds if isinstance(value, kind)), other)


def _is_finite(value: Any) -> bool:
    """Whether a value is a number that a column can hold."""
    return is_number(value) and abs(value) <= sys.float_info.max


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
