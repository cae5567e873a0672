"""The table that validation checks: a row for each row of the source, with derived columns.

Decides how repeated inputs, leaks between splits, invalid answers and rare labels become columns; the contract decides
whether they are failures or warnings.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from components.data.answers import AnswerSchema
from components.data.forms import visible
from components.data.similarity import near_duplicates
from components.data.sources import Row
from components.data.split import EVALUATION, straddling
from components.data.tokens import TokenLimit
from components.params import ConflictingInputs, Workload
from components.params.answers import FIELD, is_alone, is_text
from components.schema import fields_of
from components.tasks import problem_of

OTHER_ANSWER = ", with another answer"
SIDES = ("demonstration", "reference")


def label_sets(workload: Workload) -> dict[str, list[str]]:
    """Fields that are a choice among labels: field → labels, without null."""
    shapes = fields_of(workload.output).top
    listed = {field: [label for label in shape.labels if label is not None] for field, shape in shapes.items()}
    return {
        field: labels for field, labels in listed.items() if labels and all(isinstance(label, str) for label in labels)
    }


def nullable(workload: Workload, field: str) -> bool:
    """Whether a field that is a choice among labels may be null."""
    return fields_of(workload.output).top[field].nullable


def similar_rows(rows: Sequence[Row], repeats: Mapping[int, str], threshold: float) -> list[int]:
    """For each row, the first one that it resembles, directly or through others; repeated rows are left out."""
    distinct = [index for index in range(len(rows)) if index not in repeats]
    texts = ["\n".join(rows[index].asked) for index in distinct]
    alike = list(range(len(rows)))
    for index, first in zip(distinct, near_duplicates(texts, threshold), strict=True):
        alike[index] = distinct[first]
    return alike


def repeated_inputs(rows: Sequence[Row], conflicts: ConflictingInputs = "first") -> dict[int, str]:
    """Rows with the same input as another row, whatever the form of its characters: index → reason.

    Of rows with the same input, the first one in the strictest split is kept; if their answers differ and `conflicts`
    is "none", none is.
    """

    def strictness(index: int) -> tuple[int, int]:
        part = rows[index].part
        return (EVALUATION.index(part) if part in EVALUATION else len(EVALUATION), index)

    stays_by_input: dict[tuple[str, ...], int] = {}
    reasons: dict[int, str] = {}
    for place in sorted(range(len(rows)), key=strictness):
        example = rows[place].example
        values = tuple(visible(value) for value in rows[place].asked)
        if not any(values):
            continue  # a missing input is reported as such
        stays = stays_by_input.setdefault(values, place)
        if stays == place:
            continue
        first = rows[stays].example
        differs = visible(first.demonstration) != visible(example.demonstration)
        reasons[place] = f"repeats {first.id}{OTHER_ANSWER if differs else ''}"
        if differs and conflicts == "none":
            reasons.setdefault(stays, f"is repeated by {example.id}{OTHER_ANSWER}")
    return reasons


def tabulate(
    rows: Sequence[Row],
    repeats: Mapping[int, str],
    alike: Sequence[int],
    workload: Workload,
    limits: Sequence[TokenLimit] = (),
) -> pd.DataFrame:
    """The table for the contract, a row for each row; `row` is its index.

    Columns: row, id, where; `input` (all inputs) and `input.<column>`; `tokens.<limit>`, as counted by the limit;
    `repeats` and `straddles` (reason or null); for each side of the answer, `<side>.<field>` if the field is a choice
    among labels (for demonstrations with the label's share of the rows as `<side>.<field>.share`),
    `problem.<side>.<field>` (reason or null) for other fields and `problem.<side>` for the whole object. Empty texts
    are null. The side `reference` exists if any reference differs from its demonstration; for an agent's tasks there is
    only `problem.demonstration`.
    """
    straddles = straddling(rows, alike) if workload.validation.leakage == "remove" else {}
    columns: dict[str, list[Any]] = {
        "row": list(range(len(rows))),
        "id": [row.example.id or None for row in rows],
        "where": [row.where for row in rows],
    }
    columns["input"] = ["\n".join(row.example.input.values()).strip() or None for row in rows]
    for name in rows[0].example.input:
        columns[f"input.{name}"] = [row.example.input.get(name) or None for row in rows]
    examples = tuple(row.example for row in rows)
    for limit in limits:
        columns[f"tokens.{limit.name}"] = limit.count(examples)
    columns["repeats"] = [repeats.get(place) for place in range(len(rows))]
    columns["straddles"] = [None if place in repeats else straddles.get(place) for place in range(len(rows))]
    if workload.agent is not None:
        columns["problem.demonstration"] = [problem_of(row.example.demonstration) for row in rows]
    for side in SIDES if workload.agent is None else ():
        answers = [str(getattr(row.example, side)) for row in rows]
        if side == "demonstration" or any(row.example.reference != row.example.demonstration for row in rows):
            columns |= _answer_columns(side, answers, workload)
    return pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})


def _answer_columns(side: str, answers: Sequence[str], workload: Workload) -> dict[str, list[Any]]:
    schema = AnswerSchema(workload.output)
    labels = label_sets(workload)
    contents = {answer: parsed(answer, workload) for answer in set(answers)}
    problems = {answer: schema.problems(value) for answer, value in contents.items()}
    columns: dict[str, list[Any]] = {}
    for field in workload.fields:
        if field not in labels:
            columns[f"problem.{side}.{field}"] = [problems[answer].get(field) for answer in answers]
            continue
        values = [_label(contents[answer].get(field)) for answer in answers]
        columns[f"{side}.{field}"] = values
        if side == "demonstration":
            counts = Counter(values)
            columns[f"{side}.{field}.share"] = [counts[value] / len(values) for value in values]
    columns[f"problem.{side}"] = [problems[answer].get("") for answer in answers]
    return columns


def parsed(answer: str, workload: Workload) -> dict[str, Any]:
    """The source's object, or the object that a bare value stands for."""
    if is_text(workload.output):
        return {FIELD: answer or None}
    return {FIELD: json.loads(answer)} if is_alone(workload.output) else json.loads(answer)


def _label(value: Any) -> str | None:
    """A label as the table shows it; other values are written so that none is taken for a label: 5 is not "5"."""
    return value if value is None or isinstance(value, str) else f"{json.dumps(value)} (not a text)"
