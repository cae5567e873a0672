"""Commands to back up a project to a file, and to restore it."""

from pathlib import Path
from typing import Annotated

import typer

keeping = typer.Typer(add_completion=False)


@keeping.command("backup", epilog="Example: [bold]gradus backup ../gradus.tar.gz[/]")
def back_up(file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")]) -> None:
    """Write the project to a file, while its services run: settings, data, models, record, lake, git branches.

    Leaves out environments and caches, training checkpoints, logs, and secrets (logins, .env, .dvc/config.local).
    """
    from components.stages.backup import backup

    manifest = backup(Path.cwd(), file)
    typer.echo(f"{file}: {len(manifest.files):,} files, {file.stat().st_size / 1e6:,.1f} MB")


@keeping.command("restore", epilog="Example: [bold]gradus restore gradus.tar.gz ../gradus-again[/]")
def restore_project(
    file: Annotated[Path, typer.Argument(help="What `gradus backup` wrote.")],
    folder: Annotated[Path, typer.Argument(help="The project's folder: new, or empty.")],
) -> None:
    """Restore a project from a backup into a new folder; every file is compared with its digest."""
    from components.stages.backup import restore

    manifest = restore(file, folder.absolute())
    setup = " && make setup" if (folder / "Makefile").is_file() else ""  # a project of `gradus new` has none
    typer.echo(f"{folder}: {len(manifest.files):,} files as they were. Next: cd {folder}{setup}")
