"""What validation looks at: one table row for each row of the source, with what no column of its own can tell.

Decides how repeated inputs, leaks between splits, broken answers and rare labels become columns; whether they are
failures or warnings is the contract's business.
"""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from components.data.answers import AnswerSchema
from components.data.similarity import Link, near_duplicates
from components.data.sources import Row
from components.data.split import EVALUATION, straddling
from components.data.tokens import TokenLimit
from components.params import Workload

ENUM_KEYWORDS = {"enum", "type", "title", "description", "default", "examples"}
SIDES = ("demonstration", "reference")


def label_sets(workload: Workload) -> dict[str, list[str]]:
    """Fields that are a choice among labels, and nothing more: field → labels, null left out."""
    found: dict[str, list[str]] = {}
    for field, schema in workload.output["properties"].items():
        if isinstance(schema, dict) and "enum" in schema and schema.keys() <= ENUM_KEYWORDS:
            labels: list[Any] = [label for label in schema["enum"] if label is not None]
            if labels and all(isinstance(label, str) for label in labels):
                found[str(field)] = labels
    return found


def nullable(workload: Workload, field: str) -> bool:
    """Whether a field that is a choice among labels may be null."""
    return None in workload.output["properties"][field]["enum"]


def similar_rows(rows: Sequence[Row], repeats: dict[int, str], threshold: float) -> list[Link]:
    """Near-duplicates among the rows that repeat no other exactly."""
    places = [place for place in range(len(rows)) if place not in repeats]
    texts = ["\n".join(rows[place].example.input.values()) for place in places]
    return [Link(places[a], places[b], similarity) for a, b, similarity in near_duplicates(texts, threshold)]


def repeated_inputs(rows: Sequence[Row]) -> dict[int, str]:
    """Rows whose input another row has exactly: position → reason.

    Of rows with one input, the one in the strictest split stays, and the first of those.
    """

    def strictness(place: int) -> tuple[int, int]:
        part = rows[place].part
        return (EVALUATION.index(part) if part in EVALUATION else len(EVALUATION), place)

    kept: dict[tuple[str, ...], int] = {}
    found: dict[int, str] = {}
    for place in sorted(range(len(rows)), key=strictness):
        example = rows[place].example
        values = tuple(example.input.values())
        if not any(values):
            continue  # a missing input is reported as such
        first = rows[kept.setdefault(values, place)].example
        if first is not example:
            other = "" if first.demonstration == example.demonstration else ", with another answer"
            found[place] = f"repeats {first.id}{other}"
    return found


def tabulate(
    rows: Sequence[Row],
    repeats: dict[int, str],
    links: Sequence[Link],
    workload: Workload,
    limits: Sequence[TokenLimit] = (),
) -> pd.DataFrame:
    """The table that the contract checks, one row for each row, `row` being its position.

    Columns: row, id, where; `input` (all inputs) and `input.<column>`; `tokens.<limit>`, as the limit counts them;
    `repeats` and `straddles` (reason or null); for each side of the answer `<side>.<field>` where the field is a
    choice among labels, with the label's share of the rows as `<side>.<field>.share` for demonstrations,
    `problem.<side>.<field>` (reason or null) for the other fields and `problem.<side>` for the object as a whole.
    Empty texts are null. The side `reference` is there where a reference differs from its demonstration.
    """
    straddles = straddling(rows, links) if workload.validation.leakage == "remove" else {}
    columns: dict[str, list[Any]] = {
        "row": list(range(len(rows))),
        "id": [row.example.id or None for row in rows],
        "where": [row.where for row in rows],
    }
    columns["input"] = ["\n".join(row.example.input.values()).strip() or None for row in rows]
    for name in rows[0].example.input:
        columns[f"input.{name}"] = [row.example.input.get(name) or None for row in rows]
    for limit in limits:
        columns[f"tokens.{limit.name}"] = limit.count([row.example for row in rows])
    columns["repeats"] = [repeats.get(place) for place in range(len(rows))]
    columns["straddles"] = [None if place in repeats else straddles.get(place) for place in range(len(rows))]
    for side in SIDES:
        answers = [str(getattr(row.example, side)) for row in rows]
        if side == "demonstration" or any(row.example.reference != row.example.demonstration for row in rows):
            columns |= _answer_columns(side, answers, workload)
    return pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})


def _answer_columns(side: str, answers: Sequence[str], workload: Workload) -> dict[str, list[Any]]:
    schema = AnswerSchema(workload.output)
    labels = label_sets(workload)
    parsed = {answer: json.loads(answer) for answer in set(answers)}
    problems = {answer: schema.problems(value) for answer, value in parsed.items()}
    columns: dict[str, list[Any]] = {}
    for field in workload.fields:
        if field not in labels:
            columns[f"problem.{side}.{field}"] = [problems[answer].get(field) for answer in answers]
            continue
        values = [_label(parsed[answer].get(field)) for answer in answers]
        columns[f"{side}.{field}"] = values
        if side == "demonstration":
            counts = Counter(values)
            columns[f"{side}.{field}.share"] = [counts[value] / len(values) for value in values]
    columns[f"problem.{side}"] = [problems[answer].get("") for answer in answers]
    return columns


def _label(value: Any) -> str | None:
    """A label as the table shows it; what is no text is written as JSON, and is no label."""
    return value if value is None or isinstance(value, str) else json.dumps(value)
