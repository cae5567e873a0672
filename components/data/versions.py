"""A new version of a workload's data: production's answers, added to DVC and committed on a separate branch.

The branch is checked out in a git worktree, so that people's open files are not affected. Decides where a version
starts, which earlier harvests it has, what its commit contains and which files count as changed; other modules decide
which answers are included.
"""

import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

from components.data.forgetting import trace_of, without
from components.data.harvest import HARVEST, Harvested
from components.data.opinions import KINDS
from components.data.past import git, named, others_of, to_carry
from components.errors import ConfigError, DataError
from components.own_code import GRADUS, named_by_settings
from components.records import Record, read_jsonl, write_jsonl

CODE = (*sorted(GRADUS), "params", "models", "dvc.yaml", ":(glob)*.py")  # a project's own modules lie at its top
AUTHOR = ("-c", "user.name=Gradus", "-c", "user.email=gradus@localhost")  # if the repository has no user
# Nobody is there to name a ticket or to unlock a key, and a data version has no files of Git LFS of its own to push.
UNATTENDED = (
    "-c", f"core.hooksPath={os.devnull}", "-c", "commit.gpgSign=false", "-c", "push.gpgSign=false",
)  # fmt: skip
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataVersion:
    """A checked-out branch: `folder` is its project, `file` its new harvest."""

    folder: Path
    branch: str
    commit: str
    file: Path


@dataclass(frozen=True)
class Origin:
    """Where a version starts, what it leaves out, and whether it is pushed.

    It starts at `earlier`, the champion's commit, if that contains the project's HEAD, so that earlier harvests are
    kept; otherwise at HEAD, and they are carried over. With `push`, data go to DVC's remote and the branch to git's, if
    they are configured. `forgotten` says of a trace's id whether no harvest may have it any more, an earlier one
    neither.
    """

    earlier: str = ""
    push: bool = False
    forgotten: Callable[[str], bool] = lambda _: False


def new_version(  # noqa: PLR0913, PLR0917 - a version has six ingredients
    project: Path,
    workload: str,
    harvested: Sequence[Harvested],
    name: str,
    origin: Origin = Origin(),
    beside: Mapping[str, Sequence[Record]] = MappingProxyType({}),
) -> DataVersion:
    """Commit a harvest on the branch retrain/<workload>/<name>, checked out under state/retrain/<workload>.

    `beside` are records of further kinds, written next to the harvest as <name>.KIND.jsonl. A push that fails is
    logged, because the version is complete without it.

    Raises:
        ConfigError: The project is not a git repository, or has uncommitted changes.
        DataError: git or DVC fails.
    """
    refuse_changes(project)
    branch, start = f"retrain/{workload}/{name}", _start(project, origin.earlier)
    folder = _check_out(project, project / "state" / "retrain" / workload, branch, start)
    _share(project, folder, workload)
    carried = _bring(project, folder, workload, origin.earlier, to_carry(project, workload, start, origin.earlier))
    file = folder / "data" / workload / HARVEST / f"{name}.jsonl"
    files = {file: harvested, **{file.with_name(f"{name}.{kind}.jsonl"): part for kind, part in beside.items() if part}}
    for path, records in files.items():
        write_jsonl(path, records)
    every = [*named(project, workload, start), *carried, file.name]
    changed = [path for name in every for path in _files(file.parent, name) if without(path, origin.forgotten)]
    with _dvc(folder) as dvc:
        dvc.add([str(path) for path in dict.fromkeys([*chain.from_iterable(carried.values()), *files, *changed])])
    _name(folder / "params" / "workloads" / f"{workload}.yaml", [*carried, file.name])
    commit = _commit(folder, workload, len(harvested), name)
    if origin.push:
        _push(folder, workload, branch)
    return DataVersion(folder, branch, commit, file)


def earlier_harvests(project: Path, workload: str, origin: Origin) -> list[Harvested]:
    """The harvests that a version with this origin begins with, and all others that the champion learnt from.

    What is forgotten is left out.

    Raises:
        DataError: git does not have the commit, or DVC does not have the data of the project's own harvests.
    """
    start = _start(project, origin.earlier)
    here, others = named(project, workload, start), others_of(project, workload, start, origin.earlier)
    if not here and not others:
        return []
    folder = project / "state" / "retrain" / f"{workload}.start"
    try:
        inner = check_out(project, workload, start, folder)
        brought = _bring(project, inner, workload, origin.earlier, others)
        harvests = inner / "data" / workload / HARVEST
        lines = [line for name in (*here, *brought) for line in read_jsonl(harvests / name, Harvested)]
        return [line for line in lines if not origin.forgotten(trace_of(line))]
    finally:
        _remove(project, folder)


def check_out(project: Path, workload: str, commit: str, folder: Path) -> Path:
    """Check out an earlier commit, with its data, in a clean folder; return the project in it.

    Raises:
        DataError: git does not have the commit, or DVC does not have its data.
    """
    _remove(project, folder)
    git(project, "worktree", "add", "--quiet", "--detach", str(folder), commit, options=UNATTENDED)
    inner = _inside(project, folder)
    _share(project, inner, workload)
    return inner


def uncommitted(project: Path) -> list[str]:
    """Files of code and settings that differ from the last commit or are not in it.

    Raises:
        DataError: The project is not a git repository.
    """
    changed = git(project, "status", "--porcelain", "--untracked-files=all", "--", *CODE, *named_by_settings(project))
    return [line[3:] for line in changed.splitlines()]


def refuse_changes(project: Path) -> None:
    """Refuse uncommitted changes, which would be missing on the branch.

    Raises:
        ConfigError: The project has some, or is not a git repository.
    """
    try:
        changed = uncommitted(project)
    except DataError as error:
        raise ConfigError(f"expected a git repository at {project}, found none: {error}") from error
    if changed:
        raise ConfigError(
            f"expected all settings and code to be committed before a retraining, found changes in {changed[0]}"
        )


def cache_folder(project: Path) -> Path:
    """The folder of a project's DVC cache, which several projects may share.

    Raises:
        DataError: DVC's settings cannot be read.
    """
    return Path(_settings(project).get("cache", {}).get("dir") or project / ".dvc" / "cache")


def _start(project: Path, earlier: str) -> str:
    """The commit at which the branch starts."""
    newer = subprocess.run(
        ["git", "merge-base", "--is-ancestor", "HEAD", earlier or "HEAD"], cwd=project, capture_output=True, check=False
    )
    return earlier if earlier and newer.returncode == 0 else "HEAD"


def _bring(project: Path, folder: Path, workload: str, commit: str, names: Sequence[str]) -> dict[str, list[Path]]:
    """Bring another commit's harvests into a checked-out project: name → its file and those beside it.

    One whose data DVC no longer has is left out, with a warning.
    """
    brought: dict[str, list[Path]] = {}
    for name in names:
        listed = git(project, "ls-tree", "--name-only", commit, "--", f"data/{workload}/{HARVEST}/").splitlines()
        pointers = [path for path in listed if Path(path).match(f"{Path(name).stem}.*.dvc")]
        files = [folder / path.removesuffix(".dvc") for path in pointers]
        for path in pointers:
            text = git(project, "show", f"{commit}:./{path}")
            (folder / path).write_text(f"{text}\n", encoding="utf-8")
        try:
            if f"data/{workload}/{HARVEST}/{name}.dvc" not in pointers:
                raise DataError(f"expected a pointer of DVC to {name}, found none ({commit})")
            with _dvc(folder) as dvc:
                _fetch(dvc, [str(folder / path) for path in pointers])
        except DataError as error:
            log.warning("%s: left out %s, from which the champion learnt: %s.", workload, name, error)
            for path in (*files, *(folder / path for path in pointers)):
                path.unlink(missing_ok=True)
            continue
        brought[name] = files
    return brought


def _check_out(project: Path, folder: Path, branch: str, start: str) -> Path:
    """Create a new worktree in place of an older one; return the project in it."""
    _remove(project, folder)
    git(project, "worktree", "add", "--quiet", "-B", branch, str(folder), start, options=UNATTENDED)
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
    private = project / ".dvc" / "config.local"
    if private.is_file():
        shutil.copy(private, folder / ".dvc" / private.name)  # who may read its secrets is copied too
    harvests = folder / "data" / workload / HARVEST
    settings, cache = _settings(project, "repo", "local"), cache_folder(project)
    with _dvc(folder) as dvc, dvc.config.edit("local") as local:
        local.update(settings)
        local["cache"]["dir"] = str(cache)
    with _dvc(folder) as dvc:
        earlier = [str(path) for path in sorted(harvests.glob("*.dvc"))]
        if earlier:
            _fetch(dvc, earlier)
    harvests.mkdir(parents=True, exist_ok=True)
    own = project / "data" / workload
    for path in own.iterdir() if own.is_dir() else ():
        if path.name != HARVEST and not (harvests.parent / path.name).exists():
            (harvests.parent / path.name).symlink_to(path)


def _settings(project: Path, *levels: str) -> dict[str, Any]:
    """DVC's settings of a project at these levels, or at all; relative paths are resolved from there."""
    from dvc.config import Config, merge
    from dvc.exceptions import DvcException

    settings: dict[str, Any] = {}
    try:
        config: Any = Config(str((project / ".dvc").resolve()), validate=False)
        for level in levels or config.LEVELS:
            merge(settings, config.load_one(level))
    except DvcException as error:
        raise DataError(f"expected settings of DVC in {project / '.dvc'}, found {error}") from error
    return settings


def _fetch(dvc: Any, targets: list[str]) -> None:
    """Fetch earlier harvests from DVC's cache, or from its remote."""
    from dvc.exceptions import CheckoutError

    try:
        dvc.checkout(targets=targets)
    except CheckoutError:
        if not dvc.config["remote"]:
            raise
        dvc.pull(targets=targets)


def _files(harvests: Path, name: str) -> list[Path]:
    """The files of a harvest that a folder has: the harvest's own, and those of opinions beside it."""
    beside = (harvests / f"{Path(name).stem}.{kind}.jsonl" for kind in KINDS)
    return [path for path in (harvests / name, *beside) if path.is_file()]


def _name(path: Path, harvests: Sequence[str]) -> None:
    """Add harvests to the workload's settings, leaving everything else unchanged."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 4096
    settings = yaml.load(path)
    settings["harvest"] = [*(settings.get("harvest") or ()), *harvests]
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(settings, file)


def _commit(folder: Path, workload: str, n: int, name: str) -> str:
    git(folder, "add", "--", f"data/{workload}/{HARVEST}", f"params/workloads/{workload}.yaml")
    options = UNATTENDED if _configured(folder) else (*UNATTENDED, *AUTHOR)
    git(folder, "commit", "--quiet", "-m", f"{workload}: {n} answers of production ({name})", options=options)
    return git(folder, "rev-parse", "HEAD")


def _push(folder: Path, workload: str, branch: str) -> None:
    """Push a version: its data, earlier ones that an earlier push missed too, and then the branch that needs them."""
    pointers = sorted((folder / "data" / workload / HARVEST).glob("*.dvc"))
    try:
        with _dvc(folder) as dvc:
            if dvc.config["remote"]:
                dvc.push(targets=[str(path) for path in pointers])
        if remotes := git(folder, "remote").split():
            git(folder, "push", "--quiet", remotes[0], branch, options=UNATTENDED)
    except DataError as error:
        log.warning("%s is not pushed, and is complete here: %s.", branch, error)


def _configured(folder: Path) -> bool:
    return subprocess.run(["git", "config", "user.email"], cwd=folder, capture_output=True, check=False).returncode == 0


@contextmanager
def _dvc(folder: Path) -> Generator[Any]:
    """The worktree's DVC repository."""
    from dvc.repo import Repo

    try:
        with Repo(str(folder)) as repo:
            yield repo
    except Exception as error:  # DVC raises its own, and remotes' drivers raise anything
        raise DataError(f"expected DVC to keep a harvest, found {error} ({folder})") from error
