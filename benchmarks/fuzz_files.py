"""Fuzzes every kind of file that Gradus reads: sources, settings, prompts, keys, records, spool, lake, backups.

A seeded generator changes intact files at random places (`fuzz_readers.changed`). Each must be read, or refused in one
sentence; state files may be set aside. Anything but a GradusError is a failure.
"""

import gzip
import io
import json
import random
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.fuzz_readers import changed, examples
from components.data.init import read_input
from components.data.reading.folders import Options
from components.data.rows import rows_of
from components.data.tables import read_table
from components.errors import GradusError
from components.params import Pipeline, Profile, load
from components.prompts import load_prompt
from components.records import Feedback, Message, Trace, Usage, production_line, read_jsonl, read_record
from components.registry.translation import translated
from components.serving.access import FILE_VARIABLE, Keys, key_hash
from components.serving.forgotten import sparing
from components.serving.owners import salt
from components.serving.spool import Spool
from components.stages.backup import MANIFEST, Manifest, restore
from components.training.checkpoints import IDENTITY, claim, last_checkpoint
from monitoring.lake import Lake
from monitoring.upkeep import compact

ROOT = Path(__file__).resolve().parents[1]
WORKLOAD, DAY = "shop", "1970-01-12"  # of the records' time, a million seconds
MOST = 1 << 20  # bytes that readings may leave in the folder before it is recreated


@dataclass(frozen=True)
class Files:
    """A kind of file: intact ones by name, and their reader."""

    name: str
    whole: Callable[[], dict[str, bytes]]
    read: Callable[[Path], object]
    share: float = 1.0


def damaged(files: Files, n: int, number: int, use: Callable[[Callable[[], object], object], None]) -> None:
    """Pass so many readings of damaged files, with their content, to `use`; refusals are not errors."""
    rng, whole = random.Random(f"{files.name}/{number}"), list(files.whole().items())
    contents = [content for _, content in whole]
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as place:
        for count in range(n):
            folder = Path(place) / str(count)
            name, content = rng.choice(whole)
            content = changed(rng, content, contents)
            path = folder / (name if rng.random() < 0.8 else rng.choice(whole)[0])
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
            use(lambda path=path: _told(files.read, path), content)
            shutil.rmtree(folder)


def _told(read: Callable[[Path], object], path: Path) -> None:
    try:
        read(path)
    except GradusError as error:
        assert "\n" not in str(error), f"more than one line: {error}"


# -- what reads them


def _source(path: Path) -> None:
    reading = read_input(path, Options(translate=translated))
    rows_of(reading.source, reading.meaning)


def _spool(path: Path) -> None:
    spool = Spool(path.parent)
    spool.drain(lambda _, lines: json.loads(lines[0]))
    spool.close()
    assert not path.exists(), "expected the segment to be stored or set aside"


def _lake(path: Path) -> None:
    lake = Lake(path.parents[3])
    lake.read(Trace, WORKLOAD)
    lake.read(Feedback, WORKLOAD)
    lake.sample(WORKLOAD, 1, (0.0, 2e9), 1)
    compact(lake, 2e6)


def _forgotten(path: Path) -> None:
    stored: list[str] = []
    sparing(lambda _, lines: stored.extend(lines), path)("segment", [production_line(_trace(0))])
    assert len(stored) == 1, "expected what nobody forgot to be stored"


def _checkpoint(path: Path) -> None:
    claim(path.parents[1] if path.parent.name.startswith("checkpoint") else path.parent, "0123")
    last_checkpoint(path.parent)


# -- whole ones


@cache
def _settings() -> dict[str, bytes]:
    return {"pipeline.yaml": (ROOT / "params" / "pipeline.yaml").read_bytes()}


@cache
def _profiles() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((ROOT / "params" / "profiles").glob("*.yaml"))}


@cache
def _prompts() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((ROOT / "params" / "prompts" / "triage").glob("*.md"))}


def _trace(number: int) -> Trace:
    return Trace(
        id=f"chatcmpl-{number}", at=1e6, workload=WORKLOAD, version=1, method="sft", input={"message": "late"},
        messages=(Message(role="user", content="late"),), text="{}", finish_reason="stop",
        usage=Usage(input_tokens=1, output_tokens=1), latency_ms=1.0, valid=True,
    )  # fmt: skip


def _lines() -> list[str]:
    feedback = Feedback(trace_id="chatcmpl-1", at=1e6, workload=WORKLOAD, corrected="{}")
    return [production_line(record) for record in (_trace(0), _trace(1), feedback)]


@cache
def _parquet() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder))
        lake.store("one", _lines())
        compact(lake, 2e6)
        lake.store("two", _lines()[:1])
        return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*.parquet")}


@cache
def _backups() -> dict[str, bytes]:
    import hashlib

    files = {"params/pipeline.yaml": b"a: 1\n", "state/lake/one": b"x" * 300}
    listed = Manifest(head="", files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()})
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in (files | {MANIFEST: listed.model_dump_json().encode()}).items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return {"backup.tar.gz": gzip.compress(buffer.getvalue(), 1), "plain.tar": buffer.getvalue()}


def _restore(path: Path) -> None:
    if path.suffix == ".tar":  # damage behind a whole compression
        path.write_bytes(gzip.compress(path.read_bytes(), 1))
    restore(path, path.parent / "project")


KEYS = f"# who may ask\n{key_hash('a')} billing\n{key_hash('b')} role=reviewer\n".encode()
SEGMENT = ("".join(f"{line}\n" for line in _lines())).encode()
RECORDS = {"traces.jsonl": "".join(_trace(n).model_dump_json() + "\n" for n in range(3)).encode()}
CHECKPOINTS = {
    f"work/{IDENTITY}": b'{"identity": "0123"}\n',
    "work/checkpoint-10/trainer_state.json": b'{"global_step": 10, "log_history": []}\n',
}
FILES = [
    Files("source", examples, _source, 6),
    Files("table of lines", lambda: _endings(".jsonl"), lambda path: read_table(path, "jsonl"), 2),
    Files("table of columns", lambda: _endings(".csv"), lambda path: read_table(path, "csv"), 2),
    Files("settings", _settings, lambda path: load(path, Pipeline), 0.5),
    Files("profile", _profiles, lambda path: load(path, Profile), 1),
    Files("prompt", _prompts, lambda path: load_prompt(path.parent, path.stem, ("message", "channel"))),
    Files("keys", lambda: {"keys": KEYS}, lambda path: Keys.read({FILE_VARIABLE: str(path)})),
    Files("salt", lambda: {"salt": b"0f" * 32}, salt, 0.5),
    Files("what is forgotten", lambda: {"forgotten": b"0f" * 32 + b"\n"}, _forgotten),
    Files("records", lambda: RECORDS, lambda path: read_jsonl(path, Trace)),
    Files("a record", lambda: {"trace.json": _trace(0).model_dump_json(indent=1).encode()},
          lambda path: read_record(path, Trace)),
    Files("segment", lambda: {"00000000000000000001-a.jsonl": SEGMENT}, _spool, 2),
    Files("lake", _parquet, _lake, 1),
    Files("checkpoint", lambda: CHECKPOINTS, _checkpoint, 0.5),
    Files("backup", _backups, _restore, 1),
]  # fmt: skip


def _endings(ending: str) -> dict[str, bytes]:
    return {name: content for name, content in examples().items() if name.endswith(ending)}
