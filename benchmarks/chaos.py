"""Random faults of every kind: is every acknowledged trace in the lake exactly once, and readable by nobody else?

A process writes traces and feedback to a spool, empties it into the lake and merges the lake's files, concurrently in
threads, while connections are being opened. Its system calls fail at random (no descriptors, no space, a read-only or
broken disk, partial writes), its clock jumps, the spool's folder disappears, the store is unavailable, half-written
files appear, and it is killed with SIGKILL at a random moment. Then the stored traces are compared with the
acknowledged ones, and what is read from the lake with a fault-free lake of the same records. The faults are simulated
in the process: no disk or kernel really fails. Stages are not covered.

    python -m benchmarks.chaos --faults 1000
"""

import argparse
import errno
import hashlib
import importlib
import io
import json
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ERRORS = (errno.EMFILE, errno.ENOSPC, errno.EROFS, errno.EIO)
DAY = 86_400.0
MOST_S = 1.2  # maximum lifetime of a process
SHARE = 0.05  # of calls that fail
WORKLOAD = "shop"


def main() -> None:
    """Measure, print, and write the record."""
    from benchmarks.engine_speed import machine, write

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=1000, help="until so many have happened")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "chaos.json")
    options = parser.parse_args()
    record = measure(options.faults, options.seed)
    for name, value in record.items():
        print(f"{name:16} {value}")
    command = " ".join(["python -m benchmarks.chaos", *sys.argv[1:]])
    before = json.loads(options.output.read_text(encoding="utf-8")) if options.output.exists() else {}
    others = {"flows": before["flows"]} if "flows" in before else {}  # of `benchmarks.chaos_flows`
    where = machine() | {"command": command, "date": time.strftime("%Y-%m-%d", time.gmtime())}
    write(options.output, record | where | others)
    if record["lost"] or record["doubled"] or record["misdirected"] or record["results_differ"]:
        raise SystemExit("traces were lost, doubled, misdirected or changed")


def measure(faults: int, seed: int) -> dict[str, Any]:
    """Run trials, each with its own seed, until so many faults have happened; return the totals."""
    for name in (
        "monitoring.candidates",
        "monitoring.upkeep",
    ):  # imported here, so that processes do not spend their short lives on it
        importlib.import_module(name)
    logging_off()
    total: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    while sum(kinds.values()) < faults:
        folder = Path(tempfile.mkdtemp(prefix="gradus-chaos-"))
        try:
            counts, happened = trial(folder, seed + total["trials"])
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        total.update(counts)
        kinds.update(happened)
        total["trials"] += 1
        if any(counts[name] for name in ("lost", "doubled", "misdirected", "results_differ")):
            print(f"seed {seed + total['trials'] - 1}: {dict(counts)}", flush=True)
    names = ("trials", "acknowledged", "refused", "lost", "doubled", "misdirected", "results_differ")
    sums = {name: total[name] for name in names}
    return {"faults": sum(kinds.values()), "kinds": dict(sorted(kinds.items())), "seed": seed, **sums}


def trial(folder: Path, seed: int) -> tuple[Counter[str], Counter[str]]:
    """Run processes, one after another, on the same folder; then compare what is there with what was acknowledged."""
    rng = random.Random(seed)
    acknowledged, counts, happened = list[str](), Counter[str](), Counter[str]()
    for part in range(4):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            try:
                Life(folder, writing, random.Random(f"{seed}/{part}"), f"{seed}-{part}").live()
            finally:
                os._exit(0)
        os.close(writing)
        threading.Timer(rng.uniform(0.2, MOST_S), os.kill, (child, signal.SIGKILL)).start()
        with open(reading, encoding="utf-8") as words:
            for line in words:
                kind, _, word = line.rstrip("\n").partition(" ")
                if kind == "A":
                    acknowledged.append(word)
                elif kind == "F":
                    happened[word] += 1
                else:
                    counts[{"R": "refused", "M": "misdirected"}[kind]] += 1
        os.waitpid(child, 0)
        happened["kill -9"] += 1
        happened["half-written file"] += _half_written(folder, rng)
    counts["acknowledged"] = len(acknowledged)
    counts.update(_compared(folder, acknowledged))
    return counts, happened


def _half_written(folder: Path, rng: random.Random) -> int:
    """Leave what a power cut may leave: half a file in the lake, and half a line in an orphaned segment."""
    days = list((folder / "lake").glob("*/*/day=*"))
    if days:
        (rng.choice(days) / f"half-{rng.random()}.parquet").write_bytes(b"PAR1" + rng.randbytes(200))
    (folder / "spool").mkdir(exist_ok=True)
    (folder / "spool" / f"{1:020d}-{rng.randrange(10**9)}.jsonl").write_bytes(b'{"format":2,"id":"half')
    return 2 if days else 1


def _compared(folder: Path, acknowledged: list[str]) -> Counter[str]:
    """Store what is pending, without faults, and count."""
    from components.records import Feedback, Trace
    from components.serving.spool import Spool
    from monitoring.lake import Lake
    from monitoring.upkeep import compact

    lake, plain = Lake(folder / "lake"), Lake(folder / "plain")
    spool = Spool(folder / "spool")
    spool.drain(lake.store)
    spool.close()
    for moved in sorted(folder.glob("moved-*")):  # moved-away folders are given back
        again = Spool(moved)
        again.drain(lake.store)
        again.close()
    records = [*lake.read(Trace, WORKLOAD), *lake.read(Feedback, WORKLOAD)]
    there = Counter(record.id if isinstance(record, Trace) else f"feedback-{record.trace_id}" for record in records)
    plain.store("all", [record.model_dump_json() for record in records])
    compact(lake, time.time() + 3 * DAY)
    return Counter({
        "lost": len(set(acknowledged) - there.keys()),
        "doubled": sum(count > 1 for count in there.values()),
        "results_differ": int(_results(lake) != _results(plain)),
    })  # fmt: skip


def _results(lake: Any) -> str:
    """A hash of everything that scoring, watch and retraining read."""
    from components.records import Feedback, Trace
    from monitoring.candidates import Terms, candidates

    window = (0.0, 3e9)
    read: list[Any] = [*lake.read(Trace, WORKLOAD), *lake.read(Feedback, WORKLOAD)]
    read += [*lake.sample(WORKLOAD, 1, window, 50)[0], *lake.share(WORKLOAD, 0.3, window)]
    read += candidates(lake, WORKLOAD, 0.0, Terms(1.0))
    return hashlib.sha256("\n".join(sorted(record.model_dump_json() for record in read)).encode()).hexdigest()


class Life:
    """A process that writes, empties and merges, while its system calls fail."""

    def __init__(self, folder: Path, pipe: int, rng: random.Random, name: str) -> None:
        self.folder, self.rng, self.name = folder, rng, name
        self._told, self._say = pipe, os.write
        self._near: list[tuple[socket.socket, socket.socket]] = []

    def say(self, word: str) -> None:
        """Send a line to the parent, shorter than a pipe's atomic write."""
        self._say(self._told, f"{word}\n".encode())

    def live(self) -> None:
        """Work until killed."""
        from components.serving.spool import Spool
        from monitoring.lake import Lake

        lake, spool = Lake(self.folder / "lake"), Spool(self.folder / "spool")
        lake.store("first", [self._trace("first").model_dump_json()] if self.name.endswith("-0") else [])
        if self.name.endswith("-0"):
            self.say(f"A {self._trace('first').id}")
        self._sabotage()
        for work in (lambda: spool.drain(self._away(lake.store)), lambda: self._merge(lake)):
            threading.Thread(target=self._again, args=(work,), daemon=True).start()
        ends, number = time.monotonic() + MOST_S, 0
        while time.monotonic() < ends:
            self._append(spool, number)
            self._listen()
            number += 1
            time.sleep(0.001)

    def _append(self, spool: Any, number: int) -> None:
        from components.records import Feedback

        record: Any = self._trace(str(number))
        name = record.id
        if number % 5 == 4:
            record = Feedback(trace_id=f"{self.name}-{number - 1}", at=record.at, workload=WORKLOAD, corrected="{}")
            name = f"feedback-{record.trace_id}"
        try:
            spool.append(record)
            self.say(f"A {name}")
        except OSError:
            self.say("R")
        if self.rng.random() < SHARE / 10:
            self._lose_folder()

    def _lose_folder(self) -> None:
        """Move the spool's folder away."""
        with suppress(OSError):
            (self.folder / "spool").rename(self.folder / f"moved-{self.name}-{self.rng.random()}")
            self.say("F the spool's folder moved")

    def _listen(self) -> None:
        """Open connections now and then, and check that nothing is written to them by mistake."""
        if self.rng.random() < 0.2:
            self._near.append(socket.socketpair())
            self._near[-1][1].setblocking(False)
        for _, far in self._near:
            try:
                self.say(f"M {len(far.recv(1000))}")
            except BlockingIOError:
                continue
        for pair in self._near[:-12]:
            for side in pair:
                side.close()
        del self._near[:-12]

    def _trace(self, number: str) -> Any:
        from components.records import Message, Trace, Usage

        return Trace(
            id=f"{self.name}-{number}", at=time.time(), workload=WORKLOAD, version=1, method="sft",
            input={"message": number}, messages=(Message(role="user", content=f"ticket {number}"),), text="{}",
            finish_reason="stop", usage=Usage(input_tokens=1, output_tokens=1), latency_ms=1.0, valid=True,
        )  # fmt: skip

    def _again(self, work: Callable[[], object]) -> None:
        while True:
            with suppress(OSError, ValueError):
                work()
            time.sleep(0.01)

    def _merge(self, lake: Any) -> None:
        from monitoring.upkeep import compact

        compact(lake, time.time() + 3 * DAY)

    def _away(self, store: Callable[..., None]) -> Callable[..., None]:
        """The store, sometimes unavailable, or failing after it has stored."""

        def stored(segment: str, lines: list[str]) -> None:
            if self._fails("the store is away"):
                raise ConnectionError("nobody answers")
            store(segment, lines)
            if self._fails("the store took it and did not say so"):
                raise ConnectionError("no answer")

        return stored

    def _fails(self, what: str) -> bool:
        if self.rng.random() >= SHARE:
            return False
        self.say(f"F {what}")
        return True

    def _sabotage(self) -> None:
        """Make system calls fail at random from now on."""
        from components.serving import segment
        from monitoring import parquet

        fails, rng, say = self._fails, self.rng, self.say

        def failing(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **named: Any) -> Any:
                if rng.random() < SHARE:
                    number = rng.choice(ERRORS)
                    say(f"F {name}: {errno.errorcode[number]}")
                    raise OSError(number, os.strerror(number))
                return real(*arguments, **named)

            return call

        class Disk(io.FileIO):
            def write(self, content: Any) -> int:
                if fails("write: cut"):
                    return super().write(content[: rng.randrange(len(content))])
                if fails("write: ENOSPC after a part"):
                    super().write(content[: rng.randrange(len(content))])
                    raise OSError(errno.ENOSPC, "No space left on device")
                return super().write(content)

        def opened(path: Any, mode: str, **named: Any) -> Any:
            return Disk(str(path), mode.replace("b", ""), opener=named["opener"])

        segment.open = failing("open", opened)  # type: ignore[attr-defined]
        os.ftruncate = failing("ftruncate", os.ftruncate)
        os.stat = failing("stat", os.stat)
        parquet.sync = failing("fsync", parquet.sync)  # type: ignore[assignment]
        for name in ("unlink", "replace", "rename", "mkdir", "open"):
            setattr(Path, name, failing(name, getattr(Path, name)))
        real_ns = time.time_ns

        def jumping() -> int:
            jump = rng.choice((-1, 1)) * rng.randrange(10**15) if fails("the clock jumps") else 0
            return max(0, real_ns() + jump)

        time.time_ns = jumping


def logging_off() -> None:
    """Disable logging: the failures are intended."""
    import logging

    logging.disable(logging.CRITICAL)


if __name__ == "__main__":
    main()
