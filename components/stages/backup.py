"""Backs up a project to one file while its services run, and restores it in another folder.

Decides what is included: code, settings, data, artifacts and state, with the branches of git; and what is not: what can
be made again (caches, environments, checkpoints, checked-out branches), logs, and secrets. What a link leads to is
included under the link's name, as if it lay in the project.
"""

import hashlib
import logging
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO

import yaml

from components.data.versions import git
from components.errors import ConfigError, DataError
from components.records import Record, read_record
from components.registry.created import give_name

MANIFEST, BUNDLE = "backup.json", "backup.bundle"  # names that no project uses
LEFT_OUT = (
    ".git", ".venv", ".dvc/cache", ".dvc/tmp", ".dvc/config.local", "build", "dist",
    "state/logs", "state/locks", "state/compiled", "state/training",
    "state/up/logins.json", "state/up/services.json", "state/up/supervisord.pid",
)  # fmt: skip
SECRETS = (".env", ".env.*", ".netrc", ".pgpass", "kubeconfig", "kubeconfig.y*ml", "*.kubeconfig")  # in any folder
EXAMPLES = (".env.example", ".env.sample", ".env.template")  # without secrets
CHECKED_OUT = ("state/retrain", "state/reproduce")  # only the outcomes are kept, not the checked-out branches
CACHES = frozenset({"__pycache__", ".pytest_cache", ".ruff_cache", ".import_linter_cache", ".hypothesis"})
BESIDE = ("-wal", "-shm", "-journal", ".part")  # a database's side files, or half-written files
FIRST = ("state/spool",)  # its records move to the lake: if that were read first, some would be in neither
_SQLITE = b"SQLite format 3\0"
LOCKED_S = 60.0  # for which a database that another process keeps to itself is waited for
log = logging.getLogger(__name__)


class Manifest(Record):
    """A backup's contents: each file's SHA-256 by its path, and git's HEAD (empty without a repository)."""

    head: str
    files: dict[str, str]


def backup(project: Path, file: Path) -> Manifest:
    """Write a project to a file, readable only by its owner; complete or not at all.

    Databases are copied by SQLite's own backup, so that a service may write meanwhile; one that is damaged is copied
    as it is, and named in the log.

    Raises:
        ConfigError: The file exists, or cannot be written, or a process keeps a database to itself.
    """
    if file.exists():
        raise ConfigError(f"expected a new file for the backup, found {file}; nothing is overwritten")
    part = file.with_name(file.name + ".part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as raw:
            manifest = _written(project, raw, leave_out={file.resolve(), part.resolve()})
        give_name(part, file)  # fails if it was created meanwhile
    except OSError as error:
        raise ConfigError(f"expected a file that can be written for the backup, found {error} ({file})") from error
    finally:
        part.unlink(missing_ok=True)
    return manifest


def restore(file: Path, folder: Path) -> Manifest:
    """Restore a backup to a new folder, once all files have the digests in its manifest.

    Raises:
        ConfigError: The folder is not empty, or cannot be written.
        DataError: The file is not a complete backup.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"expected a new or empty folder for the project, found {folder}; nothing is overwritten")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise ConfigError(f"expected a place where the project can be written, found {error} ({folder})") from error
    try:
        manifest = _unpacked(file, part)
        _history(part, manifest)
        if folder.exists():
            folder.rmdir()
        part.replace(folder)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise DataError(f"expected a whole backup, found {error} ({file})") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return manifest


def _written(project: Path, raw: IO[bytes], leave_out: set[Path]) -> Manifest:
    files: dict[str, str] = {}
    with (
        tempfile.TemporaryDirectory(dir=project) as scratch,
        tarfile.open(fileobj=raw, mode="w:gz", compresslevel=1) as archive,
    ):
        head = _bundle(project, Path(scratch) / BUNDLE)
        kept = [(BUNDLE, Path(scratch) / BUNDLE)] if head else []
        for name, path in (*kept, *_files(project, leave_out | {Path(scratch).resolve()})):
            if (digest := _add(archive, name, path, Path(scratch))) is not None:
                files[name] = digest
        manifest = Manifest(head=head, files=files)
        listed = Path(scratch) / MANIFEST
        listed.write_text(manifest.model_dump_json(), encoding="utf-8")
        archive.add(listed, MANIFEST)
    return manifest


def _files(project: Path, leave_out: set[Path]) -> Iterator[tuple[str, Path]]:
    """A project's files by name, databases first: files that they refer to were written before."""
    paths = [*_walk(project, project, leave_out, ())]
    paths += _harvests(project)
    first = [path for path in paths if _is_database(path)]
    second = [path for path in paths if path.relative_to(project).as_posix().startswith(FIRST)]
    for path in dict.fromkeys((*first, *second, *paths)):
        yield path.relative_to(project).as_posix(), path


def _walk(folder: Path, project: Path, leave_out: set[Path], within: tuple[Path, ...]) -> Iterator[Path]:
    """The files of a folder and its folders, by their paths in the project; `within` are the real folders around it."""
    within = (*within, Path(os.path.realpath(folder)))
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path, real = Path(entry.path), Path(os.path.realpath(entry.path))
        # A link does not bring in under another name what is left out.
        names = {path.relative_to(project).as_posix(), os.path.relpath(real, within[0])}
        if entry.name in CACHES or entry.name.endswith((*BESIDE, ".egg-info")) or real in leave_out:
            continue
        if not names.isdisjoint(LEFT_OUT) or _is_secret(entry.name) or _is_secret(real.name):
            continue
        ends = real not in within and not within[0].is_relative_to(real)  # else a link leads back to where it lies
        if path.is_dir() and not names.isdisjoint(CHECKED_OUT):
            yield from sorted(path.glob("*.json"))
        elif path.is_dir() and ends:
            yield from _walk(path, project, leave_out, within)
        elif path.is_file():
            yield path
        elif entry.is_symlink():
            log.warning("%s is not in the backup: it leads to %s.", path.relative_to(project), real)


def _is_secret(name: str) -> bool:
    return name not in EXAMPLES and any(fnmatchcase(name, pattern) for pattern in SECRETS)


def _harvests(project: Path) -> Iterator[Path]:
    """The harvested answers in DVC's cache, for all branches: git has only their digests."""
    pattern = "data/*/harvest/*.dvc"
    texts = [path.read_text(encoding="utf-8") for path in sorted(project.glob(pattern))]
    if _repository(project):
        for branch in git(project, "for-each-ref", "--format=%(refname)", "refs/heads").splitlines():
            names = git(project, "ls-tree", "-r", "--name-only", branch, "--", "data").splitlines()
            texts += [git(project, "show", f"{branch}:{name}") for name in names if Path(name).match(pattern)]
    for digest in sorted({str(out["md5"]) for text in texts for out in yaml.safe_load(text)["outs"]}):
        path = project / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]
        if path.is_file():
            yield path


def _repository(project: Path) -> bool:
    """Whether the project is itself a git repository, not a folder within one."""
    return (project / ".git").exists()


def _bundle(project: Path, file: Path) -> str:
    """Bundle all branches of git in one file; returns HEAD, empty if the project is no repository or has no commit."""
    if not _repository(project) or not git(project, "rev-list", "--all", "--max-count=1"):
        return ""
    git(project, "bundle", "create", "--quiet", str(file), "--all")
    branch = git(project, "branch", "--show-current")
    return f"refs/heads/{branch}" if branch else git(project, "rev-parse", "HEAD")


def _is_database(path: Path) -> bool:
    if path.suffix not in (".db", ".sqlite", ".sqlite3"):
        return False
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _add(archive: tarfile.TarFile, name: str, path: Path, scratch: Path) -> str | None:
    """Add a consistent copy of a file to the archive; returns its digest, None if the file has gone meanwhile."""
    copy = scratch / "copy"
    try:
        if not _is_database(path) or not _copied(path, copy):
            shutil.copyfile(path, copy)
        copy.chmod(path.stat().st_mode & 0o700)
    except FileNotFoundError:
        return None
    archive.add(copy, name)
    return _digest(copy)


def _copied(path: Path, copy: Path) -> bool:
    """Whether SQLite made a copy of a database; a damaged one is named in the log.

    Raises:
        ConfigError: A process keeps it to itself, or SQLite cannot open it.
    """

    def refuse_locked(status: int, *_: int) -> None:
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):  # SQLite would try without end
            raise sqlite3.OperationalError(f"database is locked for more than {LOCKED_S:g} s")

    copy.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(path, timeout=LOCKED_S)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target, progress=refuse_locked)
    except sqlite3.OperationalError as error:
        raise ConfigError(f"expected a database that can be read for the backup, found {error} ({path})") from error
    except sqlite3.DatabaseError as error:
        log.warning("%s is in the backup as it is: expected a database of SQLite, found %s.", path, error)
        return False
    return True


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpacked(file: Path, folder: Path) -> Manifest:
    """Unpack a backup's files and check them.

    Raises:
        DataError: A file is missing, differs, or is not in the manifest.
    """
    with tarfile.open(file, "r:gz") as archive:
        for member in (entry for entry in archive if not entry.isdir()):
            _unpack(archive, member, folder)
    manifest = read_record(folder / MANIFEST, Manifest)
    (folder / MANIFEST).unlink()
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    if odd := sorted(there ^ manifest.files.keys()):
        raise DataError(f"expected the files that the backup lists, found a difference at {odd[0]} ({file})")
    for name, digest in manifest.files.items():
        if _digest(folder / name) != digest:
            raise DataError(f"expected {name} as it was when the backup was made, found other content ({file})")
    return manifest


def _unpack(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Unpack one file, readable only by its owner; Python before 3.11.4 has no filter that keeps it in the folder.

    Raises:
        DataError: It is no file, or its name leads out of the folder.
    """
    name = PurePosixPath(member.name)
    content = archive.extractfile(member) if member.isreg() else None
    if content is None or name.is_absolute() or ".." in name.parts:
        raise DataError(f"expected files of a project in the backup, found {member.name!r}")
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with content, path.open("xb") as target:
        shutil.copyfileobj(content, target)
    path.chmod(member.mode & 0o700)


def _history(folder: Path, manifest: Manifest) -> None:
    """Restore the branches of git, without changing the files."""
    if not manifest.head:
        return
    bundle = folder / BUNDLE
    git(folder, "init", "--quiet")
    git(folder, "fetch", "--quiet", "--update-head-ok", str(bundle), "+refs/*:refs/*")
    if manifest.head.startswith("refs/"):
        git(folder, "symbolic-ref", "HEAD", manifest.head)
    else:
        git(folder, "update-ref", "--no-deref", "HEAD", manifest.head)
    git(folder, "reset", "--quiet", "--mixed")
    bundle.unlink()
