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
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.engine_speed import machine, write
from tests.flows import test_cluster as cluster
from tests.flows.conftest import ROOT, Project, commit, lay_out
from tests.flows.kubernetes_api import Api, Pod, serving
from tests.shared_storage import Bucket, Databases, missing_postgres, missing_s3, postgres, s3_service

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
# What is measured, or names a run of the record: not what a climb makes. Digests are those of files that are compared.
OF_THE_MOMENT = re.compile(
    r'"(?:seconds|latency_ms\w*|mlflow_run_id|run_id|at|started|[\w]*usd[\w]*|[\w]*per_second|git_commit|digest)"'
)
# How long stages took, pages that show it or number their parts by chance, and a hash of the gate's record, which has
# latencies: what it decided is compared.
LEFT_OUT = ("stages", "report", "data/data_docs", "published.json")
ADDRESSES = re.compile(r"(?<![.\d-])\d{14,15}(?![\d])")  # skops names objects by where they lay in memory
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
    bucket: Bucket
    databases: Databases
    kubeconfig: Path

    @property
    def secrets(self) -> dict[str, str]:
        keys = {name: value for name, value in self.bucket.environment.items() if "KEY" in name}
        return {**keys, **self.databases.environment}

    def settle(self, made: Project) -> None:
        """Write down where the shared storage lies, and the images."""
        place = f"s3://{self.bucket.name}"
        settings = {
            "data": f"{place}/dvc", "artifacts": f"{place}/mlflow", "lake": f"{place}/lake",
            "record": self.databases.address("mlflow"), "s3": {"endpoint": self.bucket.endpoint, "region": "us-east-1"},
        }  # fmt: skip
        (made.folder / "params" / "storage.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        cluster.with_images(made.folder)

    def environment(self, made: Project) -> dict[str, str]:
        """Of somebody who climbs."""
        return {**made.environment, **self.secrets, "KUBECONFIG": str(self.kubeconfig)}


@contextmanager
def cloud(folder: Path) -> Generator[Cloud]:
    """A cluster with an S3 service and PostgreSQL."""
    with ExitStack() as held:
        bucket, databases = held.enter_context(s3_service()), held.enter_context(postgres("mlflow"))
        quiet = {name: "1" for name in ("DO_NOT_TRACK", "DVC_NO_ANALYTICS", "HF_HUB_OFFLINE")}
        image = {"PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true", **quiet}
        api = Api(folder / "pods", image, {})
        address = held.enter_context(serving(api))
        settings = folder / "kubeconfig"
        settings.write_text(cluster.kubeconfig(address), encoding="utf-8")
        made = Cloud(api, bucket, databases, settings)
        api.secrets["gradus"] = made.secrets
        yield made


def climbing(made: Project, environment: dict[str, str], *words: str) -> subprocess.Popen[bytes]:
    """`gradus run` on the short ladder; what it says goes to a file beside the project."""
    command = [sys.executable, "-m", "flows.cli", "run", "triage", "--ladder", "short", *words]
    with made.folder.with_name(f"{made.folder.name}.log").open("wb") as log:
        return subprocess.Popen(command, cwd=made.folder, env=environment, stdout=log, stderr=log)


def ended(made: Project, process: subprocess.Popen[bytes]) -> None:
    """Wait for its end, which must be a good one."""
    code = process.wait()
    said = made.folder.with_name(f"{made.folder.name}.log").read_text(encoding="utf-8", errors="replace")
    assert code == 0, said[-4000:]


# All stages that make something, as somebody else asks for them; steps that change the registry are the climber's.
OTHERS = """
import logging
from components.stages.__main__ import making
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


def kill_once(made: Cloud, killed: list[int], give_up: threading.Event) -> None:
    """Kill the pod of SFT when the bucket has a whole checkpoint of it."""
    while not give_up.wait(QUICK_LOOK_S):
        kept = [key for key in made.bucket.keys("dvc/gradus/work/") if key.endswith("trainer_state.json")]
        steps = [int(found[1]) for key in kept if (found := re.search(r"checkpoint-(\d+)/", key))]
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
    """A file; of a record, which says how long it took and what it cost, all but that."""
    if path.suffix == ".skops":
        return classifier(path)
    data = path.read_bytes()
    if path.suffix not in (".json", ".jsonl") or "artifact" in path.parts or path.parent.name == "data":
        return data
    lines = data.decode().splitlines() if path.suffix == ".jsonl" else [data.decode()]
    return "\n".join(json.dumps(lasting(json.loads(line)), sort_keys=True) for line in lines).encode()


def classifier(path: Path) -> bytes:
    """A file of skops, its objects numbered in the order in which they come."""
    numbers: dict[str, int] = {}
    with zipfile.ZipFile(path) as file:
        text = ADDRESSES.sub(
            lambda found: str(numbers.setdefault(found[0], len(numbers))), file.read("schema.json").decode()
        )
        arrays = [(numbers[name.removesuffix(".npy")], name) for name in file.namelist() if name.endswith(".npy")]
        return text.encode() + b"".join(file.read(name) for _, name in sorted(arrays))


def lasting(value: Any) -> Any:
    """JSON without what only the moment decided."""
    if isinstance(value, dict):
        return {key: lasting(one) for key, one in value.items() if not OF_THE_MOMENT.fullmatch(f'"{key}"')}
    return [lasting(one) for one in value] if isinstance(value, list) else value


def climbed(folder: Path) -> dict[str, Any]:
    """Climb here, on the cluster, and by a second person there; the figures."""
    here = project(folder / "here")
    commit(here.folder)
    alone = climbing(here, here.environment)
    with cloud(folder) as made:
        there = project(folder / "there")
        made.settle(there)
        commit(there.folder)
        second = Project(shutil.copytree(there.folder, folder / "second"))
        killed: list[int] = []
        give_up = threading.Event()
        killer = threading.Thread(target=kill_once, args=(made, killed, give_up))
        killer.start()
        first = climbing(there, made.environment(there), "--on", "k8s")
        with (folder / "second.log").open("wb") as log:
            command = [sys.executable, "-c", OTHERS]
            other = subprocess.Popen(command, cwd=second.folder, env=made.environment(second), stdout=log, stderr=log)
        ended(here, alone)
        ended(there, first)
        ended(second, other)
        give_up.set()
        killer.join()
        return figures(made, (here, there, second), killed)


def figures(made: Cloud, projects: tuple[Project, Project, Project], killed: list[int]) -> dict[str, Any]:
    """What the climbs left, against each other, and what the cluster saw."""
    here, there, second = map(contents, projects)
    tries = {name: [pod.process.returncode for pod in pods] for name, pods in made.api.pods.items()}
    resumed = [int(step) for pod in pods_of(made.api, "sft")[1:] for step in BAR.findall(pod.log)]
    return {
        "files": len(here),
        "files_that_differ": sorted(path for path in here.keys() | there.keys() if here.get(path) != there.get(path)),
        "files_that_differ_for_the_second": sorted(path for path in second if second[path] != there.get(path)),
        "jobs": len(made.api.jobs),
        "jobs_that_two_asked_for": sum(code == 409 for verb, _, code in made.api.asked if verb == "POST"),
        "pods": sum(map(len, tries.values())),
        "pods_that_ended_well": sum(codes.count(0) for codes in tries.values()),
        "killed_after_step": killed[0] if killed else None,
        "resumed_at_step": min(resumed) if resumed else None,
        "objects_in_s3": len(made.bucket.keys()),
        "runs_in_postgres": int(str(made.databases.asked("mlflow", "SELECT count(*) FROM runs")[0][0])),
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
        found = climbed(folder)
    record = {"command": "python -m benchmarks.scale_climb", **found}
    print(json.dumps(record, indent=1))
    kept: Any = json.loads(RECORD.read_text(encoding="utf-8"))
    write(RECORD, {**kept, FIELD: {**machine(), **record}})


if __name__ == "__main__":
    main()
