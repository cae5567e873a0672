"""A new version of a workload's data: production's answers, added by DVC and committed on a branch of their own.

The branch is checked out beside the project (a git worktree), so that what people have open stays as it is. Decides
where a version starts, what is in its commit and which files count as changed; which answers it takes is decided
elsewhere.
"""

import shutil
import subprocess
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from components.data.harvest import HARVEST, Harvested
from components.errors import ConfigError, DataError
from components.records import Record, write_jsonl

CODE = ("components", "flows", "monitoring", "params", "models", "dvc.yaml")
AUTHOR = ("-c", "user.name=Gradus", "-c", "user.email=gradus@localhost")  # where the repository names nobody


@dataclass(frozen=True)
class DataVersion:
    """A checked-out branch: `folder` is the project in it, `file` its new harvest."""

    folder: Path
    branch: str
    commit: str
    file: Path


@dataclass(frozen=True)
class Origin:
    """Where a version comes from, and whether it leaves this machine.

    It starts at `earlier`, the commit of the champion, where that has all that the project's HEAD has, so that earlier
    harvests stay; else at HEAD. With `push`, its data go to DVC's remote and its branch to git's, where these are set.
    """

    earlier: str = ""
    push: bool = False


def new_version(  # noqa: PLR0913, PLR0917 - what a version is made of are six things
    project: Path,
    workload: str,
    harvested: Sequence[Harvested],
    name: str,
    origin: Origin = Origin(),
    beside: Mapping[str, Sequence[Record]] = MappingProxyType({}),
) -> DataVersion:
    """Commit a harvest on the branch retrain/<workload>/<name>, checked out under state/retrain/<workload>.

    `beside` are records of further kinds; those of KIND lie beside the harvest, as <name>.KIND.jsonl.

    Raises:
        ConfigError: The project is no git repository, or has changes that are not committed.
        DataError: git or DVC refuse.
    """
    _refuse_changes(project)
    branch = f"retrain/{workload}/{name}"
    folder = _check_out(project, project / "state" / "retrain" / workload, branch, _start(project, origin.earlier))
    _share(project, folder, workload)
    file = folder / "data" / workload / HARVEST / f"{name}.jsonl"
    files = {file: harvested, **{file.with_name(f"{name}.{kind}.jsonl"): said for kind, said in beside.items() if said}}
    for path, records in files.items():
        write_jsonl(path, records)
    with _dvc(folder) as dvc:
        dvc.add([str(path) for path in files])
    _name(folder / "params" / "workloads" / f"{workload}.yaml", file.name)
    commit = _commit(folder, workload, len(harvested), name)
    if origin.push:
        _push(folder, list(files), branch)
    return DataVersion(folder, branch, commit, file)


def check_out(project: Path, workload: str, commit: str, folder: Path) -> Path:
    """An earlier commit in a clean folder beside the project, with the data that it had; the project in it.

    Raises:
        DataError: git does not know the commit, or DVC has not its data.
    """
    _remove(project, folder)
    git(project, "worktree", "add", "--quiet", "--detach", str(folder), commit)
    inner = _inside(project, folder)
    _share(project, inner, workload)
    return inner


def git(folder: Path, *words: str) -> str:
    """What a git command prints in a folder.

    Raises:
        DataError: It fails.
    """
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = str(getattr(error, "stderr", "") or error).strip().splitlines()
        raise DataError(
            f"expected `git {words[0]}` to succeed, found {said[-1] if said else error} ({folder})"
        ) from error
    return done.stdout.rstrip()


def uncommitted(project: Path) -> list[str]:
    """Files of code and settings that the last commit has otherwise or not at all.

    Raises:
        DataError: The project is no git repository.
    """
    changed = git(project, "status", "--porcelain", "--untracked-files=all", "--", *CODE)
    return [line[3:] for line in changed.splitlines()]


def _refuse_changes(project: Path) -> None:
    """What is not committed would be missing on the branch."""
    try:
        changed = uncommitted(project)
    except DataError as error:
        raise ConfigError(f"expected a git repository at {project}, found none: {error}") from error
    if changed:
        raise ConfigError(
            f"expected all settings and code to be committed before a retraining, found changes in {changed[0]}"
        )


def _start(project: Path, earlier: str) -> str:
    """The commit that the branch starts at."""
    newer = subprocess.run(
        ["git", "merge-base", "--is-ancestor", "HEAD", earlier or "HEAD"], cwd=project, capture_output=True, check=False
    )
    return earlier if earlier and newer.returncode == 0 else "HEAD"


def _check_out(project: Path, folder: Path, branch: str, start: str) -> Path:
    """A new worktree in the place of an older one; the project in it."""
    _remove(project, folder)
    git(project, "worktree", "add", "--quiet", "-B", branch, str(folder), start)
    return _inside(project, folder)


def _inside(project: Path, worktree: Path) -> Path:
    """Where the project lies in a worktree of its repository, which may be a larger one."""
    return worktree / git(project, "rev-parse", "--show-prefix")


def _remove(project: Path, folder: Path) -> None:
    if folder.exists():
        subprocess.run(
            ["git", "worktree", "remove", "--force", str(folder)], cwd=project, check=False, capture_output=True
        )
        shutil.rmtree(folder, ignore_errors=True)
    git(project, "worktree", "prune")


def _share(project: Path, folder: Path, workload: str) -> None:
    """What the worktree takes from the project: DVC's cache and remotes, earlier harvests, the workload's own files."""
    settings = project / ".dvc" / "config.local"
    if settings.is_file():
        shutil.copyfile(settings, folder / ".dvc" / "config.local")
    harvests = folder / "data" / workload / HARVEST
    with _dvc(folder) as dvc, dvc.config.edit("local") as local:
        local["cache"] = {"dir": str(project / ".dvc" / "cache")}
    with _dvc(folder) as dvc:
        known = [str(path) for path in sorted(harvests.glob("*.dvc"))]
        if known:
            _fetch(dvc, known)
    harvests.mkdir(parents=True, exist_ok=True)
    own = project / "data" / workload
    for path in own.iterdir() if own.is_dir() else ():
        if path.name != HARVEST and not (harvests.parent / path.name).exists():
            (harvests.parent / path.name).symlink_to(path)


def _fetch(dvc: Any, targets: list[str]) -> None:
    """Earlier harvests from DVC's cache; from its remote what is not there."""
    from dvc.exceptions import CheckoutError

    try:
        dvc.checkout(targets=targets)
    except CheckoutError:
        if not dvc.config["remote"]:
            raise
        dvc.pull(targets=targets)


def _name(path: Path, harvest: str) -> None:
    """Enter a harvest in the workload's settings, everything else as it was."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 4096
    settings = yaml.load(path)
    settings["harvest"] = [*settings.get("harvest", ()), harvest]
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(settings, file)


def _commit(folder: Path, workload: str, n: int, name: str) -> str:
    git(folder, "add", "--", f"data/{workload}/{HARVEST}", f"params/workloads/{workload}.yaml")
    author = () if _configured(folder) else AUTHOR
    git(folder, *author, "commit", "--quiet", "--no-verify", "-m", f"{workload}: {n} answers of production ({name})")
    return git(folder, "rev-parse", "HEAD")


def _push(folder: Path, files: Sequence[Path], branch: str) -> None:
    with _dvc(folder) as dvc:
        if dvc.config["remote"]:
            dvc.push(targets=[f"{file}.dvc" for file in files])
    if remotes := git(folder, "remote").split():
        git(folder, "push", "--quiet", remotes[0], branch)


def _configured(folder: Path) -> bool:
    return subprocess.run(["git", "config", "user.email"], cwd=folder, capture_output=True, check=False).returncode == 0


@contextmanager
def _dvc(folder: Path) -> Generator[Any]:
    """The worktree as DVC sees it."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(folder)) as repo:
            yield repo
    except DvcException as error:
        raise DataError(f"expected DVC to keep a harvest, found {error} ({folder})") from error
