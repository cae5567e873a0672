"""Stages as Jobs: a climb in which only DVC's remote stands between the pods, kills, and two who ask for the same."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from components.errors import ConfigError
from flows.cluster import POOLS, job
from tests.flows.conftest import Project, wait_until
from tests.flows.kubernetes_api import Api, serving

ROOT = Path(__file__).resolve().parents[2]
IMAGE = f"registry.example/gradus@sha256:{'0' * 64}"
SFT = {"dev_examples": 2, "methods": {"sft": {"epochs": 50, "evaluations": 10, "patience": 10}}}
CLASSES = ("cpu", "gpu-train", "gpu-serve")


def with_images(folder: Path) -> None:
    for path in (folder / POOLS).glob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        content["variables"]["properties"]["image"]["default"] = IMAGE
        path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize("name", CLASSES)
def test_a_job_is_made_from_its_pools_template_and_nothing_is_left_to_fill_in(name: str, tmp_path: Path) -> None:
    path = tmp_path / POOLS / f"{name}.json"
    path.parent.mkdir(parents=True)
    path.write_text((ROOT / POOLS / f"{name}.json").read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(ConfigError, match="image by its digest"):
        job(path, "x", [], {})
    with_images(tmp_path)
    made = job(path, "gradus-1", ["python", "-m", "x"], {"B": "2", "A": "1"})
    container = made["spec"]["template"]["spec"]["containers"][0]
    assert made["metadata"]["name"] == "gradus-1" and container["args"] == ["python", "-m", "x"]
    assert container["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    assert container["image"] == IMAGE and "{{" not in json.dumps(made)
    assert made["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"] is True
    assert ("nvidia.com/gpu" in container["resources"]["limits"]) == (name != "cpu")


@pytest.mark.parametrize("name", CLASSES)
def test_every_variable_of_a_template_is_used_and_every_placeholder_is_a_variable(name: str) -> None:
    content = json.loads((ROOT / POOLS / f"{name}.json").read_text(encoding="utf-8"))
    used = set(re.findall(r"{{ (\w+) }}", json.dumps(content["job_configuration"])))
    assert used == content["variables"]["properties"].keys()  # Prefect ignores others without a word


def test_a_missing_template_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected the template of a pool"):
        job(tmp_path / "cpu.json", "x", [], {})


@contextmanager
def cluster(project: Project, folder: Path) -> Generator[tuple[Api, dict[str, str]]]:
    """A server for the project, and the environment in which `gradus` finds it."""
    remote = folder / "remote"
    (project.folder / ".dvc" / "config.local").write_text(
        f"[core]\n    remote = there\n['remote \"there\"']\n    url = {remote}\n", encoding="utf-8"
    )
    with_images(project.folder)
    record = {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/record.db",
        "MLFLOW_ARTIFACTS_DESTINATION": str(folder / "kept"),
    }
    quiet = {name: os.environ[name] for name in ("DO_NOT_TRACK", "DVC_NO_ANALYTICS", "MLFLOW_DISABLE_TELEMETRY")}
    api = Api(folder / "pods", {"PYTHONPATH": str(ROOT), **quiet}, {"gradus": {**record, "HF_HUB_OFFLINE": "1"}})
    with serving(api) as address:
        settings = folder / "kubeconfig"
        settings.write_text(yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
            "clusters": [{"name": "here", "cluster": {"server": address}}], "users": [{"name": "me", "user": {}}],
        }), encoding="utf-8")  # fmt: skip
        yield api, {**project.environment, **record, "KUBECONFIG": str(settings)}


def climb(project: Project, environment: dict[str, str], on: str = "k8s") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows.cli", "run", "triage", "--on", on]
    return subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True, check=False)


def weights(project: Project) -> dict[str, str]:
    """What the run made that must not hang on where it ran: data, weights, answers."""
    parts = ("data/train.jsonl", "data/sealed.jsonl", "rungs/sft/artifact", "rungs/grpo/artifact")
    found = (path for part in parts for path in _files(project.artifacts / part))
    return {str(path.relative_to(project.artifacts)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def _files(start: Path) -> Iterator[Path]:
    yield from sorted(start.rglob("*")) if start.is_dir() else [start]


@pytest.mark.slow
def test_a_climb_on_the_cluster_leaves_what_a_local_one_leaves_and_is_done_once(
    make_project: Callable[[], Project], climbed_once: Project, tmp_path: Path
) -> None:
    project, second = make_project(), make_project()
    with cluster(project, tmp_path) as (api, environment):
        done = climb(project, environment)
        assert done.returncode == 0, done.stderr + "".join(pods[-1].log for pods in api.pods.values() if pods)
        assert weights(project) == weights(climbed_once)
        jobs = len(api.jobs)
        assert jobs == len(project.nodes)
        for name in (".dvc/config.local", *(str(POOLS / f"{one}.json") for one in CLASSES)):
            (second.folder / name).write_text((project.folder / name).read_text(encoding="utf-8"), encoding="utf-8")
        again = climb(second, environment | {"PYTHONPATH": str(second.folder)})
        assert again.returncode == 0, again.stderr
        trained = [one for one in api.jobs.values() if "rung-sft" in str(one) or "rung-grpo" in str(one)]
        assert len(trained) == 2 and weights(second) == weights(project)  # the second took what the first had made


@pytest.mark.slow
def test_a_killed_pod_goes_on_from_its_checkpoint_and_two_who_ask_train_once(
    make_project: Callable[[], Project], tmp_path: Path
) -> None:
    project = make_project()
    project.set("profiles/nano.yaml", SFT)
    with cluster(project, tmp_path) as (api, environment):
        command = [sys.executable, "-m", "flows.cli", "run", "triage", "--on", "k8s"]
        with subprocess.Popen(command, cwd=project.folder, env=environment, stderr=subprocess.PIPE) as started:
            kept = tmp_path / "remote" / "gradus" / "work"
            wait_until(lambda: list(kept.rglob("checkpoint-*/trainer_state.json")))
            pods = next(pods for name, pods in api.pods.items() if "rung-sft" in str(api.jobs[name]))
            pods[0].kill()
            wait_until(lambda: len(pods) > 1 and "/200 [" in pods[1].log)
            first = min(map(int, re.findall(r"\| (\d+)/200 \[", pods[1].log)))
            assert first >= 20  # not from the beginning
            wait_until(lambda: pods[1].process.poll() is not None)
            started.kill()
    assert len(pods) == 2
