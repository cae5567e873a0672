"""The command `gradus init`: shows its interpretation of a person's files, asks, and writes.

Decides what is asked; `components.data` decides what columns mean and what is written.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.errors import ConfigError, DataError

if TYPE_CHECKING:
    from components.data.reading.folders import Options

init = typer.Typer()

Name = Annotated[str, typer.Argument(help="Name of the new workload: small letters, digits, - and _.")]
Source = Annotated[Path, typer.Option("--from", help="A file or a folder with inputs and right answers.")]
Yes = Annotated[bool, typer.Option("--yes", help="Write without asking.")]
Roles = Annotated[list[str] | None, typer.Option(help="COLUMN=ROLE: input, answer, id, group, slice, date or leave.")]
Encoding = Annotated[str | None, typer.Option(help="Encoding of the files; by default it is detected.")]
Sheet = Annotated[str | None, typer.Option(help="Sheet of a workbook; by default the one with the most rows.")]


@init.command("init", epilog="Example: [bold]gradus init complaints --from complaints.csv[/]")
def draft(
    name: Name,
    source: Source,
    yes: Yes = False,
    role: Roles = None,
    encoding: Encoding = None,
    sheet: Sheet = None,
) -> None:
    """Draft a workload from files: its YAML and first prompts, ready to be reviewed, edited and run.

    Takes csv, Excel, JSON, JSONL, Parquet, chats, logged completions, test files, traces, datasets and folders of
    them (docs/inputs.md). Shows its interpretation before it writes; converts the rows into data/NAME/. Never
    overwrites existing files.
    """
    from components.data.init import init_workload, read_input
    from components.data.reading.folders import Options
    from components.data.showing import lines
    from components.registry.translation import translated

    options, roles = Options(encoding, sheet, translated), dict(map(_role, role or []))
    reading = read_input(source, options, roles)
    for line in lines(reading):
        typer.echo(line)
    if not yes:
        reading = read_input(source, options, _agreed(source, options, roles))
    for path in init_workload(name, reading, Path.cwd()):
        typer.echo(path)


def _role(text: str) -> tuple[str, str]:
    """COLUMN=ROLE as a pair; a column's name may contain an equals sign."""
    column, equals, role = text.rpartition("=")
    if not equals:
        raise ConfigError(f"--role must be COLUMN=ROLE, found {text!r}")
    return column, role


def _agreed(source: Path, options: "Options", roles: dict[str, str]) -> dict[str, str]:
    """The roles that a person at the terminal accepts, after changes; each change is shown.

    Raises:
        ConfigError: There is no terminal, or the person says no.
    """
    from components.data.init import read_input
    from components.data.showing import lines
    from components.data.texts import visible

    if not sys.stdin.isatty():
        raise ConfigError("expected a terminal to ask at, or --yes, found neither; nothing was written")
    while True:
        answer = typer.prompt("Write it? y, n, or COLUMN=ROLE", default="y").strip()
        if answer.lower() in ("y", "yes"):
            return roles
        if answer.lower() in ("n", "no"):
            raise ConfigError("nothing was written")
        try:
            changed = roles | dict([_role(answer)])
            reading = read_input(source, options, changed)
        except (ConfigError, DataError) as error:
            typer.echo(visible(str(error)), err=True)
            continue
        roles = changed
        for line in lines(reading):
            typer.echo(line)
