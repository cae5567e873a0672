"""Carries the files of a stage to another machine and back, through DVC's remote.

Outputs of stages travel as DVC's own objects and run cache. What DVC does not track (settings, prompts, the base model,
people's files) is put under `gradus/` in the remote as one archive named by its hash, and so are the checkpoints of an
unfinished training. Decides what these contain; who starts the stage is decided elsewhere.
"""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from components.errors import ConfigError, DataError
from components.stages.graph import RUNS, StageNode, nodes, read_by_all
from components.stages.run import Run
from components.training.checkpoints import STATE as TRAINER_STATE
from components.training.checkpoints import read_state

OWN_CODE = ("components", "flows", "monitoring")
SETTINGS = ("params", ".dvcignore", ".gitignore", ".dvc/config")
CARRIED = ("url", "endpointurl", "region", "use_ssl", "ssl_verify")  # settings of a remote; none is a secret
PASSED = ("GRADUS_MLFLOW_PARENT", "HF_HUB_OFFLINE", "GRADUS_DEBUG")  # variables, as they are here
ADDRESSES = ("OPENAI_BASE_URL", "GRADUS_VLLM_SERVER", "HF_ENDPOINT")  # without them a pod asks somebody else
NAME = "carried"
OURS, ARCHIVES, WORK = "gradus", "archives", "work"  # our folder in the remote, and its subfolders
OWN, BESIDE = "own", "beside"  # a stage's work folder, and files beside it that all stages of a run share
CHECKPOINT, BEST = "checkpoint-", "best-"  # before the step of a training's folders
ANSWERS = ("taught-*.jsonl", "samples-*.jsonl", "spent-*.json")  # of teachers, of sampled models; what teachers took
REWRITTEN = (".json", ".jsonl")  # may change without changing size


def travelling(run: Run, node: StageNode) -> list[Path]:
    """The files of the project that a stage reads and that DVC does not move, since no other stage makes them.

    Among them the project's own code of the whole run, which is imported wherever its settings are read. What lies
    outside of the project is not carried.
    """
    left = [out for other in nodes(run) for out in other.outs]
    read = [path for path in node.deps if not any(path == out or path.startswith(f"{out}/") for out in left)]
    code = OWN_CODE if Path(OWN_CODE[0]).is_dir() else ()
    launched = [run.profile.launcher.config] if run.profile.launcher.config else []
    # The graph is derived again there, from the whole base model and all of the workload's files.
    derived = (str(RUNS / run.name), *_harvests(run), run.profile.model.path, *read_by_all(run))
    starts = (*read, *SETTINGS, *code, *launched, *derived)
    return sorted({file for start in starts if _is_inside(Path(start)) for file in _files(Path(start))})


def _is_inside(path: Path) -> bool:
    """Whether a path is one of the project's, and so the same on every machine."""
    return not path.is_absolute() and ".." not in path.parts


def _harvests(run: Run) -> Iterator[str]:
    """DVC's pointers to harvested answers, which are in the remote."""
    yield from (str(path) for path in sorted(run.data_source.glob("harvest/*.dvc")))


def _files(start: Path) -> Iterator[Path]:
    if start.is_dir():
        yield from (path for path in start.rglob("*") if path.is_file() and path.suffix != ".pyc")
    elif start.is_file() and start.suffix != ".pyc":
        yield start


def packed(files: Iterable[Path]) -> bytes:
    """An archive of the project's files; the same files give the same bytes."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in files:
            data = path.read_bytes()
            entry = tarfile.TarInfo(path.as_posix())
            entry.size, entry.mode = len(data), 0o600
            archive.addfile(entry, io.BytesIO(data))
    return content.getvalue()


@dataclass(frozen=True)
class Remote:
    """DVC's remote as a file system, Gradus's folder in it, and the (mtime, size) of each file that was sent."""

    fs: Any
    root: str
    sent: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]], compare=False)

    @classmethod
    def of(cls, repo: Any) -> "Remote":
        """A project's default remote.

        Raises:
            ConfigError: It has none.
        """
        from dvc.config import NoRemoteError

        try:
            remote = repo.cloud.get_remote()
        except NoRemoteError as error:
            raise ConfigError(
                "expected a default remote of DVC, by which stages elsewhere are given their files, found none; "
                "dvc remote add --default NAME s3://BUCKET/PATH makes one"
            ) from error
        return cls(remote.fs, remote.fs.join(remote.path, OURS))

    def put(self, content: bytes, kind: str, name: str) -> None:
        """Store bytes under a name, unless the name exists."""
        path = self.fs.join(self.root, kind, name)
        if not self.fs.exists(path):
            self.fs.makedirs(self.fs.parent(path), exist_ok=True)
            with self.fs.open(path, "wb") as file:
                file.write(content)

    def get(self, kind: str, name: str) -> bytes:
        """The bytes that were stored under a name.

        Raises:
            DataError: There are none.
        """
        try:
            with self.fs.open(self.fs.join(self.root, kind, name), "rb") as file:
                return file.read()
        except FileNotFoundError as error:
            raise DataError(f"expected {kind} {name} in DVC's remote, found none ({self.root})") from error

    def push_work(self, folder: Path, key: str) -> None:
        """Send what a training has saved so far: its latest complete checkpoint, with the file that completes it last.

        Then the remote loses earlier checkpoints, and best weights that the folder no longer has. Complete checkpoints
        do not change; other files are sent again when they do. Answers that were paid for before the training are sent
        too, and what they took; they are beside its folder.
        """
        latest = _latest(folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file() and _is_sent(path, folder, latest))
        for path in files:
            self._push(path, self._place(key, OWN, path.relative_to(folder).as_posix()))
        for path in sorted(path for pattern in ANSWERS for path in folder.parent.glob(pattern)):
            self._push(path, self._place(key, BESIDE, path.name))
        if latest is not None and latest == _latest(folder):  # else the trainer may have begun to delete it
            self._complete(folder, key, latest, {path.relative_to(folder).parts[0] for path in files})

    def _complete(self, folder: Path, key: str, latest: str, kept: set[str]) -> None:
        """Send the file that completes the latest checkpoint; once it is there, delete what the folder has no more."""
        to = self._place(key, OWN, f"{latest}/{TRAINER_STATE}")
        before = to in self.sent
        if not self._push(folder / latest / TRAINER_STATE, to) or before:
            return
        for name, path in self._work(key, OWN).items():
            top = name.partition("/")[0]
            if top.startswith((CHECKPOINT, BEST)) and top not in {*kept, latest}:
                self.fs.remove(path)
                self.sent.pop(path, None)

    def _push(self, path: Path, to: str) -> bool:
        """Send a file unless the remote has its current version; False if the trainer deleted it meanwhile."""
        with suppress(FileNotFoundError):
            state = path.stat()
            mark = (state.st_mtime_ns, state.st_size)
            if not self._has(path, to, mark):
                self.fs.makedirs(self.fs.parent(to), exist_ok=True)
                self.fs.put_file(str(path), to)
            self.sent[to] = mark
            return True
        return False

    def _has(self, path: Path, to: str, mark: tuple[int, int]) -> bool:
        """Whether the remote has the file's current version."""
        if to in self.sent:
            return self.sent[to] == mark
        if not self.fs.exists(to) or self.fs.size(to) != mark[1]:
            return False
        return f"/{OWN}/{CHECKPOINT}" in to or path.suffix not in REWRITTEN

    def pull_work(self, folder: Path, key: str) -> None:
        """Fetch what an unfinished training has saved; of its checkpoints, the latest one that is complete."""
        for name, path in self._work(key, BESIDE).items():
            self._fetch(path, folder.parent / name)
        own = self._work(key, OWN)
        for name, path in own.items():
            if not name.startswith(CHECKPOINT):
                self._fetch(path, folder / name)
        for checkpoint in _latest_first(name.partition("/")[0] for name in own if name.endswith(f"/{TRAINER_STATE}")):
            for name, path in own.items():
                if name.startswith(f"{checkpoint}/"):
                    self._fetch(path, folder / name)
            if read_state(folder / checkpoint):
                return

    def _fetch(self, path: str, to: Path) -> None:
        to.parent.mkdir(parents=True, exist_ok=True)
        self.fs.get_file(path, str(to))

    def _place(self, key: str, part: str, name: str) -> str:
        return self.fs.join(self.root, WORK, key, part, name)

    def _work(self, key: str, part: str) -> dict[str, str]:
        """The files of a training that the remote has: the name of each in its folder, and its path."""
        root = self.fs.join(self.root, WORK, key, part)
        found = self.fs.find(root) if self.fs.exists(root) else ()
        return {self.fs.relpath(path, root): path for path in found}

    def drop_work(self, key: str) -> None:
        """Delete the checkpoints of a finished training."""
        root = self.fs.join(self.root, WORK, key)
        for path in self.fs.find(root) if self.fs.exists(root) else ():
            self.fs.remove(path)


def _is_sent(path: Path, folder: Path, latest: str | None) -> bool:
    """Whether a file is sent as soon as it is there: neither another checkpoint's nor the one that completes it."""
    top = path.relative_to(folder).parts[0]
    return not top.startswith(CHECKPOINT) or (top == latest and path != folder / top / TRAINER_STATE)


def _latest(folder: Path) -> str | None:
    """The name of a training's latest complete checkpoint."""
    names = _latest_first(path.name for path in folder.glob(f"{CHECKPOINT}*"))
    return next((name for name in names if read_state(folder / name)), None)


def _latest_first(names: Iterable[str]) -> list[str]:
    """The names of checkpoints, each once, by falling step."""
    steps = {int(step) for name in names if (step := name.removeprefix(CHECKPOINT)).isdecimal()}
    return [f"{CHECKPOINT}{step}" for step in sorted(steps, reverse=True)]


def digest_of(content: bytes) -> str:
    """An archive's name: its SHA-256."""
    return hashlib.sha256(content).hexdigest()


def unpack(content: bytes, folder: Path, name: str) -> None:
    """Write an archive's files.

    Raises:
        DataError: Its hash is not `name`, or it holds something other than files of a project.
    """
    if digest_of(content) != name:
        raise DataError(f"expected an archive with the hash {name}, found {digest_of(content)}")
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for entry in archive:
            to, data = folder / entry.name, archive.extractfile(entry)
            if data is None or ".." in Path(entry.name).parts or Path(entry.name).is_absolute():
                raise DataError(f"expected files of a project in an archive, found {entry.name!r}")
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(data.read())


def remote_settings(repo: Any) -> str:
    """The default remote's settings as JSON; access keys come from the other machine's environment.

    Raises:
        ConfigError: There is no default remote, or its address contains a password.
    """
    Remote.of(repo)
    remote = repo.config["remote"][repo.config["core"]["remote"]]
    for name in ("url", "endpointurl"):
        address = urlsplit(str(remote.get(name, "")))
        if address.password is not None:
            shown = f"{address.scheme}://{address.username}:…@{address.hostname or ''}{address.path}"
            raise ConfigError(
                "expected the address of DVC's remote without a password, which would travel with it, "
                f"found {shown}; dvc remote modify --local keeps one"
            )
    return json.dumps({field: remote[field] for field in CARRIED if field in remote}, sort_keys=True)


def attach(folder: Path, settings: str) -> None:
    """Make a folder a DVC project with this remote, without git."""
    from dvc.config import Config

    (folder / ".dvc").mkdir(parents=True, exist_ok=True)
    (folder / ".dvc" / "config").touch()
    with Config(str((folder / ".dvc").resolve())).edit("local") as local:
        settings_of: Any = local
        settings_of["core"] |= {"remote": NAME, "no_scm": True}
        settings_of["remote"] = {NAME: json.loads(settings)}


def key_of(repo: Any, run: Run, name: str) -> str:
    """A key for a stage with its current inputs: stages with the same key would do the same work.

    Raises:
        DvcException: A file that the stage reads is missing.
    """
    from dvc.stage.serialize import to_single_stage_lockfile

    stage = repo.stage.load_one(str(RUNS / run.name / "dvc.yaml"), name)
    stage.save_deps()
    content = {field: value for field, value in to_single_stage_lockfile(stage).items() if field != "outs"}
    return digest_of(json.dumps([run.name, name, content], sort_keys=True, default=str).encode())[:32]


def environment_of(commit: str, settings: str) -> dict[str, str]:
    """The environment variables that a stage elsewhere is given, none of them secret.

    Raises:
        ConfigError: An address among them contains a login or a query.
    """
    kept = {name: os.environ[name] for name in (*PASSED, *ADDRESSES) if os.environ.get(name)}
    for name in ADDRESSES:
        parts = urlsplit(kept.get(name, ""))
        if "@" in parts.netloc or parts.query:
            raise ConfigError(
                f"expected the address in {name} without a login and a query, which would travel with it, found one of "
                f"{parts.scheme}://{parts.hostname or ''}{parts.path} with them; keys come from the pool's Secret"
            )
    return {**kept, "GRADUS_COMMIT": commit, "GRADUS_DVC_REMOTE": settings}
