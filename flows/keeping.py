"""Commands that keep a project: into one file, and out of it again."""

from pathlib import Path
from typing import Annotated

import typer

keeping = typer.Typer(add_completion=False)


@keeping.command("backup", epilog="Example: [bold]gradus backup ../gradus.tar.gz[/]")
def back_up(file: Annotated[Path, typer.Argument(help="The file to be written; it must not exist.")]) -> None:
    """Write the project to one file, while its services run: settings, data, models, record, lake, git's branches.

    Left out: environments and caches, checkpoints of trainings, logs, and secrets (logins, .env, .dvc/config.local).
    """
    from components.stages.backup import backup

    manifest = backup(Path.cwd(), file)
    typer.echo(f"{file}: {len(manifest.files):,} files, {file.stat().st_size / 1e6:,.1f} MB")


@keeping.command("restore", epilog="Example: [bold]gradus restore gradus.tar.gz ../gradus-again[/]")
def restore_project(
    file: Annotated[Path, typer.Argument(help="What `gradus backup` wrote.")],
    folder: Annotated[Path, typer.Argument(help="The folder of the project to be; new, or empty.")],
) -> None:
    """Make a project of a backup in a new folder, where it runs as it did; every file is compared with its digest."""
    from components.stages.backup import restore

    manifest = restore(file, folder.absolute())
    typer.echo(f"{folder}: {len(manifest.files):,} files as they were. Next: cd {folder} && make setup")
