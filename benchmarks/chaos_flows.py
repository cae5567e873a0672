"""Faults in whole commands (climb, retraining, release, serving): is the result that of an undisturbed command?

A small project (two layers, real code) is made once and copied. In the copy, a command runs again and again while
system calls fail in its processes (`faults/sitecustomize.py`), processes are killed with SIGKILL at random moments,
half-written files appear, clocks are days off, and the record is locked or unavailable. Then it runs to its end without
faults, and its result is compared by hash with that of an undisturbed command. Serving is a real `gradus serve`:
everything that it acknowledged over HTTP must be in the lake exactly once.

    python -m benchmarks.chaos_flows --scenarios climb release retrain serve --tries 6
"""

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LAYER = ROOT / "benchmarks" / "faults"
CALM_TRIES = 3  # of the command without faults: the first ones may end with instructions for a person
COMMAND_S = 1500.0
STARTS_S, SERVED_S = 900.0, 120.0  # at most, until a server's first answer and from then on
KILLED_S = 60.0  # at most after a command's begin, unless it takes longer undisturbed
# What differs between two climbs with the same settings: times, ids of runs, and paths.
CHANGES = re.compile(
    r'"(seconds|latency_ms|p50_ms|p95_ms|at|date|started|began|finished|git_commit|commit|run_id|milliseconds[a-z_]*|'
    r'[a-z_]*_seconds|[a-z_]*usd[a-z_]*|throughput|created)": ?(\{[^{}]*\}|\[[^\]\[]*\]|"[^"]*"|[^,}\]\n]+)'
)

# What a retraining climbs here; the whole ladder is the climb's.
SHORT = "rungs:\n  classical: {method: classical}\n  prompts: {method: prompt, each: prompts}\n"
MADE = re.compile(r"data/.*\.jsonl|rungs/[^/]+/artifact/|answers/.*\.jsonl")


def main() -> None:
    """Measure, print, and add to `benchmarks.chaos`'s record."""
    from benchmarks.engine_speed import machine, write

    options = parse()
    record: dict[str, Any] = json.loads(options.output.read_text(encoding="utf-8")) if options.output.exists() else {}
    flows: dict[str, Any] = record.get("flows", {})
    with tempfile.TemporaryDirectory(prefix="gradus-chaos-") as place:
        bench = Bench(Path(place), options.seed, options.tries, options.climbed)
        for name in options.scenarios:
            flows[name] = SCENARIOS[name](bench)
            flows[name] |= machine() | {"command": command()}
            print(json.dumps({name: flows[name]}, indent=1), flush=True)
            write(options.output, record | {"flows": flows})
    if any(row["results_differ"] or row.get("lost") or row.get("doubled") for row in flows.values()):
        raise SystemExit("a command ended in another result than the undisturbed one")
    if any(row.get("acknowledged") == 0 for row in flows.values()):
        raise SystemExit("expected answers of a disturbed server, found none: nothing is known of it")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--tries", type=int, default=6, help="disturbed runs of each command")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--climbed", type=Path, help="a folder that keeps the undisturbed climb from call to call")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "chaos.json")
    return parser.parse_args()


def command() -> str:
    """The command line of this call."""
    return " ".join(["python -m benchmarks.chaos_flows", *sys.argv[1:]])


class Bench:
    """The undisturbed small project, and copies of it."""

    def __init__(self, place: Path, seed: int, tries: int, kept: Path | None = None) -> None:
        self.place, self.rng, self.tries, self._kept = place, random.Random(seed), tries, kept
        self.happened: Counter[str] = Counter()
        self._log, self._read = place / "faults.log", 0
        self._template: Any = None
        self._climbed: Any = None

    def fresh(self) -> Any:
        """A project that has not climbed."""
        from tests.flows import conftest as small

        if self._template is None:
            folder = self.place / "template"
            folder.mkdir()
            self._template = small.lay_out(folder)
        return self._copy(self._template)

    def climbed(self) -> Any:
        """A project that has a champion."""
        if self._climbed is None:
            self._climbed = self._climb()
        return self._copy(self._climbed)

    def _climb(self) -> Any:
        """The undisturbed climb, that of an earlier call where it was kept."""
        from tests.flows import conftest as small

        if self._kept is not None and self._kept.is_dir():
            return small.Project(self._kept)
        project = self.fresh()
        done = project.climb()
        if done.returncode:
            raise SystemExit(f"expected an undisturbed climb, found\n{done.stderr[-2000:]}")
        if self._kept is not None:
            shutil.copytree(project.folder, self._kept, symlinks=True)
        return project

    def served(self) -> Any:
        """A project whose champion is a model of two layers; it has not climbed."""
        from benchmarks.serving import prepare
        from components.prompts import load_prompt
        from tests.flows import conftest as small

        model, folder = self.place / "model", self.place / "served"
        small.save_tiny_model(model)
        shutil.copyfile(ROOT / "params" / "prompts" / "triage" / "short.md", model / "prompt.md")
        prepare(model, load_prompt(model, "prompt", ("message", "channel")), folder)
        return small.Project(folder)

    def _copy(self, project: Any) -> Any:
        to = Path(tempfile.mkdtemp(prefix="project-", dir=self.place))
        shutil.copytree(project.folder, to, dirs_exist_ok=True, symlinks=True)
        return type(project)(to)

    def disturbed(self, project: Any, words: list[str], seconds: float) -> int:
        """Run a command under faults, perhaps killed at a random moment, at most so late; return its exit code."""
        faults = {
            "GRADUS_FAULTS": f"{self.rng.random()}:{self.rng.choice((150, 600, 3000))}",
            "GRADUS_FAULTS_FOLDER": str(project.folder), "GRADUS_FAULTS_LOG": str(self._log),
            "PYTHONPATH": os.pathsep.join((str(LAYER), str(project.folder))),
        }  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", *words], cwd=project.folder, env={**project.environment, **faults},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        with self._record_in_the_way(project):
            if self.rng.random() < 0.6:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(self.rng.uniform(1, seconds))
            else:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(COMMAND_S)
        if process.poll() is None:
            self.happened["kill -9 of all processes"] += 1
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._half_written(project)
        self._noted()
        return process.returncode

    @contextmanager
    def _record_in_the_way(self, project: Any) -> Generator[None]:
        """In a third of the cases, lock or remove the record for a while."""
        database, kind = project.folder / "state" / "mlflow.db", self.rng.choice(("locked", "away", "", "", "", ""))
        stop = threading.Event()

        def hinder() -> None:
            stop.wait(self.rng.uniform(0.5, 5))
            if not database.is_file():
                return
            self.happened[f"the record is {kind}"] += 1
            if kind == "locked":
                connection = sqlite3.connect(database, isolation_level=None, timeout=5)
                with closing(connection), suppress(sqlite3.OperationalError):
                    connection.execute("BEGIN EXCLUSIVE")
                    stop.wait(3)
                    connection.execute("ROLLBACK")
            else:
                aside = database.with_name("mlflow.db.away")
                database.rename(aside)
                stop.wait(3)
                aside.replace(database)

        thread = threading.Thread(target=hinder)
        if kind:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            if kind:
                thread.join()

    def _half_written(self, project: Any) -> None:
        """Leave half a file under a writer's temporary name."""
        folders = [path for path in (project.folder / "artifacts").rglob("*") if path.is_dir()]
        if folders:
            (self.rng.choice(folders) / "half.part").write_bytes(b'{"half": ')
            self.happened["half-written file"] += 1

    def _noted(self) -> None:
        if self._log.is_file():
            lines = self._log.read_text(encoding="utf-8").splitlines()
            self.happened.update(lines[self._read :])
            self._read = len(lines)


def calm(project: Any, words: list[str], is_done: Callable[[Any], bool] = lambda project: False) -> tuple[bool, str]:
    """Run the command without faults, unless nothing is left to do; whether it succeeded, and its last output."""
    output = ""
    for _ in range(CALM_TRIES):
        if is_done(project):
            return True, output
        done = project.call("flows.cli", *words)
        output = (done.stderr or done.stdout)[-600:]
        if done.returncode == 0:
            return True, output
    return False, output


def results(project: Any) -> dict[str, str]:
    """Hashes of a climb's results (answers, scores, weights, decisions), without what always differs."""
    hashes: dict[str, str] = {}
    for path in sorted(project.artifacts.rglob("*")):
        name = path.relative_to(project.artifacts).as_posix()
        if not path.is_file() or name.startswith("stages/") or path.suffix in (".html", ".part", ".png", ".svg"):
            continue
        hashes[name] = digest_of(path)
    return hashes


def seconds_of(project: Any) -> float:
    """How long the stages of a climb took."""
    return sum(record.seconds for record in project.stages().values())


def digest_of(path: Path) -> str:
    """SHA-256 of a file; of JSON without what always differs, of a classifier (a zip with times) what it has learnt."""
    if path.suffix == ".skops":
        from components.evaluation import classical

        return classical.load(path.parent).digest()
    content = path.read_bytes()
    if path.suffix in (".json", ".jsonl"):
        content = CHANGES.sub("", content.decode()).encode()
    return hashlib.sha256(content).hexdigest()


def aliases(project: Any) -> dict[str, int]:
    """The version of the workload for each alias."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{project.folder / 'state' / 'mlflow.db'}")
    return {name: int(number) for name, number in client.get_registered_model("triage").aliases.items()}


@dataclass(frozen=True)
class Flow:
    """A command, what it results in, by name, and after how long it is killed at the latest.

    `is_done` says where a command would only report that nothing is left to do.
    """

    words: list[str]
    result: Callable[[Any], dict[str, Any]]
    latest_s: float
    is_done: Callable[[Any], bool] = lambda project: False


def compared(bench: Bench, project: Any, flow: Flow, expected: dict[str, Any]) -> dict[str, Any]:
    """Disturb a command several times, let it finish, and compare."""
    bench.happened.clear()
    latest_s = max(KILLED_S, flow.latest_s)
    codes = Counter(str(bench.disturbed(project, flow.words, latest_s)) for _ in range(bench.tries))
    ended, output = calm(project, flow.words, flow.is_done)
    actual = flow.result(project) if ended else {}
    odd = sorted(name for name in {*expected, *actual} if expected.get(name) != actual.get(name))
    row: dict[str, Any] = {
        "tries": bench.tries, "faults": sum(bench.happened.values()), "kinds": dict(sorted(bench.happened.items())),
        "exit_codes": dict(codes), "compared": len(expected), "results_differ": len(odd) + (not ended),
    }  # fmt: skip
    return row | ({"differ": odd, "said": output} if odd or not ended else {})


def climb(bench: Bench) -> dict[str, Any]:
    """A climb from scratch. Differences that also occur between undisturbed climbs are ignored."""
    expected = results(bench.climbed())
    latest_s = seconds_of(bench.climbed()) / bench.tries  # it goes on where it was: all its stages are met
    row = compared(bench, bench.fresh(), Flow(["run", "triage"], results, latest_s), expected)
    if row["results_differ"] and "differ" in row:
        again = bench.fresh()
        assert again.climb().returncode == 0
        first, second = results(bench.climbed()), results(again)
        always = sorted(name for name in {*first, *second} if first.get(name) != second.get(name))
        row |= {"differ": sorted({*row["differ"]} - {*always}), "differ_in_any_two": always}
        row |= {"results_differ": len(row["differ"])}
    return row


def release(bench: Bench) -> dict[str, Any]:
    """The release of a second version without traffic, which becomes champion."""

    def prepared() -> Any:
        from mlflow import MlflowClient

        project = bench.climbed()
        project.set("workloads/triage.yaml", {"serving": {"routing": {"canary_share": 0.0}}})
        client = MlflowClient(tracking_uri=f"sqlite:///{project.folder / 'state' / 'mlflow.db'}")
        first = client.get_model_version_by_alias("triage", "champion")
        second = client.create_model_version("triage", str(first.source), str(first.run_id), first.tags)
        client.set_registered_model_alias("triage", "canary", second.version)
        return project

    words, calmly, began = ["release", "triage"], prepared(), time.monotonic()
    ended, said = calm(calmly, words)
    assert ended, said
    flow = Flow(words, aliases, time.monotonic() - began, lambda project: "canary" not in aliases(project))
    return compared(bench, prepared(), flow, aliases(calmly))


def retrain(bench: Bench) -> dict[str, Any]:
    """A retraining with 120 corrected production answers: the data of its version, and the climb on its branch."""
    from tests.flows.conftest import Project, commit
    from tests.flows.test_retrain import answered, corrected, put

    def prepared() -> Any:
        project = bench.climbed()
        (project.folder / "params" / "ladders" / "standard.yaml").write_text(SHORT, encoding="utf-8")
        project.set("workloads/triage.yaml", {"prompts": ["loose"], "constrained": []})
        commit(project.folder)
        put(project, *(record for number in range(120) for record in (answered(number), corrected(number))))
        return project

    def learnt(project: Any) -> dict[str, str]:
        """What is checked out on the last branch: the harvest, and what the climb made of it.

        Not its records, which name the harvest's file, and thus the second in which it was gathered.
        """
        branch = Project(project.folder / "state" / "retrain" / "triage")
        harvest = sorted((branch.folder / "data" / "triage" / "harvest").glob("*.jsonl"))
        made = {name: digest for name, digest in results(branch).items() if MADE.match(name)}
        return {**{f"harvest {place}": digest_of(path) for place, path in enumerate(harvest)}, **made}

    words, calmly, began = ["retrain", "triage"], prepared(), time.monotonic()
    ended, said = calm(calmly, words)
    assert ended, said
    return compared(bench, prepared(), Flow(words, learnt, time.monotonic() - began), learnt(calmly))


def serve(bench: Bench) -> dict[str, Any]:
    """A real server, disturbed and killed while clients ask; then acknowledged answers are compared with the lake."""
    import httpx

    from benchmarks.serving import free_ports
    from components.records import Trace
    from components.serving.spool import Spool
    from monitoring.lake import Lake

    bench.happened.clear()
    project, acknowledged, refused = bench.served(), list[str](), Counter[str]()
    for _ in range(bench.tries):
        [port] = free_ports(1)
        environment = project.environment | {
            "GRADUS_FAULTS": f"{bench.rng.random()}:{bench.rng.choice((20, 60))}",
            "GRADUS_FAULTS_FOLDER": str(project.folder / "state"), "GRADUS_FAULTS_LOG": str(bench._log),
            "PYTHONPATH": os.pathsep.join((str(LAYER), str(ROOT))),
        }  # fmt: skip
        server = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "serve", "triage", "--port", str(port)], cwd=project.folder,
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        ends, text = time.monotonic() + STARTS_S, json.dumps({"message": "Where is DK-20418?", "channel": "mail"})
        body = {"model": "triage", "messages": [{"role": "user", "content": text}]}
        answered, most = 0, bench.rng.randrange(20, 80)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            while time.monotonic() < ends and answered < most and server.poll() is None:
                try:
                    reply = client.post("/v1/chat/completions", json=body)
                except httpx.TransportError:
                    time.sleep(0.2)
                    continue
                if reply.status_code == 200 and not answered:
                    ends = time.monotonic() + SERVED_S
                answered += reply.status_code == 200
                refused[str(reply.status_code)] += 1
                if reply.status_code == 200:
                    acknowledged.append(reply.json()["id"])
                elif reply.status_code == 503:
                    time.sleep(0.2)
        bench.happened["kill -9"] += server.poll() is None
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        bench._noted()
    lake = Lake(project.folder / "state" / "lake")
    spool = Spool(project.folder / "state" / "spool" / "triage" / "lake")
    spool.drain(lake.store)
    spool.close()
    there = Counter(trace.id for trace in lake.read(Trace, "triage"))
    return {
        "tries": bench.tries, "faults": sum(bench.happened.values()), "kinds": dict(sorted(bench.happened.items())),
        "acknowledged": len(acknowledged), "statuses": dict(refused),
        "lost": len(set(acknowledged) - there.keys()), "doubled": sum(count > 1 for count in there.values()),
        "results_differ": 0,
    }  # fmt: skip


SCENARIOS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "climb": climb, "release": release, "retrain": retrain, "serve": serve,
}  # fmt: skip


if __name__ == "__main__":
    main()
