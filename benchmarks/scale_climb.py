"""A whole short climb of triage on a cluster, and the same one on this machine: is what they leave the same?

The cluster is the recording API server of the tests: it starts each Job's command as a process in a folder of its own,
which shares nothing with the others but an S3 service (moto's) and PostgreSQL. The model is nano, on a few hundred
tickets, up classical, SFT and a few steps of RL. One pod is killed in the middle of SFT; a second person asks
for the same stages meanwhile. `make bench-scale-climb` writes the result into benchmarks/scale.json.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.engine_speed import machine, write
from components.evaluation import classical
from components.registry.store import DATABASE
from components.stages.carrying import OURS, WORK
from tests.flows import test_cluster as cluster
from tests.flows.conftest import ROOT, Project, commit, lay_out
from tests.flows.kubernetes_api import Api, Pod, serving
from tests.shared_storage import Databases, Shared, missing_postgres, missing_s3, shared_storage

Process = subprocess.Popen[bytes]
RECORD = Path(__file__).resolve().parent / "scale.json"
FIELD = "climb_on_a_cluster"
RUN = "triage-nano-short"
LADDER: dict[str, Any] = {
    "rungs": {
        "classical": {"method": "classical"},
        "sft": {"method": "sft", "from": "base", "compare": "classical"},
        "grpo": {"method": "grpo", "from": "sft"},
    }
}  # fmt: skip
SIZES = {"train": 200, "dev": 24, "test": 40, "sealed": 40}
PROFILE: dict[str, Any] = {
    "dev_examples": 8,
    "methods": {
        "sft": {"epochs": 1, "packed_tokens": None, "evaluations": 3, "patience": 3},  # packed, it would be compiled
        "grpo": {
            "steps": 2, "prompts_per_step": 4, "generations": 4, "device_batch_rollouts": 16, "probe_prompts": 8,
            "probe_generations": 2, "evaluations": 1, "dev_examples": 8,
        },
    },
}  # fmt: skip
# What is measured, and what names a run or a commit. Digests are those of artifacts, which are compared themselves: the
# one of a classifier's file hangs on the moment.
OF_THE_MOMENT = re.compile(r"\w*seconds|latency_ms\w*|mlflow_run_id|\w*usd\w*|\w*per_second|git_commit|digest")
HASH = re.compile(r"[0-9a-f]{16}")  # of the gate's record, which has latencies: so published.json names its decision
# Sums in dollars, a page that shows all of these, and pages that number their parts by chance.
LEFT_OUT = ("report/economics.json", "report/report.html", "data/data_docs/")
# What steps after the decision leave, which only the climber does.
CLIMBERS = ("gate/", "advice/", "reference/", "report/", "published.json", "stages/gate.json", "stages/report.json")
# What the record has of a climb: its finished runs, and the last value of each figure. A killed try finished nothing.
RUNS = "SELECT name, status FROM runs WHERE status = 'FINISHED'"
FIGURES = "SELECT name, key, value FROM latest_metrics JOIN runs USING (run_uuid) WHERE status = 'FINISHED'"
BAR = re.compile(r"train: [^\r\n]*?\| (\d+)/\d+ \[")
QUICK_LOOK_S = 0.5


def project(folder: Path) -> Project:
    """The tests' project with nano itself, and a short ladder."""
    folder.mkdir()
    made = lay_out(folder)
    shutil.copytree(ROOT / "models" / "nano", folder / "models" / "nano", dirs_exist_ok=True)
    made.set("workloads/triage.yaml", {"source": {"sizes": SIZES}})
    made.set("profiles/nano.yaml", PROFILE)
    path = folder / "params" / "ladders" / "short.yaml"
    path.write_text(yaml.safe_dump(LADDER, sort_keys=False), encoding="utf-8")
    return made


@dataclass(frozen=True)
class Cloud:
    """The cluster, and what its pods share."""

    api: Api
    shared: Shared
    kubeconfig: Path

    def settle(self, made: Project) -> None:
        """Write down where the shared storage lies, and the images."""
        self.shared.settle(made.folder)
        cluster.with_images(made.folder)

    def environment(self, made: Project) -> dict[str, str]:
        """Of somebody who climbs."""
        return {**made.environment, **self.shared.secrets, "KUBECONFIG": str(self.kubeconfig)}


@contextmanager
def cloud(folder: Path) -> Generator[Cloud]:
    """A cluster with an S3 service and PostgreSQL."""
    quiet = {name: "1" for name in ("DO_NOT_TRACK", "DVC_NO_ANALYTICS", "HF_HUB_OFFLINE")}
    image = {"PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true", **quiet}
    with shared_storage() as shared:
        api = Api(folder / "pods", image, {"gradus": shared.secrets})
        with serving(api) as address:
            settings = folder / "kubeconfig"
            settings.write_text(cluster.kubeconfig(address), encoding="utf-8")
            yield Cloud(api, shared, settings)


def climbing(made: Project, environment: dict[str, str], *words: str) -> AbstractContextManager[Process]:
    """`gradus run` on the short ladder."""
    return begun(made, environment, "-m", "flows.cli", "run", "triage", "--ladder", "short", *words)


def asking(made: Project, environment: dict[str, str]) -> AbstractContextManager[Process]:
    """Somebody else, who asks for the same stages."""
    return begun(made, environment, "-c", OTHERS)


@contextmanager
def begun(made: Project, environment: dict[str, str], *words: str) -> Generator[Process]:
    """Python in a project, until the block ends; what it says goes to a file beside the project."""
    with said(made).open("wb") as log:
        process = subprocess.Popen([sys.executable, *words], cwd=made.folder, env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def said(made: Project) -> Path:
    """The file that keeps what a climber said."""
    return made.folder.with_name(f"{made.folder.name}.log")


def ended(made: Project, process: Process) -> None:
    """Wait for its end, which must be a good one."""
    code = process.wait()
    assert code == 0, said(made).read_text(encoding="utf-8", errors="replace")[-4000:]


# All stages that make something, as somebody else asks for them; steps that change the registry are the climber's.
OTHERS = """
import logging
from components.stages.command import making
from components.stages.graph import write_graph
from components.stages.run import Run
from components.stages.storage import apply, attach_data
from flows.tasks import stage
from pathlib import Path

logging.basicConfig(level=logging.INFO)
attach_data(Path(), apply(Path()))
run = Run.of("triage", "nano", "short")
write_graph(run)
for node in making(run):
    stage.fn(run, node.name, "k8s")
"""


def pods_of(api: Api, rung: str) -> list[Pod]:
    """The tries of a rung's Job."""
    words = f"'rung-{rung}'"
    return [pod for name, pods in list(api.pods.items()) if words in str(api.jobs.get(name)) for pod in pods]


def checkpoints(made: Cloud) -> list[str]:
    """What trainings that are not done have left in the bucket."""
    bucket, remote = made.shared.bucket, str(made.shared.settings["data"])
    return bucket.keys(f"{remote.removeprefix(f's3://{bucket.name}/')}/{OURS}/{WORK}/")


def kill_once(made: Cloud, killed: list[int], give_up: threading.Event) -> None:
    """Kill the pod of SFT when the bucket has a whole checkpoint of it."""
    while not give_up.wait(QUICK_LOOK_S):
        kept = [key for key in checkpoints(made) if key.endswith("trainer_state.json")]
        steps = [int(match[1]) for key in kept if (match := re.search(r"checkpoint-(\d+)/", key))]
        if steps and (pods := pods_of(made.api, "sft")) and pods[0].process.poll() is None:
            pods[0].kill()
            killed.append(max(steps))
            return


def contents(made: Project) -> dict[str, str]:
    """Hashes of what the stages left, by path: of artifacts and data byte by byte, of records without the moment."""
    folder = made.folder / "artifacts" / RUN
    files = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    kept = {name: path for name, path in files.items() if not name.as_posix().startswith(LEFT_OUT)}
    return {str(name): hashlib.sha256(content(path)).hexdigest() for name, path in kept.items()}


def content(path: Path) -> bytes:
    """A file; of a classifier what it has learnt; of a record, which says how long it took, all but that."""
    if path.suffix == ".skops":
        return classical.load(path.parent).digest().encode()
    data = path.read_bytes()
    if path.suffix not in (".json", ".jsonl") or "artifact" in path.parts or path.parent.name == "data":
        return data
    lines = data.decode().splitlines() if path.suffix == ".jsonl" else [data.decode()]
    return "\n".join(json.dumps(lasting(json.loads(line)), sort_keys=True) for line in lines).encode()


def lasting(value: Any) -> Any:
    """JSON without what only the moment decided."""
    if isinstance(value, dict):
        return {key: lasting(item) for key, item in value.items() if not of_the_moment(key, item)}
    return [lasting(item) for item in value] if isinstance(value, list) else value


def of_the_moment(key: str, value: Any) -> bool:
    """Whether a field of a record says when, how fast or for how much something was made, and not what."""
    return bool(OF_THE_MOMENT.fullmatch(key)) or (key == "decision" and bool(HASH.fullmatch(str(value))))


def recorded(rows: list[tuple[object, ...]]) -> Counter[str]:
    """Rows of a record, without figures that are measured."""
    return Counter(repr(row) for row in rows if not OF_THE_MOMENT.fullmatch(str(row[1]).rpartition("/")[2]))


def asked_here(made: Project, sql: str) -> list[tuple[object, ...]]:
    """The rows of a question to the record of a folder."""
    with closing(sqlite3.connect(made.folder / DATABASE)) as database:
        return database.execute(sql).fetchall()


def climbed(folder: Path) -> dict[str, Any]:
    """Climb here, on the cluster, and by a second person there; the figures."""
    here = project(folder / "here")
    commit(here.folder)
    with ExitStack() as held:
        alone = held.enter_context(climbing(here, here.environment))
        made = held.enter_context(cloud(folder))
        there = project(folder / "there")
        made.settle(there)
        commit(there.folder)
        second = Project(shutil.copytree(there.folder, folder / "second"))
        killed: list[int] = []
        give_up = threading.Event()
        killer = threading.Thread(target=kill_once, args=(made, killed, give_up))
        killer.start()
        held.callback(killer.join)
        held.callback(give_up.set)
        first = held.enter_context(climbing(there, made.environment(there), "--on", "k8s"))
        other = held.enter_context(asking(second, made.environment(second)))
        for climber, process in ((here, alone), (there, first), (second, other)):
            ended(climber, process)
        return figures(made, (here, there, second), killed)


def figures(made: Cloud, projects: tuple[Project, Project, Project], killed: list[int]) -> dict[str, Any]:
    """What the climbs left, against each other, and what the cluster saw."""
    here, there, second = map(contents, projects)
    shared = {path: digest for path, digest in there.items() if not path.startswith(CLIMBERS)}
    return {
        "files": len(here),
        "files_that_differ": differing(here, there),
        "files_of_the_second": len(second),
        "files_that_differ_for_the_second": differing(second, shared),
        **of_records(projects[0], made.shared.databases),
        **of_pods(made.api),
        "killed_after_step": killed[0] if killed else None,
        "objects_in_s3": len(made.shared.bucket.keys()),
        "checkpoints_left_in_s3": len(checkpoints(made)),
    }


def differing(first: dict[str, str], second: dict[str, str]) -> list[str]:
    """The paths at which two have not the same."""
    return sorted(path for path in first.keys() | second.keys() if first.get(path) != second.get(path))


def of_records(here: Project, databases: Databases) -> dict[str, Any]:
    """What the record in PostgreSQL has against the one in the folder."""
    compared = dict[str, Any]()
    for name, sql in (("runs", RUNS), ("figures", FIGURES)):
        mine, theirs = recorded(asked_here(here, sql)), recorded(databases.asked("mlflow", sql))
        apart = sorted(((mine - theirs) + (theirs - mine)).elements())
        compared |= {f"{name}_recorded": mine.total(), f"{name}_that_differ": apart}
    return compared


def of_pods(api: Api) -> dict[str, Any]:
    """How often a stage was asked for and done, and where the killed one went on."""
    tries = [pod.process.returncode for pods in api.pods.values() for pod in pods]
    resumed = [int(step) for pod in pods_of(api, "sft")[1:] for step in BAR.findall(pod.log)]
    return {
        "jobs": len(api.jobs),
        "jobs_that_two_asked_for": sum(code == 409 for verb, _, code in api.asked if verb == "POST"),
        "pods": len(tries),
        "pods_that_ended_well": tries.count(0),
        "resumed_at_step": min(resumed) if resumed else None,
    }


def main() -> None:
    """Climb, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="Where to climb, and to leave all; else a temporary folder.")
    options = parser.parse_args()
    if missing := "; ".join(filter(None, (missing_s3(), missing_postgres()))):
        raise SystemExit(missing)
    os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE", TOKENIZERS_PARALLELISM="false")
    with ExitStack() as held:
        folder = options.folder or Path(held.enter_context(tempfile.TemporaryDirectory()))
        record = {"command": "python -m benchmarks.scale_climb", **climbed(folder)}
    print(json.dumps(record, indent=1))
    kept: Any = json.loads(RECORD.read_text(encoding="utf-8"))
    write(RECORD, {**kept, FIELD: {**machine(), **record}})


if __name__ == "__main__":
    main()
