"""A file, or a folder of files, as the parts of a source.

Decides which files of a folder have rows, and, by its name, which part of the source each is.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from components.data.reading import columnar, delimited, objects, workbooks
from components.data.reading.content import decode, read_bytes
from components.data.reading.documents import parse_yaml
from components.data.reading.parts import Part, part_of
from components.data.reading.shapes import Translate, shaped
from components.data.reading.table import Table
from components.data.texts import listed, shown
from components.errors import DataError

_SUFFIXES = {
    ".csv", ".tsv", ".txt", ".tab", ".psv", ".json", ".jsonl", ".ndjson", ".parquet", ".pq", ".arrow", ".feather",
    ".xlsx", ".xlsm", ".yaml", ".yml",
}  # fmt: skip
_NOT_ROWS = re.compile(r"(readme|license|licence|dataset_infos?|state|dataset_dict|metadata|requirements)\b.*", re.I)
_DECLARED = re.compile(r"(<\?xml\s|<!doctype\s+html|<html[\s>])", re.I)
_TAG = re.compile(r"<([A-Za-z][\w:.-]*)(\s[^<>]*)?>")
_HEAD = 4_096
_MOST_FILES = 1000
_SPLIT_COLUMNS = {"split", "partition", "subset", "set", "fold", "fold_name", "ml_use"}
_ONLY_SPLITS = {"split", "ml_use"}  # such a column says nothing else


@dataclass(frozen=True)
class Source:
    """A source: a table for each part; `kind` describes what wrote it.

    `roles` are the columns' roles, if the format defines them; `system` is the most frequent system prompt.
    """

    parts: dict[Part, Table]
    kind: str
    notes: tuple[str, ...] = ()
    roles: dict[str, str] = field(default_factory=dict[str, str])
    system: str = ""


@dataclass(frozen=True)
class Options:
    """Reading options: an encoding, a sheet, and MLflow's translation of spans."""

    encoding: str | None = None
    sheet: str | None = None
    translate: Translate | None = None


def read_source(path: Path, options: Options | None = None) -> Source:
    """Read a file or a folder of any format.

    Raises:
        ConfigError: Python has no such encoding.
        DataError: It is missing, empty, damaged, or of a format without rows; the message says what was found.
    """
    options = options or Options()
    tables, notes = _tables(path, options)
    by_part: dict[Part, list[Table]] = {}
    for part, table in tables:
        by_part.setdefault(part, []).append(table)
    parts: dict[Part, Table] = {part: _joined(tables_of_part, notes) for part, tables_of_part in by_part.items()}
    filled: dict[Part, Table] = {part: table for part, table in parts.items() if table.rows}
    parts = _by_column(filled, notes)
    if not parts:
        raise DataError(f"expected rows, found an empty file ({path})")
    return _shaped(path, parts, notes, options)


def read_file(path: Path, options: Options | None = None) -> Table:
    """The table in a file, uninterpreted.

    Raises:
        ConfigError: Python has no such encoding.
        DataError: It is missing, damaged, or of a format without rows.
    """
    options = options or Options()
    content, kind = read_bytes(path)
    if kind == "workbook":
        return workbooks.parse(content, path, options.sheet)
    if kind != "text" or path.suffix.lower() == ".arrow":
        return columnar.parse(content, path, "arrow" if kind == "text" else kind)
    text, encoding = decode(content, path, options.encoding)
    table = _of_text(text, path)
    if options.encoding is None and encoding != "utf-8":
        note = f"the text is read as {encoding}, which was guessed: look at its accents, or name another (--encoding)"
        return replace(table, notes=(note, *table.notes))
    return table


def _of_text(text: str, path: Path) -> Table:
    """The table in a text: JSON if it begins like JSON, else by the file's name, else delimited."""
    if (markup := _markup(text)) is not None:
        raise DataError(f"expected rows of data, found {markup}: convert its rows to .csv or .jsonl ({path})")
    suffix = path.suffix.lower().removesuffix(".gz") or Path(path.stem).suffix.lower()
    if suffix in (".yaml", ".yml"):
        return parse_yaml(text, path)
    named_json = suffix in (".json", ".jsonl", ".ndjson")
    if objects.looks_like_json(text) or (named_json and not _is_delimited(text)):
        return objects.parse(text, path, splits=True)
    if suffix == ".txt" and (table := _of_labels(text, path)) is not None:
        return table
    table = delimited.parse(text, path)
    return replace(table, notes=(*table.notes, "the file is named as JSON, and holds csv")) if named_json else table


def _markup(text: str) -> str | None:
    """HTML or XML where a text is some: it says so, or its first tag is closed at its very end."""
    head = text[:_HEAD].lstrip()
    if (declared := _DECLARED.match(head)) is not None:
        return "HTML" if "html" in declared[0].lower() else "XML"
    tag = _TAG.match(head)
    return "XML" if tag is not None and text.rstrip().endswith(f"</{tag[1]}>") else None


def _is_delimited(text: str) -> bool:
    """Whether a text in a file named as JSON is delimited."""
    head = text.lstrip("\ufeff").split("\n", 2)[:2]
    return len(head) > 1 and not any(sign in head[0] for sign in '{}[]"') and any(sign in head[0] for sign in ",;\t")


def _of_labels(text: str, path: Path) -> Table | None:
    """Lines of fastText: `__label__x` followed by the text."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not lines or not all(line.lstrip().startswith("__label__") for _, line in lines):
        return None
    rows: list[dict[str, Any]] = []
    for _, line in lines:
        labels = re.findall(r"__label__(\S+)", line)
        rest = re.sub(r"__label__\S+", "", line).strip()
        rows.append({"text": rest, "label": labels[0]} if len(labels) == 1 else {"text": rest, "labels": labels})
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    return Table(path, columns, tuple(rows), tuple(number for number, _ in lines), ("each line begins with its label",))


def _tables(path: Path, options: Options) -> tuple[list[tuple[Part, Table]], list[str]]:
    """All tables of a path with their parts, and notes on decisions about its files."""
    if not path.is_dir():
        return [("all", read_file(path, options))], []
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        return [(part_of(name), table) for name, table in columnar.saved(path).items()], []
    notes: list[str] = []
    tables: list[tuple[Part, Table]] = []
    files = list(_files(path))
    for file in files:
        table = _rows_or_nothing(file, options, notes)
        if table is not None and table.rows:
            relative = file.relative_to(path)
            tables.append((part_of(*relative.parts[:-1], _bare(file)), table))
    tables = _without_documents(tables, notes)
    if not tables:
        seen = listed([entry.name for entry in sorted(path.iterdir())]) or "nothing"
        raise DataError(f"expected a folder with files of rows, found {seen} ({path})")
    return tables, notes


def _files(folder: Path) -> Iterator[Path]:
    """The files of a folder that may have rows, in order."""
    files = sorted(
        file
        for file in folder.rglob("*")
        if file.is_file()
        and file.name.lower().removesuffix(".gz").endswith(tuple(_SUFFIXES))
        and not any(part.startswith((".", "__")) for part in file.relative_to(folder).parts)
        and not _NOT_ROWS.fullmatch(file.name)
    )
    if len(files) > _MOST_FILES:
        raise DataError(f"expected at most {_MOST_FILES:,} files of rows, found {len(files):,} ({folder})")
    yield from files


def _rows_or_nothing(file: Path, options: Options, notes: list[str]) -> Table | None:
    """A file's table; a JSON or YAML document without rows is left out, with a note."""
    try:
        table = read_file(file, options)
    except DataError as error:
        if file.suffix.lower() in (".txt", ".yaml", ".yml") or (
            file.suffix.lower() == ".json" and "a JSON object" in str(error)
        ):
            notes.append(f"{file.name} is left out: {error}")
            return None
        raise
    if file.suffix.lower() == ".json" and len(table.rows) < 2:
        notes.append(f"{file.name} is left out: it holds no rows")
        return None
    return table


def _without_documents(tables: list[tuple[Part, Table]], notes: list[str]) -> list[tuple[Part, Table]]:
    """The tables except JSON documents that share no column with another: those describe the data."""
    documents = [
        table
        for _, table in tables
        if table.path.suffix.lower() == ".json"
        and not any(set(table.columns) & set(other.columns) for _, other in tables if other is not table)
    ]
    if len(documents) == len(tables):
        return tables
    notes += [f"{table.path.name} is left out: it shares no column with the other files" for table in documents]
    return [(part, table) for part, table in tables if table not in documents]


def _bare(file: Path) -> str:
    return file.name.split(".")[0]


def _joined(tables: list[Table], notes: list[str]) -> Table:
    """Several files of a part as one table, with batches' answers joined to their requests."""
    tables = _matched(tables, notes)
    if len(tables) == 1:
        return tables[0]
    common = set.intersection(*(set(table.columns) for table in tables))
    if not common:
        first, other = (
            tables[0],
            next(candidate for candidate in tables if not set(candidate.columns) & set(tables[0].columns)),
        )
        raise DataError(
            f"expected files of the same columns, found {listed(first.columns)} in {first.path.name} and "
            f"{listed(other.columns)} in {other.path.name}: pass one of them, or put each into a folder of its own "
            f"({first.path.parent})"
        )
    notes.append(f"{listed([table.path.name for table in tables])} are read one after the other")
    columns = dict.fromkeys(name for table in tables for name in table.columns)
    return Table(
        tables[0].path.parent,
        tuple(columns),
        tuple(row for table in tables for row in table.rows),
        tuple(line for table in tables for line in table.lines),
        tuple(dict.fromkeys(note for table in tables for note in table.notes)),
        pointed=all(table.pointed for table in tables),
    )


def _by_column(parts: dict[Part, Table], notes: list[str]) -> dict[Part, Table]:
    """The parts by a column `split`, if files have no parts; rows whose cell names no part are left out."""
    table = parts.get("all")
    if table is None or len(parts) > 1:
        return _without_own_part(parts, notes)
    for name in (column for column in table.columns if column.lower() in _SPLIT_COLUMNS):
        cells = [shown(row.get(name)) for row in table.rows]
        named: list[Part] = [_part_of_cell(cell) for cell in cells]
        if _says_parts(name, set(named)):
            notes.append(f"`{name}` says which split a row belongs to")
            if unknown := Counter(cell for cell, part in zip(cells, named, strict=True) if part == "all"):
                notes.append(_left_out(name, unknown, len(cells)))
            return _parted(table, name, named)
        if name.lower() in ("split", "fold") and _are_numbers(cells):
            notes.append(f"`{name}` is not read as splits: its numbers do not say which is train")
    return parts


def _without_own_part(parts: dict[Part, Table], notes: list[str]) -> dict[Part, Table]:
    """The parts of files, without a column `split` that says of every row which part its file is."""
    names = dict.fromkeys(name for table in parts.values() for name in table.columns if name.lower() in _SPLIT_COLUMNS)
    for name in names:
        if all({_part_of_cell(shown(row.get(name))) for row in table.rows} == {part} for part, table in parts.items()):
            notes.append(f"`{name}` says which part a row's file is, and is left out")
            parts = {part: _without(table, name, range(len(table.rows))) for part, table in parts.items()}
    return parts


def _part_of_cell(cell: str) -> Part:
    """The part that a cell means; Vertex AI calls dev VALIDATE."""
    return "dev" if cell.lower() == "validate" else part_of(cell)


def _says_parts(name: str, named: set[Part]) -> bool:
    """Whether a column says parts: train, and if not all its cells name one, by its name or another part."""
    return "train" in named and ("all" not in named or name.lower() in _ONLY_SPLITS or len(named) > 2)


def _are_numbers(cells: Sequence[str]) -> bool:
    return len(set(cells)) > 1 and all(cell.removesuffix(".0").isdecimal() for cell in cells)


def _left_out(name: str, unknown: Counter[str], n: int) -> str:
    """A note on the rows whose cell names no part, with their values and counts."""
    values = [f"{f'`{cell}`' if cell else 'empty'} ({times:,})" for cell, times in unknown.most_common()]
    return f"{unknown.total():,} of {n:,} rows are left out: their `{name}` names no split: {listed(values)}"


def _parted(table: Table, name: str, named: Sequence[Part]) -> dict[Part, Table]:
    """The rows of each part, without the column `name` that says which; rows of no part are left out."""
    parts_seen: list[Part] = [part for part in dict.fromkeys(named) if part != "all"]
    return {
        part: _without(table, name, [index for index, part_of_row in enumerate(named) if part_of_row == part])
        for part in parts_seen
    }


def _without(table: Table, name: str, indexes: Sequence[int]) -> Table:
    """The rows at these indexes, without a column."""
    columns = tuple(column for column in table.columns if column != name)
    rows = tuple({key: value for key, value in table.rows[index].items() if key != name} for index in indexes)
    return replace(table, columns=columns, rows=rows, lines=tuple(table.lines[index] for index in indexes))


def _matched(tables: list[Table], notes: list[str]) -> list[Table]:
    """OpenAI's batches: requests and outputs are in two files, matched by `custom_id`."""
    requested = [table for table in tables if {"custom_id", "body"} <= set(table.columns)]
    answered = [table for table in tables if {"custom_id", "response"} <= set(table.columns)]
    if not requested or not answered:
        return tables
    requests = {str(row.get("custom_id")): row.get("body") for table in requested for row in table.rows}
    joined: list[Table] = []
    for table in answered:
        rows = tuple({**row, "request": requests.get(str(row.get("custom_id")))} for row in table.rows)
        joined.append(replace(table, rows=rows, columns=(*table.columns, "request")))
    notes.append(
        f"the batch's answers are joined with its requests in {listed([table.path.name for table in requested])}"
    )
    return [table for table in tables if table not in requested and table not in answered] + joined


def _shaped(path: Path, parts: dict[Part, Table], notes: list[str], options: Options) -> Source:
    """The parts, interpreted as records of the program that wrote them."""
    tables, form = shaped(list(parts.values()), options.translate)
    read: dict[Part, Table] = dict(zip(parts, tables, strict=True))
    notes += [note for table in parts.values() for note in table.notes]
    if form is None:
        for table in parts.values():
            if _only_asks(table):
                raise DataError(f"expected questions with answers, found a batch with {_lacking(table)} ({path})")
        return Source(read, "rows", tuple(dict.fromkeys(notes)))
    for part, table in read.items():
        if not table.rows:
            raise DataError(f"expected questions with answers, found {form.kind} with {_lacking(parts[part])} ({path})")
    system = form.systems.most_common(1)[0][0] if form.systems and "system" not in form.roles else ""
    return Source(read, form.kind, tuple(dict.fromkeys([*notes, *form.notes])), form.roles, system)


def _only_asks(table: Table) -> bool:
    """Whether a table has a batch's requests, and nothing beside them that could be an answer."""
    asked = {"custom_id", "body"} <= set(table.columns) <= {"custom_id", "method", "url", "body"}
    return asked and all(isinstance(row.get("body"), dict) for row in table.rows)


def _lacking(table: Table) -> str:
    """What is missing in a table of known records that gave no rows."""
    if {"custom_id", "response"} <= set(table.columns):
        return "only answers: put the batch's request file into the same folder and pass the folder"
    if {"custom_id", "body"} <= set(table.columns):
        return "only requests: put the batch's output file into the same folder and pass the folder"
    return f"no record that has both (keys: {listed(table.columns)})"


def to_line(row: dict[str, Any]) -> str:
    """A row as a line of JSON."""
    return json.dumps(row, ensure_ascii=False) + "\n"
