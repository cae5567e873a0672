"""A new version of a workload's data: production's answers, added to DVC and committed on a separate branch.

The branch is checked out in a git worktree, so that people's open files are not affected. Decides where a version
starts, what its commit contains and which files count as changed; other modules decide which answers are included.
"""

import re
import shutil
import subprocess
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from components.data.harvest import HARVEST, Harvested
from components.errors import ConfigError, DataError
from components.own_code import ADDRESS, GRADUS, own
from components.records import Record, read_jsonl, write_jsonl

CODE = (*sorted(GRADUS), "params", "models", "dvc.yaml", ":(glob)*.py")  # a project's own modules lie at its top
AUTHOR = ("-c", "user.name=Gradus", "-c", "user.email=gradus@localhost")  # if the repository has no user


@dataclass(frozen=True)
class DataVersion:
    """A checked-out branch: `folder` is its project, `file` its new harvest."""

    folder: Path
    branch: str
    commit: str
    file: Path


@dataclass(frozen=True)
class Origin:
    """Where a version starts, and whether it is pushed.

    It starts at `earlier`, the champion's commit, if that contains the project's HEAD, so that earlier harvests are
    kept; otherwise at HEAD. With `push`, data go to DVC's remote and the branch to git's, if they are configured.
    """

    earlier: str = ""
    push: bool = False


def new_version(  # noqa: PLR0913, PLR0917 - a version has six ingredients
    project: Path,
    workload: str,
    harvested: Sequence[Harvested],
    name: str,
    origin: Origin = Origin(),
    beside: Mapping[str, Sequence[Record]] = MappingProxyType({}),
) -> DataVersion:
    """Commit a harvest on the branch retrain/<workload>/<name>, checked out under state/retrain/<workload>.

    `beside` are records of further kinds, written next to the harvest as <name>.KIND.jsonl.

    Raises:
        ConfigError: The project is not a git repository, or has uncommitted changes.
        DataError: git or DVC fails.
    """
    _refuse_changes(project)
    branch = f"retrain/{workload}/{name}"
    folder = _check_out(project, project / "state" / "retrain" / workload, branch, _start(project, origin.earlier))
    _share(project, folder, workload)
    file = folder / "data" / workload / HARVEST / f"{name}.jsonl"
    files = {file: harvested, **{file.with_name(f"{name}.{kind}.jsonl"): part for kind, part in beside.items() if part}}
    for path, records in files.items():
        write_jsonl(path, records)
    with _dvc(folder) as dvc:
        dvc.add([str(path) for path in files])
    _name(folder / "params" / "workloads" / f"{workload}.yaml", file.name)
    commit = _commit(folder, workload, len(harvested), name)
    if origin.push:
        _push(folder, list(files), branch)
    return DataVersion(folder, branch, commit, file)


def earlier_harvests(project: Path, workload: str, origin: Origin) -> list[Harvested]:
    """The harvests that a version with this origin begins with: those that the workload's settings name there.

    Raises:
        DataError: git does not have the commit, or DVC does not have its data.
    """
    start = _start(project, origin.earlier)
    named = _named(project, workload, start)
    if not named:
        return []
    folder = project / "state" / "retrain" / f"{workload}.start"
    try:
        harvests = check_out(project, workload, start, folder) / "data" / workload / HARVEST
        return [line for name in named for line in read_jsonl(harvests / name, Harvested)]
    finally:
        _remove(project, folder)


def check_out(project: Path, workload: str, commit: str, folder: Path) -> Path:
    """Check out an earlier commit, with its data, in a clean folder; return the project in it.

    Raises:
        DataError: git does not have the commit, or DVC does not have its data.
    """
    _remove(project, folder)
    git(project, "worktree", "add", "--quiet", "--detach", str(folder), commit)
    inner = _inside(project, folder)
    _share(project, inner, workload)
    return inner


def git(folder: Path, *words: str) -> str:
    """The output of a git command in a folder.

    It takes no lock that it can do without: killed, it would leave one that keeps people from committing.

    Raises:
        DataError: It fails.
    """
    command = ["git", "--no-optional-locks", *words]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        output = str(getattr(error, "stderr", "") or error).strip().splitlines()
        raise DataError(
            f"expected `git {words[0]}` to succeed, found {output[-1] if output else error} ({folder})"
        ) from error
    return done.stdout.rstrip()


def uncommitted(project: Path) -> list[str]:
    """Files of code and settings that differ from the last commit or are not in it.

    Raises:
        DataError: The project is not a git repository.
    """
    changed = git(project, "status", "--porcelain", "--untracked-files=all", "--", *CODE, *_own(project))
    return [line[3:] for line in changed.splitlines()]


def _own(project: Path) -> list[str]:
    """The project's files and folders of code that its settings name as module:name."""
    settings = (file.read_text(encoding="utf-8") for file in sorted((project / "params").rglob("*.yaml")))
    modules = {address.partition(":")[0] for text in settings for address in re.findall(ADDRESS, text)}
    return [code for module in sorted(modules) if (code := own(module, project)) is not None]


def _refuse_changes(project: Path) -> None:
    """Refuse uncommitted changes, which would be missing on the branch."""
    try:
        changed = uncommitted(project)
    except DataError as error:
        raise ConfigError(f"expected a git repository at {project}, found none: {error}") from error
    if changed:
        raise ConfigError(
            f"expected all settings and code to be committed before a retraining, found changes in {changed[0]}"
        )


def _start(project: Path, earlier: str) -> str:
    """The commit at which the branch starts."""
    newer = subprocess.run(
        ["git", "merge-base", "--is-ancestor", "HEAD", earlier or "HEAD"], cwd=project, capture_output=True, check=False
    )
    return earlier if earlier and newer.returncode == 0 else "HEAD"


def _named(project: Path, workload: str, commit: str) -> list[str]:
    """The harvests that a workload's settings name at a commit; none if the commit does not have them."""
    try:
        text = git(project, "show", f"{commit}:./params/workloads/{workload}.yaml")
    except DataError:
        return []
    settings: Any = yaml.safe_load(text)
    return [str(name) for name in settings.get("harvest") or ()]


def _check_out(project: Path, folder: Path, branch: str, start: str) -> Path:
    """Create a new worktree in place of an older one; return the project in it."""
    _remove(project, folder)
    git(project, "worktree", "add", "--quiet", "-B", branch, str(folder), start)
    return _inside(project, folder)


def _inside(project: Path, worktree: Path) -> Path:
    """The project's folder in a worktree of its repository, which may be larger than the project."""
    return worktree / git(project, "rev-parse", "--show-prefix")


def _remove(project: Path, folder: Path) -> None:
    """Remove a worktree, whatever is left of it.

    `--force` twice: git locks a worktree while it makes it, and one that was killed meanwhile stays locked for ever.
    """
    remove = ["git", "worktree", "remove", "--force", "--force", str(folder)]
    subprocess.run(remove, cwd=project, check=False, capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)
    git(project, "worktree", "prune")


def _share(project: Path, folder: Path, workload: str) -> None:
    """Share the project's DVC cache and remotes, earlier harvests and the workload's own files with the worktree."""
    settings = project / ".dvc" / "config.local"
    if settings.is_file():
        shutil.copyfile(settings, folder / ".dvc" / "config.local")
    harvests = folder / "data" / workload / HARVEST
    with _dvc(folder) as dvc, dvc.config.edit("local") as local:
        local["cache"] = {"dir": str(project / ".dvc" / "cache")}
    with _dvc(folder) as dvc:
        earlier = [str(path) for path in sorted(harvests.glob("*.dvc"))]
        if earlier:
            _fetch(dvc, earlier)
    harvests.mkdir(parents=True, exist_ok=True)
    own = project / "data" / workload
    for path in own.iterdir() if own.is_dir() else ():
        if path.name != HARVEST and not (harvests.parent / path.name).exists():
            (harvests.parent / path.name).symlink_to(path)


def _fetch(dvc: Any, targets: list[str]) -> None:
    """Fetch earlier harvests from DVC's cache, or from its remote."""
    from dvc.exceptions import CheckoutError

    try:
        dvc.checkout(targets=targets)
    except CheckoutError:
        if not dvc.config["remote"]:
            raise
        dvc.pull(targets=targets)


def _name(path: Path, harvest: str) -> None:
    """Add a harvest to the workload's settings, leaving everything else unchanged."""
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
    """The worktree's DVC repository."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(folder)) as repo:
            yield repo
    except DvcException as error:
        raise DataError(f"expected DVC to keep a harvest, found {error} ({folder})") from error
