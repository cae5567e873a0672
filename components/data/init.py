"""`gradus init NAME --from FILE_OR_FOLDER`: a first workload that runs as it is on the embedded model.

Decides where the drafts and the converted rows go, and refuses to overwrite. They are written to a temporary folder,
read back with the code that will read them later, and only then moved into place.
"""

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from components.data.answers import AnswerSchema
from components.data.drafts import Draft, prompts, workload_yaml
from components.data.reading.folders import Options, Part, Source, read_source, to_line
from components.data.rows import rows_of
from components.data.sources import Row, read
from components.data.unanswered import answered
from components.data.understanding import NUMBERS_ROWS, Understood, understand
from components.errors import ConfigError, DataError
from components.params import Workload, load
from components.prompts import load_prompt
from components.scorers import answers


@dataclass(frozen=True)
class Reading:
    """A source, its path and its meaning."""

    path: Path
    source: Source
    meaning: Understood

    @property
    def draft_rows(self) -> dict[Part, int]:
        """The number of rows per part."""
        return {part: len(table.rows) for part, table in self.source.parts.items()}


def read_input(path: Path, options: Options | None = None, roles: Mapping[str, str] | None = None) -> Reading:
    """Read a file or a folder and interpret its columns; `roles` are given by a person.

    Parts and rows that nobody answered are left out.

    Raises:
        ConfigError: A role or an encoding is unknown.
        DataError: It cannot be read, or no column has a text or an answer.
    """
    source = read_source(path, options)
    try:
        meaning = understand(source, roles)
        kept = answered(source, meaning)
        return Reading(path, kept, meaning if kept is source else _again(kept, meaning, roles or {}))
    except DataError as error:
        raise DataError(f"{error} ({path})") from error


def _again(kept: Source, before: Understood, roles: Mapping[str, str]) -> Understood:
    """What remains, interpreted; an index now has gaps and stays left out, and columns may be gone with their part."""
    names = {name for table in kept.parts.values() for name in table.columns}
    index = [name for name, why in before.left_out.items() if why == NUMBERS_ROWS and name in names]
    given = {name: role for name, role in roles.items() if name in names}
    meaning = understand(kept, dict.fromkeys(index, "leave") | given)
    meaning.left_out |= dict.fromkeys(index, NUMBERS_ROWS)
    return meaning


def init_workload(name: str, reading: Reading, root: Path) -> list[Path]:
    """Write settings and prompts for the workload `name` under `root`, and its rows to data/<name>/.

    Returns the written paths: settings, prompts, data.

    Raises:
        ConfigError: The name is invalid, or a file already exists.
        DataError: The rows cannot be read back, or too many do not obey the drafted schema. Nothing is written then.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise ConfigError(f"name must be of lower-case letters, digits, _ and -, found {name!r}")
    draft = Draft(name, reading.path, reading.meaning, reading.draft_rows, reading.source.system)
    settings = Path("params/workloads") / f"{name}.yaml"
    texts = [Path("params/prompts") / name / f"{prompt}.md" for prompt in draft.prompts]
    data = [Path("data") / name / f"{part}.jsonl" for part in draft.rows]
    targets = [settings, *texts, *data]
    for target in targets:
        _refuse_existing(name, root / target, reading.path)
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder)
        for target in targets:
            (part / target).parent.mkdir(parents=True, exist_ok=True)
        (part / settings).write_text(workload_yaml(draft), encoding="utf-8")
        for path, text in zip(texts, prompts(draft).values(), strict=True):
            (part / path).write_text(text, encoding="utf-8")
        for path, rows in zip(data, rows_of(reading.source, reading.meaning).values(), strict=True):
            with (part / path).open("w", encoding="utf-8", errors="replace") as file:
                file.writelines(map(to_line, rows))
        _read_back(part / settings, [part / path for path in texts], (part / data[0]).parent)
        return _put(part, targets, root)


def _refuse_existing(name: str, path: Path, origin: Path) -> None:
    """Refuse to overwrite a file, with specific advice if it is the source itself."""
    if not path.exists():
        return
    if origin.exists() and path.samefile(origin):
        raise ConfigError(
            f"expected a source outside of data/{name}, found the place where its rows go: move it, or write the "
            f"workload's YAML by hand ({path})"
        )
    raise ConfigError(f"expected a new name, found a file of the workload {name!r} at {path}")


def _read_back(settings: Path, texts: list[Path], folder: Path) -> None:
    """Read the drafts as a run does, so that errors occur before anything is in place."""
    workload = load(settings, Workload)
    rows = read(workload, folder)
    for path in texts:
        load_prompt(path.parent, path.stem, tuple(rows[0].example.input))
    _refuse_invalid(workload, rows)


def _refuse_invalid(workload: Workload, rows: Sequence[Row]) -> None:
    """Refuse a draft whose own rows the data stage would refuse for their answers."""
    schema = AnswerSchema(workload.output)
    reasons = {text: _problem(text, schema, workload) for text in {row.example.demonstration for row in rows}}
    invalid = [row for row in rows if reasons[row.example.demonstration]]
    if len(invalid) > workload.validation.max_quarantined_share * len(rows):
        first = invalid[0]
        raise DataError(
            f"expected rows that obey the schema drafted from them, found {len(invalid):,} of {len(rows):,} that do "
            f"not, such as {first.where}: {reasons[first.example.demonstration]}"
        )


def _problem(text: str, schema: AnswerSchema, workload: Workload) -> str:
    """What is wrong with a demonstration, by field; "" if nothing is."""
    try:
        problems = schema.problems(answers.read(text, workload.output))
    except answers.NotAnAnswer as error:
        return str(error)
    return "; ".join(f"{field}: {reason}" if field else reason for field, reason in problems.items())


def _put(draft: Path, targets: list[Path], root: Path) -> list[Path]:
    """Copy the drafts into place; after a failure, remove the copies."""
    written: list[Path] = []
    try:
        for target in targets:
            path = root / target
            path.parent.mkdir(parents=True, exist_ok=True)
            written.append(path)
            shutil.copyfile(draft / target, path)
    except BaseException:  # not even an interrupt leaves anything behind
        for path in written:
            with suppress(OSError):
                path.unlink()
        raise
    return written
