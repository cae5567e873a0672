"""Reads a workload's source (files, a dataset, a generator) as rows: examples with the split they come from.

Decides ids, groups and the types of answers. Wrong labels and empty texts pass, because validation quarantines them; a
bad file, column or id makes the whole source unreadable and is refused.
"""

import importlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from components.data.answers import AnswerSchema
from components.data.datasets import Part, read_datasets
from components.data.harvest import HARVEST, Harvested
from components.data.reading.table import Table
from components.data.tables import read_table
from components.data.texts import clean, shown
from components.errors import ConfigError, DataError
from components.params import Columns, FileSource, GeneratedSource, HuggingFaceSource, Workload
from components.records import Example, Trajectory, read_jsonl, to_json
from components.scorers.answers import write
from components.tasks import heard_in

TICKET_FIELDS = ("id", "gold", "demonstration", "slices", "group")
EVIDENCE = "evidence"  # a generator's data for verifiers, besides the reference


@dataclass(frozen=True, slots=True)
class Row:
    """An example, the part of the source that it comes from ("all" if the source has no parts), and its place there.

    A harvested row comes from production's answers, and has the split from its file. For an agent's task, the state in
    which its environment begins is part of the input; of a try from production, where nobody knows it, what was heard.
    `columns` are the inputs that a harvested row's version was asked with; its others are empty.
    """

    example: Example
    part: Part
    where: str
    harvested: bool = False
    agent: bool = False
    columns: tuple[str, ...] = ()

    @property
    def asked(self) -> tuple[str, ...]:
        """All that tells what is asked from what others ask."""
        if not self.agent:
            return tuple(self.example.input.values())
        known = self.example.evidence.values() or heard_in(self.example.demonstration)
        return (*self.example.input.values(), *known)


def read(workload: Workload, folder: Path, surplus: float = 1.0) -> list[Row]:
    """Read all rows of a workload's source; `folder` is data/<workload>/.

    A generated source yields `surplus` times the sum of its sizes, because splitting may drop some rows.

    Raises:
        ConfigError: A column is mapped to an unknown field of the answer, or there is no such generator.
        DataError: A file is missing, empty, damaged or in another encoding; a column is missing; an id is repeated.
    """
    source = workload.source
    if isinstance(source, GeneratedSource):
        rows = list(_generated(workload, source, math.ceil(sum(source.sizes.values()) * surplus)))
    else:
        rows = list(_tabular(workload, source, folder))
    rows += _harvested(workload, folder)
    _refuse_repeated_ids(rows)
    return rows


def _harvested(workload: Workload, folder: Path) -> Iterator[Row]:
    """Rows of the workload's harvests; inputs that the champion did not get are empty."""
    columns = input_columns(workload) if workload.harvest else ()
    for name in workload.harvest:
        path = folder / HARVEST / name
        for number, harvested in enumerate(read_jsonl(path, Harvested), start=1):
            inputs = {column: harvested.example.input.get(column, "") for column in columns}
            example = harvested.example.model_copy(update={"input": inputs})
            given = tuple(column for column in columns if column in harvested.example.input)
            agent, where = workload.agent is not None, f"{path}:{number}"
            yield Row(example, harvested.split, where, harvested=True, agent=agent, columns=given)


def input_columns(workload: Workload) -> tuple[str, ...]:
    """The columns that a workload's prompts may use."""
    source = workload.source
    if not isinstance(source, GeneratedSource):
        return source.columns.input
    return tuple(next(iter(_generated(workload, source, 1))).example.input)


def generated(workload: Workload, source: GeneratedSource, n: int) -> Iterator[Example]:
    """The first `n` examples from a generator, whatever the workload's own source.

    Raises:
        ConfigError: There is no such generator.
        DataError: Its rows are not of this workload.
    """
    yield from (row.example for row in _generated(workload, source, n))


def _generated(workload: Workload, source: GeneratedSource, n: int) -> Iterator[Row]:
    """Rows from `module:function`, which yields objects with the attributes of a triage ticket."""
    module, _, name = source.generator.partition(":")
    try:
        generate = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"source.generator must be module:function, found {source.generator!r} ({error})") from error
    drawn: Iterable[Any] = generate(n, source.seed)
    for item in islice(drawn, n):
        where = f"{source.generator}:{item.id}"
        yield Row(generated_example(workload, item), "all", where, agent=workload.agent is not None)


def generated_example(workload: Workload, item: Any) -> Example:
    """A generator's item as an example: its texts are the inputs.

    Of an agent's task the demonstration is a `Trajectory`, and `gold` what its scorer reads as reference.

    Raises:
        DataError: It lacks an attribute of a triage ticket, or its demonstration is not valid.
    """
    names = _attributes(item)
    if missing := [name for name in TICKET_FIELDS if name not in names]:
        raise DataError(f"expected rows with {missing[0]}, found {', '.join(names)} (the generator of {workload.name})")
    texts = {name: getattr(item, name) for name in names if name not in (*TICKET_FIELDS, EVIDENCE)}
    demonstration, reference = _sides(workload, item)
    return Example(
        id=item.id,
        input={name: clean(text) for name, text in texts.items() if isinstance(text, str)},
        demonstration=demonstration,
        reference=reference,
        group=item.group,
        slices=item.slices,
        evidence=getattr(item, EVIDENCE, {}),
    )


def _sides(workload: Workload, item: Any) -> tuple[str, str]:
    """The demonstration and the reference of what a generator yields."""
    if workload.agent is None:
        return _answer(workload, item.demonstration), _answer(workload, item.gold)
    if not isinstance(item.demonstration, Trajectory):
        kind = type(item.demonstration).__name__
        raise DataError(f"expected a Trajectory as demonstration, found {kind} (the generator of {workload.name})")
    return item.demonstration.demonstration, to_json(item.gold)


def _attributes(item: Any) -> list[str]:
    """The names of an object's attributes, in order."""
    return [field.name for field in fields(item)] if is_dataclass(item) else list(vars(item))


def _answer(workload: Workload, cells: dict[str, Any]) -> str:
    """The answer in the form of completions, with fields in the schema's order."""
    return write({name: cells[name] for name in workload.fields if name in cells}, workload.output)


def _tabular(workload: Workload, source: FileSource | HuggingFaceSource, folder: Path) -> Iterator[Row]:
    """Rows of files or of a dataset's splits, with columns mapped to inputs and fields."""
    _refuse_unknown_fields(workload, source.columns)
    schema = AnswerSchema(workload.output)
    tables: dict[Part, Table] = {}
    if isinstance(source, HuggingFaceSource):
        tables |= read_datasets(source, folder)
    else:
        tables |= {part: read_table(folder / name, source.kind, source.encoding) for part, name in source.files.items()}
    for part, table in tables.items():
        _refuse_missing_columns(table, source.columns)
        yield from _rows(workload, source.columns, schema, part, table)


def _rows(workload: Workload, columns: Columns, schema: AnswerSchema, part: Part, table: Table) -> Iterator[Row]:
    width = len(str(len(table.rows)))
    gold = columns.output | columns.reference
    for number, (cells, line) in enumerate(zip(table.rows, table.lines, strict=True), start=1):

        def read_fields(columns_by_field: dict[str, str], cells: dict[str, Any] = cells) -> str:
            typed = {field: schema.typed(field, cells.get(column)) for field, column in columns_by_field.items()}
            kept = {field: value for field, value in typed.items() if not schema.leaves_out(field, value)}
            return _answer(workload, kept or typed)  # a row without any field was not answered, and is refused

        name = f"{part}-{number:0{width}d}" if columns.id is None else shown(cells.get(columns.id))
        demonstration = read_fields(columns.output)
        example = Example(
            id=name,
            input={column: shown(cells.get(column)) for column in columns.input},
            demonstration=demonstration,
            reference=read_fields(gold) if columns.reference else demonstration,
            group=(shown(cells.get(columns.group)) if columns.group else "") or name,
            slices={column: shown(cells.get(column)) for column in columns.slices},
        )
        yield Row(example, part, f"{table.path.name}:{line}")


def _refuse_unknown_fields(workload: Workload, columns: Columns) -> None:
    for group, mapping in (("output", columns.output), ("reference", columns.reference)):
        for field in mapping:
            if field not in workload.fields:
                fields = ", ".join(workload.fields)
                raise ConfigError(f"source.columns.{group} must name fields of output ({fields}), found {field!r}")
    for field in workload.output.get("required", ()):
        if field not in columns.output:
            raise ConfigError(f"source.columns.output must have every required field, found none for {field!r}")


def _refuse_missing_columns(table: Table, columns: Columns) -> None:
    optional = [name for name in (columns.id, columns.group) if name is not None]
    for name in (*columns.input, *columns.output.values(), *columns.reference.values(), *optional, *columns.slices):
        if name not in table.columns:
            raise DataError(f"expected the column `{name}`, found {', '.join(table.columns)} ({table.path})")


def _refuse_repeated_ids(rows: list[Row]) -> None:
    first_places: dict[str, str] = {}
    for row in rows:
        name = row.example.id
        if name and name in first_places:
            raise DataError(f"expected ids that occur once, found `{name}` at {first_places[name]} and {row.where}")
        first_places[name] = row.where
