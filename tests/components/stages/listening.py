"""Hears which files, variables and settings a stage reads, and compares them with what its node declares.

Files by Python's audit events (`open`, and folders that are listed); variables of the environment by who reads them;
settings by the fields that are read. Not heard: whether a file exists, files that compiled libraries open themselves
(weights, tokenizers), and Gradus's own code, of which a node declares what decides its results.
"""

import os
import re
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from components.params import Settings
from components.stages.graph import StageNode
from components.stages.run import Run
from components.stages.scoring import _opened

ROOT = Path(__file__).resolve().parents[3]
# The record, what makes work resumable, links to a model's files, a judge's verdicts.
KEPT = ("state/judge", "state/mlflow", "state/compiled", "state/locks", "state/training", "state/models")
PASSED_THROUGH = {"os", "_collections_abc", "collections.abc"}
# The run's name has the names, and the stage's command has the run's name; how many processes share a batch decides no
# more of it than how many cores do.
EXEMPT = ("workload.name", "profile.name", "profile.launcher")
WHOLE = {"model_dump", "model_dump_json", "model_copy"}
PART = re.compile(r"(\.\d+)?\.part$")  # of what is written first, with the number of the process that writes it
WRITING = os.O_WRONLY | os.O_RDWR

_listeners: list["Heard"] = []  # none, or the one who listens


@dataclass
class Heard:
    """What was read and written: paths and settings as they are declared, variables as (module, name)."""

    project: Path
    read: set[str] = field(default_factory=set)
    listed: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    variables: set[tuple[str, str]] = field(default_factory=set)
    settings: set[str] = field(default_factory=set)

    def note(self, kind: set[str], path: str) -> None:
        """Note a path, where it lies in the project or is a data file of the code.

        What is written under another name first, and then put in place, counts as what it becomes.
        """
        absolute = Path(os.path.abspath(path))
        if "__pycache__" in absolute.parts:
            return
        if absolute.is_relative_to(self.project):
            kind.add("/".join(PART.sub("", part) for part in absolute.relative_to(self.project).parts))
        elif absolute.is_relative_to(ROOT / "components") and absolute.suffix not in ("", ".py"):
            kind.add(str(absolute.relative_to(ROOT)))

    def undeclared(self, node: StageNode) -> dict[str, list[str]]:
        """What the node does not declare, by kind; empty where all is declared."""
        kinds = {
            "reads": outside(self.read, (*node.deps, *node.outs, *KEPT)),
            "lists": [
                folder
                for folder in outside(self.listed, (*node.deps, *node.outs, *KEPT))
                if not any(known.startswith(f"{folder}/") for known in (*node.deps, *node.outs))
            ],
            "writes": outside(self.written, (*node.outs, *KEPT)),
            "settings": outside(self.settings, (*node.settings, *EXEMPT), "."),
        }
        return {kind: items for kind, items in kinds.items() if items}


def outside(items: Iterable[str], declared: Iterable[str], separator: str = "/") -> list[str]:
    """The paths that are neither declared nor in a declared folder."""
    known = tuple(declared)
    return sorted(
        item for item in items if not any(item == each or item.startswith(each + separator) for each in known)
    )  # fmt: skip


@contextmanager
def listening(run: Run, project: Path) -> Generator[tuple[Run, Heard]]:
    """A run that is listened to: as it was loaded, with nothing that an earlier stage left in memory."""
    _hook_once()
    _opened.cache_clear()
    heard, fresh = Heard(project), replace(run)
    with pytest.MonkeyPatch.context() as patch:
        _hear_settings(patch, fresh, heard)
        _hear_variables(patch, heard)
        _listeners.append(heard)
        try:
            yield fresh, heard
        finally:
            _listeners.clear()


def _hook_once() -> None:
    """Install the audit hook once, because it cannot be removed; it notes nothing without listeners."""
    if not getattr(_hook_once, "done", False):
        sys.addaudithook(_hear)
        _hook_once.done = True  # pyright: ignore[reportFunctionMemberAccess]


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if not _listeners or event not in ("open", "os.listdir", "os.scandir", "sqlite3.connect"):
        return
    listener = _listeners[0]
    path = os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes | os.PathLike) else None
    # Not what was opened before, by its descriptor, nor the importer's look at the places where modules are.
    if path is None or os.path.abspath(path) in map(os.path.abspath, sys.path):
        return
    if event == "open":
        _, mode, flags = arguments
        if mode is None and flags & os.O_DIRECTORY:
            _hear("os.scandir", (path,))
            return
        writes = any(letter in mode for letter in "wax+") if mode else bool(flags & WRITING)
        if writes or os.path.lexists(path):  # else a name within a folder that is being removed, or nothing to read
            listener.note(listener.written if writes else listener.read, path)
    elif event == "sqlite3.connect" and path != ":memory:":
        listener.note(listener.read, path)
    elif os.path.isdir(path):
        listener.note(listener.listed, path)


def _hear_settings(patch: pytest.MonkeyPatch, run: Run, heard: Heard) -> None:
    """Note the dotted path of every field that is read of the run's settings."""
    paths: dict[int, str] = {}
    for name in ("workload", "profile", "gate", "certificate", "hacking", "audit", "advice", "watch", "retraining"):
        _number(getattr(run, name), name, paths)
    for rung in run.rungs:
        _number(rung.settings, f"rungs.{rung.name}.settings", paths)
    read = object.__getattribute__

    def setting(self: Settings, name: str) -> Any:
        value = read(self, name)
        if (path := paths.get(id(self))) is not None:
            if name in WHOLE:
                heard.settings.add(path)
            elif name in type(self).model_fields and id(value) not in paths:
                heard.settings.add(f"{path}.{name}")
        return value

    def of_run(self: Run, name: str) -> Any:
        if name == "seed":
            heard.settings.add("seed")
        return read(self, name)

    patch.setattr(Settings, "__getattribute__", setting, raising=False)
    patch.setattr(Run, "__getattribute__", of_run, raising=False)


def _number(value: Any, path: str, paths: dict[int, str]) -> None:
    """Settings by identity → the dotted path under which they are declared."""
    if isinstance(value, Settings):
        paths[id(value)] = path
        for name in type(value).model_fields:
            _number(getattr(value, name), f"{path}.{name}", paths)
    elif isinstance(value, dict | tuple | list):
        for item in value.values() if isinstance(value, dict) else value:
            _number(item, path, paths)


def _hear_variables(patch: pytest.MonkeyPatch, heard: Heard) -> None:
    """Note which module of the components reads which variable."""
    kind = type(os.environ)
    get, names = kind.__getitem__, kind.__iter__

    def item(self: Any, name: str) -> str:
        _note(heard, name)
        return get(self, name)

    def every(self: Any) -> Iterator[str]:
        _note(heard, "*")
        return names(self)

    patch.setattr(kind, "__getitem__", item)
    patch.setattr(kind, "__iter__", every)


def _note(heard: Heard, name: str) -> None:
    frame: Any = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__") in PASSED_THROUGH:
        frame = frame.f_back
    module = str(frame.f_globals.get("__name__", "")) if frame is not None else ""
    if module.startswith("components."):
        heard.variables.add((module, name))
