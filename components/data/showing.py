"""Shows people the interpretation of a source before anything is written."""

import json
import random
from collections.abc import Iterator
from typing import Any

from components.data.init import Reading
from components.data.rows import answer_column, rows_of
from components.data.texts import visible
from components.data.understanding import ROLES, Understood
from components.params.answers import FIELD

EXAMPLES = 10
_WIDTH = 70
_MOST_LABELS = 8
_MOST_NOTED = 20
_KINDS = {"label": "one label, as plain text", "text": "a free text", "list": "a list", "object": "an object"}


def lines(reading: Reading) -> Iterator[str]:
    """Lines about input, answer, ids, groups, dates, what is left out and why, ten examples, and guesses."""
    return map(visible, _lines(reading))


def _lines(reading: Reading) -> Iterator[str]:
    source, meaning = reading.source, reading.meaning
    parts = ", ".join(f"{len(table.rows):,} {part}" for part, table in source.parts.items())
    sizes = parts if len(source.parts) > 1 else f"{parts.rpartition(' ')[0]} of them"
    yield f"{reading.path.name}: {source.kind}, {sizes}"
    for note in source.notes[:_MOST_NOTED]:
        yield f"  {note}"
    yield ""
    for name, column in meaning.inputs.items():
        yield f"  input      {name}{_from(name, column)}"
    yield f"  answer     {_KINDS[meaning.kind]}"
    for field, (column, schema) in meaning.output.items():
        label = "" if meaning.kind != "object" else f"{field}{'' if meaning.expanded else _from(field, column)}: "
        yield f"               {label}{_values(schema)}{_from(FIELD, column) if meaning.kind != 'object' else ''}"
    yield from _others(meaning)
    for column, why in meaning.left_out.items():
        yield f"  left out   {column}: {why}"
    if source.system:
        yield f"  prompt     the system prompt of the source becomes the first version: {_short(source.system)}"
    if meaning.repeated:
        yield f"  repeated   {meaning.repeated:,} rows repeat the input of another: the data stage sets them aside"
    for guess in meaning.guesses:
        yield f"  guessed    {guess}"
    yield ""
    yield from _examples(reading)
    yield ""
    yield f"To change what a column means: --role COLUMN=ROLE, with {', '.join(ROLES[:-1])} or {ROLES[-1]}."


def _others(meaning: Understood) -> Iterator[str]:
    roles = (
        ("id", meaning.id, ""),
        ("group", meaning.group, ": its rows stay in one split"),
        ("date", meaning.date, ""),
    )
    for role, column, what in roles:
        if column is not None:
            yield f"  {role:<10} {column}{what}"
    for column in meaning.slices:
        yield f"  slice      {column}: results are reported by it"


def _examples(reading: Reading) -> Iterator[str]:
    """Rows from throughout the source, as they will be written."""
    meaning = reading.meaning
    rows = [row for part in rows_of(reading.source, meaning).values() for row in part]
    shown = sorted(random.Random(0).sample(range(len(rows)), min(EXAMPLES, len(rows))))
    yield "Examples:"
    for row in (rows[index] for index in shown):
        inputs = " | ".join(_short(str(row[name])) for name in meaning.inputs if row[name] is not None)
        answer: Any = {
            field: row[column] for field in meaning.output if (column := answer_column(field, meaning)) in row
        }
        answer = answer.get(FIELD) if meaning.kind != "object" else answer
        yield f"  {inputs}"
        yield f"    -> {_short(answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False), 110)}"


def _values(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        labels = [str(label) for label in schema["enum"] if label is not None]
        more = ", …" if len(labels) > _MOST_LABELS else ""
        empty = ", or nothing" if None in schema["enum"] else ""
        return f"one of {len(labels)} ({', '.join(labels[:_MOST_LABELS])}{more}){empty}"
    kinds = schema.get("type", "any value")
    named = " or ".join(
        "nothing" if kind == "null" else kind for kind in (kinds if isinstance(kinds, list) else [kinds])
    )
    if schema.get("items"):
        return f"{named} of {_values(schema['items'])}"
    if schema.get("properties"):
        return f"{named} with {', '.join(list(schema['properties'])[:_MOST_LABELS])}"
    return f"{named} like {schema['pattern']}" if "pattern" in schema else named


def _from(name: str, column: str) -> str:
    return "" if name == column else f" (the column `{column}`)"


def _short(text: str, width: int = _WIDTH) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= width else plain[: width - 1] + "…"
