"""The command `gradus new`: a project in an empty folder, for users who have installed Gradus as a package.

A project has settings, prompts, the small base model and a git repository; its code is the installed package.
"""

import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from components.errors import ConfigError, DataError
from flows.place import refuse_unusable_path

PACKAGED = Path(__file__).with_name("project")
REPOSITORY = Path(__file__).resolve().parents[1]

new = typer.Typer()


@new.command("new", epilog="Example: [bold]gradus new tickets && cd tickets && gradus run triage[/]")
def make_project(folder: Annotated[Path, typer.Argument(help="The project's folder: new, or empty.")]) -> None:
    """Make a project: settings, prompts, the base model nano, DVC's and git's files, and a first commit.

    Existing files are never overwritten.
    """
    make(folder)
    typer.echo(folder)


def make(folder: Path) -> None:
    """Make a project in a folder, atomically.

    Raises:
        ConfigError: The folder is not empty, or cannot be made.
        DataError: git fails.
    """
    refuse_unusable_path(folder.absolute())
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()) or (folder.is_dir() and any(folder.iterdir())):
        raise ConfigError(f"expected a new or an empty folder, found something in it ({folder})")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".gradus-new-") as beside:
            project = Path(beside) / "project"
            for source, name in _files():
                (project / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, project / name)
            _commit(project)
            _settle(project, folder)
    except OSError as error:
        raise ConfigError(f"expected to make a project, found {error.strerror} ({folder})") from error


def _settle(project: Path, folder: Path) -> None:
    """Move the project into place; an existing folder is kept, because it may be someone's working directory."""
    if not folder.exists():
        project.replace(folder)
        return
    for path in sorted(project.iterdir()):
        path.replace(folder / path.name)


def _files() -> Iterator[tuple[Path, Path]]:
    """A project's files and their names in it: from the package, or from the repository."""
    root, names = PACKAGED, ["."]
    if not root.is_dir():
        root = REPOSITORY
        names = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["gradus"]["project"]
    for name in names:
        start = root / name
        files = [start] if start.is_file() else sorted(path for path in start.rglob("*") if path.is_file())
        yield from ((path, path.relative_to(root)) for path in files)


def _commit(project: Path) -> None:
    """Make a repository with a commit, which DVC needs, and from which versions record their origin."""
    from components.data.versions import AUTHOR, git

    for words in (["init", "--quiet"], ["add", "."]):
        git(project, *words)
    try:
        git(project, "commit", "--quiet", "--message", "A project of Gradus")
    except DataError:  # git has no user here
        git(project, *AUTHOR, "commit", "--quiet", "--message", "A project of Gradus")
