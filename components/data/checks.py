"""The table that validation checks: a row for each row of the source, with derived columns.

Decides how repeated inputs, leaks between splits, invalid answers and rare labels become columns; the contract decides
whether they are failures or warnings.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from components.data.answers import AnswerSchema
from components.data.forms import visible
from components.data.harvest import as_production_keeps
from components.data.similarity import near_duplicates
from components.data.sources import Row
from components.data.split import EVALUATION, straddling
from components.data.tokens import TokenLimit
from components.params import ConflictingInputs, Workload
from components.params.answers import FIELD, is_alone, is_text
from components.schema import fields_of
from components.tasks import heard_in, problem_of

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


def optional(workload: Workload, field: str) -> bool:
    """Whether an answer may lack a field."""
    return field not in workload.output.get("required", ())


class Read(NamedTuple):
    """An answer as an object, empty if it is none, and what is wrong with it: field → reason, "" for the whole."""

    content: dict[str, Any]
    problems: dict[str, str]


def read_answers(rows: Sequence[Row], workload: Workload) -> dict[str, Read]:
    """All distinct answers on both sides; of an agent's tasks the demonstrations."""
    demonstrations = {row.example.demonstration for row in rows}
    if workload.agent is not None:
        return {text: Read({}, {} if (why := problem_of(text)) is None else {"": why}) for text in demonstrations}
    schema = AnswerSchema(workload.output)
    contents = {text: parsed(text, workload) for text in demonstrations | {row.example.reference for row in rows}}
    labels = label_sets(workload)
    accepted: dict[str, list[str | None]] = {field: [*labels.get(field, ())] for field in workload.fields}
    for field in labels.keys() & accepted.keys():
        accepted[field] += [None] * nullable(workload, field)
    return {
        text: Read({}, {"": "it is not a JSON object"})
        if content is None
        else Read(content, _shown(content, schema.problems(content), accepted))
        for text, content in contents.items()
    }


def _shown(
    content: Mapping[str, Any], problems: dict[str, str], accepted: Mapping[str, Sequence[str | None]]
) -> dict[str, str]:
    """Problems; one that no column of a field shows, such as a label that only an `if` forbids, is of the whole too.

    `accepted` has for each field with columns the labels that the contract takes there.
    """
    for field, why in problems.items():
        if field and (field not in accepted or content.get(field) in accepted[field]):
            return {"": f"{field}: {why}"} | problems
    return problems


def wrongly_answered(rows: Sequence[Row], answers: Mapping[str, Read]) -> set[int]:
    """Rows that are refused for their answer, on either side, whatever other rows have."""
    wrong = {text for text, answer in answers.items() if answer.problems}
    return {place for place, row in enumerate(rows) if wrong & {row.example.demonstration, row.example.reference}}


def similar_rows(rows: Sequence[Row], left_out: Collection[int], threshold: float) -> list[int]:
    """For each row, the first one that it resembles, directly or through others; some rows are left out."""
    distinct = [index for index in range(len(rows)) if index not in left_out]
    texts = ["\n".join(rows[index].asked) for index in distinct]
    alike = list(range(len(rows)))
    for index, first in zip(distinct, near_duplicates(texts, threshold), strict=True):
        alike[index] = distinct[first]
    return alike


def repeated_inputs(
    rows: Sequence[Row], conflicts: ConflictingInputs = "first", wrong: Collection[int] = ()
) -> dict[int, str]:
    """Rows with the same input as another row, whatever the form of its characters: index → reason.

    Of rows with the same input, the first one in the strictest split is kept; if their answers differ and `conflicts`
    is "none", none is. Those that are `wrong` are refused anyway, and stand in the way of no other.
    """

    def strictness(index: int) -> tuple[int, int]:
        part = rows[index].part
        return (EVALUATION.index(part) if part in EVALUATION else len(EVALUATION), index)

    stays_by_input: dict[tuple[str, ...], int] = {}
    reasons: dict[int, str] = {}
    for place in sorted(range(len(rows)), key=strictness):
        example = rows[place].example
        values = tuple(visible(value) for value in rows[place].asked)
        if place in wrong or not any(values):
            continue  # reported as such
        stays = stays_by_input.setdefault(values, place)
        if stays == place:
            continue
        first = rows[stays].example
        differs = visible(first.demonstration) != visible(example.demonstration)
        reasons[place] = f"repeats {first.id}{OTHER_ANSWER if differs else ''}"
        if differs and conflicts == "none":
            reasons.setdefault(stays, f"is repeated by {example.id}{OTHER_ANSWER}")
    return reasons


def known_already(rows: Sequence[Row], left_out: Collection[int], threshold: float) -> dict[int, str]:
    """Harvested rows of train that resemble one of the source's own, which may get any split: index → reason.

    They are compared as in a harvest: masked, and by the columns that their version was asked with.
    """
    rest = [(place, row) for place, row in enumerate(rows) if place not in left_out]
    own = [row.example for _, row in rest if not row.harvested]
    taught = [(place, row) for place, row in rest if row.harvested and row.part == "train"]
    if not own or not taught:
        return {}
    inputs = [{name: row.example.input[name] for name in row.columns} for _, row in taught]
    heard = [heard_in(row.example.demonstration) if row.agent else () for _, row in taught]
    known = as_production_keeps(own, inputs, tries=any(row.agent for _, row in taught))
    asked = ["\n".join((*given.values(), *said)) for given, said in zip(inputs, heard, strict=True)]
    alike = near_duplicates([*known, *asked], threshold)[len(known) :]
    return {
        place: f"resembles {own[first % len(own)].id}"
        for (place, _), first in zip(taught, alike, strict=True)
        if first < len(known)
    }


def tabulate(  # noqa: PLR0913, PLR0917 - a table has six ingredients
    rows: Sequence[Row],
    repeats: Mapping[int, str],
    alike: Sequence[int],
    workload: Workload,
    limits: Sequence[TokenLimit] = (),
    answers: Mapping[str, Read] | None = None,
) -> pd.DataFrame:
    """The table for the contract, a row for each row; `row` is its index.

    Columns: row, id, where; `input` (all inputs) and `input.<column>`; `tokens.<limit>`, as counted by the limit;
    `repeats` and `straddles` (reason or null); for each side of the answer, `<side>.<field>` if the field is a choice
    among labels (for demonstrations with the label's share of the rows as `<side>.<field>.share`),
    `problem.<side>.<field>` (reason or null) for other fields and `problem.<side>` for the whole object. Empty texts
    are null. The side `reference` exists if any reference differs from its demonstration; for an agent's tasks there is
    only `problem.demonstration`. `answers` are those of `read_answers`, which are read here if they are not given.
    """
    answers = read_answers(rows, workload) if answers is None else answers
    left_out = wrongly_answered(rows, answers) | repeats.keys()
    straddles = straddling(rows, alike, left_out) if workload.validation.leakage == "remove" else {}
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
        columns["problem.demonstration"] = [answers[row.example.demonstration].problems.get("") for row in rows]
    for side in SIDES if workload.agent is None else ():
        read = [answers[str(getattr(row.example, side))] for row in rows]
        if side == "demonstration" or any(row.example.reference != row.example.demonstration for row in rows):
            columns |= _answer_columns(side, read, workload)
    return pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})


def _answer_columns(side: str, answers: Sequence[Read], workload: Workload) -> dict[str, list[Any]]:
    labels = label_sets(workload)
    columns: dict[str, list[Any]] = {}
    for field in workload.fields:
        if field not in labels:
            columns[f"problem.{side}.{field}"] = [answer.problems.get(field) for answer in answers]
            continue
        present = optional(workload, field) and not nullable(workload, field)
        values = [_label(answer.content, field, present=present) for answer in answers]
        columns[f"{side}.{field}"] = values
        if side == "demonstration":
            counts, known = Counter(values), frozenset(labels[field])
            columns[f"{side}.{field}.share"] = [
                counts[value] / len(values) if value in known else None for value in values
            ]
    columns[f"problem.{side}"] = [answer.problems.get("") for answer in answers]
    return columns


def parsed(answer: str, workload: Workload) -> dict[str, Any] | None:
    """The source's object, or the object that a bare value stands for; None for a harvest's text that is neither."""
    if is_text(workload.output):
        return {FIELD: answer or None}
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    if is_alone(workload.output):
        return {FIELD: value}
    return value if isinstance(value, dict) else None


def _label(content: Mapping[str, Any], field: str, *, present: bool) -> str | None:
    """A label as the table shows it; other values are written so that none is taken for a label: 5 is not "5".

    With `present`, null is such a value too: the field may be missing, but not be null.
    """
    value = content.get(field)
    if isinstance(value, str) or (value is None and not (present and field in content)):
        return value
    return f"{json.dumps(value)} (not a text)"
