"""What was understood of a source, in lines for people, before anything is written."""

import json
import random
from collections.abc import Iterator
from typing import Any

from components.data.init import Reading
from components.data.rows import answer_column, rows_of
from components.data.understanding import ROLES, Understood
from components.params.answers import FIELD

EXAMPLES = 10
_WIDTH = 70
_MOST_LABELS = 8
_MOST_NOTED = 20
_KINDS = {"label": "one label, as plain text", "text": "a free text", "list": "a list", "object": "an object"}


def lines(reading: Reading) -> Iterator[str]:
    """Input, answer, ids, groups, dates, what is left out and why, ten examples, and what was guessed."""
    source, made = reading.source, reading.made
    parts = ", ".join(f"{len(table.rows):,} {part}" for part, table in source.parts.items())
    sizes = parts if len(source.parts) > 1 else f"{parts.rpartition(' ')[0]} of them"
    yield f"{reading.path.name}: {source.kind}, {sizes}"
    for note in source.notes[:_MOST_NOTED]:
        yield f"  {note}"
    yield ""
    for name, column in made.inputs.items():
        yield f"  input      {name}{_from(name, column)}"
    yield f"  answer     {_KINDS[made.kind]}"
    for field, (column, schema) in made.output.items():
        label = "" if made.kind != "object" else f"{field}{'' if made.expanded else _from(field, column)}: "
        yield f"               {label}{_said(schema)}{_from(FIELD, column) if made.kind != 'object' else ''}"
    yield from _others(made)
    for column, why in made.left_out.items():
        yield f"  left out   {column}: {why}"
    if source.system:
        yield f"  prompt     the system prompt of the source becomes the first version: {_short(source.system)}"
    if made.repeated:
        yield f"  repeated   {made.repeated:,} rows have the input of another: the data stage puts them aside"
    for guess in made.guesses:
        yield f"  guessed    {guess}"
    yield ""
    yield from _examples(reading)
    yield ""
    yield f"To change what a column means: --role COLUMN=ROLE, with {', '.join(ROLES[:-1])} or {ROLES[-1]}."


def _others(made: Understood) -> Iterator[str]:
    told = (("id", made.id, ""), ("group", made.group, ": its rows stay in one split"), ("date", made.date, ""))
    for role, column, what in told:
        if column is not None:
            yield f"  {role:<10} {column}{what}"
    for column in made.slices:
        yield f"  slice      {column}: results are told by it"


def _examples(reading: Reading) -> Iterator[str]:
    """Rows from all over the source, as they will be written."""
    made = reading.made
    rows = [row for part in rows_of(reading.source, made).values() for row in part]
    shown = sorted(random.Random(0).sample(range(len(rows)), min(EXAMPLES, len(rows))))
    yield "Examples:"
    for row in (rows[at] for at in shown):
        asked = " | ".join(_short(str(row[name])) for name in made.inputs if row[name] is not None)
        answer: Any = {field: row[column] for field in made.output if (column := answer_column(field, made)) in row}
        answer = answer.get(FIELD) if made.kind != "object" else answer
        yield f"  {asked}"
        yield f"    -> {_short(answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False), 110)}"


def _said(schema: dict[str, Any]) -> str:
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
        return f"{named} of {_said(schema['items'])}"
    if schema.get("properties"):
        return f"{named} with {', '.join(list(schema['properties'])[:_MOST_LABELS])}"
    return f"{named} like {schema['pattern']}" if "pattern" in schema else named


def _from(name: str, column: str) -> str:
    return "" if name == column else f" (the column `{column}`)"


def _short(text: str, width: int = _WIDTH) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= width else plain[: width - 1] + "…"
