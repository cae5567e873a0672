"""Stages as Jobs: a climb in which only DVC's remote stands between the pods, kills, and two callers of one stage."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.errors import ConfigError, ServiceError
from components.stages.graph import StageNode
from components.stages.run import Run
from flows.cluster import POOLS, Cluster, job, on_the_cluster, refuse_without_sandbox, submit, wait
from flows.reproduce import StageFailedError
from tests.flows.conftest import RUN, Project, wait_until
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


def with_profile(folder: Path, pool: str, of: str, profile: dict[str, str] | None) -> None:
    """Give the pod or the container of a pool another seccomp profile, or none."""
    path = folder / POOLS / f"{pool}.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    pod = content["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    context = (pod if of == "pod" else pod["containers"][0])["securityContext"]
    context.pop("seccompProfile", None)
    if profile is not None:
        context["seccompProfile"] = profile
    path.write_text(json.dumps(content), encoding="utf-8")


OWN_PROFILE = {"type": "Localhost", "localhostProfile": "namespaces.json"}


@pytest.mark.parametrize(
    ("profiles", "refused"),
    [
        ([], True), ([("cpu", "pod", None)], False), ([("cpu", "pod", OWN_PROFILE)], False),
        ([("cpu", "container", OWN_PROFILE)], False), ([("gpu-train", "pod", OWN_PROFILE)], True),
        ([("cpu", "pod", OWN_PROFILE), ("cpu", "container", {"type": "RuntimeDefault"})], True),
    ],
)  # fmt: skip
def test_generated_code_is_refused_before_the_first_job_where_pods_let_it_have_no_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profiles: list[tuple[str, str, Any]], refused: bool
) -> None:
    run = Run.of("snippets", "nano")
    shutil.copytree(ROOT / POOLS, tmp_path / POOLS)
    for pool, of, profile in profiles:
        with_profile(tmp_path, pool, of, profile)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("flows.cluster.changed", lambda _, names: {*names})
    monkeypatch.setattr("flows.cluster.opened", nullcontext)
    monkeypatch.setattr("flows.cluster.was_done", lambda *_: False)
    monkeypatch.setattr("flows.cluster._do", _begin)
    monkeypatch.setattr("flows.cluster.reproduce", lambda *_: None)
    expected = r"found RuntimeDefault \(infra/k8s/pools/cpu\.json\)" if refused else "a Job was begun"
    with pytest.raises(ConfigError, match=expected):
        on_the_cluster(run, NODE, Cluster(None, None, Exception))
    monkeypatch.setattr("flows.cluster.was_done", lambda *_: True)  # what was done elsewhere needs no sandbox here
    on_the_cluster(run, NODE, Cluster(None, None, Exception))


def _begin(*_: Any) -> None:
    raise ConfigError("a Job was begun")


def test_code_that_is_trusted_and_answers_that_are_no_code_need_no_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snippets, triage = Run.of("snippets", "nano"), Run.of("triage", "nano")
    monkeypatch.chdir(tmp_path)  # where there are no pools to look at
    refuse_without_sandbox(triage)
    with pytest.raises(ConfigError, match="expected the template of a pool"):
        refuse_without_sandbox(snippets)
    workload = snippets.workload.model_dump(mode="json")
    for name in ("scorer", "sealed_scorer"):
        workload[name]["unit_tests"]["sandbox"]["isolation"] = "none_i_trust_the_code"
    refuse_without_sandbox(replace(snippets, workload=type(snippets.workload).model_validate(workload)))


def kubeconfig(address: str) -> str:
    """The server as kubectl's settings describe it."""
    return yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "clusters": [{"name": "here", "cluster": {"server": address}}], "users": [{"name": "me", "user": {}}],
    })  # fmt: skip


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
        settings.write_text(kubeconfig(address), encoding="utf-8")
        yield api, {**project.environment, **record, "KUBECONFIG": str(settings)}


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[tuple[Api, Cluster, Path]]:
    """A server and its client, and a template of a pool, for commands that take no time."""
    shutil.copytree(ROOT / POOLS, tmp_path / POOLS)
    with_images(tmp_path)
    monkeypatch.setattr("flows.cluster.LOOK_S", 0.05)
    api = Api(tmp_path / "pods", {}, {"gradus": {"KEY": "of the Secret"}})
    with serving(api) as address:
        (tmp_path / "kubeconfig").write_text(kubeconfig(address), encoding="utf-8")
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig"))
        yield api, Cluster.reached(), tmp_path / POOLS / "cpu.json"


NODE = StageNode("rung-sft", ("rung", RUN, "sft"), (), (), ())


def test_a_jobs_command_has_the_secret_and_a_folder_of_its_own(small: tuple[Api, Cluster, Path]) -> None:
    api, cluster, template = small
    made = job(template, "gradus-1", ["sh", "-c", 'echo "$KEY, $GIVEN"; ls -a | wc -l'], {"GIVEN": "by the flow"})
    submit(cluster, made)
    wait(cluster, made, NODE)
    (pod,) = api.pods["gradus-1"]
    assert pod.log.split("\n")[:2] == ["of the Secret, by the flow", "2"]  # . and ..


def test_a_killed_pod_is_started_again_and_the_caller_waits_on(small: tuple[Api, Cluster, Path]) -> None:
    api, cluster, template = small
    made = job(template, "gradus-1", ["sh", "-c", "test -e ../once || { touch ../once; sleep 60; }"], {})
    submit(cluster, made)
    wait_until(lambda: (api.folder / "once").exists())
    api.pods["gradus-1"][0].kill()
    wait(cluster, made, NODE)
    assert [pod.process.returncode for pod in api.pods["gradus-1"]] == [-9, 0]


def test_two_callers_of_the_same_stage_wait_for_one_job(small: tuple[Api, Cluster, Path]) -> None:
    api, cluster, template = small
    made = job(template, "gradus-1", ["sh", "-c", "sleep 0.3; echo x >> ../runs"], {})
    with ThreadPoolExecutor(2) as two:
        for done in [two.submit(lambda: (submit(cluster, made), wait(cluster, made, NODE))) for _ in range(2)]:
            done.result()
    assert (api.folder / "runs").read_text(encoding="utf-8") == "x\n"
    assert sorted(code for verb, _, code in api.asked if verb == "POST") == [201, 409]


def test_a_stage_that_refuses_is_tried_once_reported_and_tried_again_when_asked_again(
    small: tuple[Api, Cluster, Path], caplog: pytest.LogCaptureFixture
) -> None:
    api, cluster, template = small
    made = job(template, "gradus-1", ["sh", "-c", "echo gradus: expected this, found that; exit 2"], {})
    for tries in (1, 2):
        submit(cluster, made)
        with pytest.raises(StageFailedError):
            wait(cluster, made, NODE)
        assert len(api.pods["gradus-1"]) == tries
    assert caplog.text.count("gradus: expected this, found that") >= 2


TROUBLES = ([500, 503, 429], [0, 502, 0])


@pytest.mark.parametrize("codes", TROUBLES)
def test_a_cluster_that_is_away_for_moments_is_asked_again(small: tuple[Api, Cluster, Path], codes: list[int]) -> None:
    api, cluster, template = small
    made = job(template, "gradus-1", ["true"], {})
    api.refusals += codes
    submit(cluster, made)
    api.refusals += codes
    wait(cluster, made, NODE)
    assert not api.refusals and len(api.pods["gradus-1"]) == 1


@pytest.mark.parametrize("codes", TROUBLES)
def test_a_failed_job_makes_room_though_the_cluster_is_away_for_moments(
    small: tuple[Api, Cluster, Path], codes: list[int]
) -> None:
    api, cluster, template = small
    made = job(template, "gradus-1", ["sh", "-c", "exit 2"], {})
    submit(cluster, made)
    with pytest.raises(StageFailedError):
        wait(cluster, made, NODE)
    api.refusals += [409, *codes]  # the status is read after the first
    submit(cluster, made)
    wait_until(lambda: len(api.pods["gradus-1"]) == 2)


@pytest.mark.parametrize("code", [401, 403, 404])
def test_a_cluster_that_refuses_is_not_asked_again(small: tuple[Api, Cluster, Path], code: int) -> None:
    api, cluster, template = small
    made = job(template, "gradus-1", ["true"], {})
    steps: tuple[Callable[[], object], ...] = (lambda: submit(cluster, made), lambda: wait(cluster, made, NODE))
    for step in steps:
        api.refusals += [code]
        before = len(api.asked)
        with pytest.raises(ServiceError, match=str(code)):
            step()
        assert len(api.asked) == before + 1


def test_a_status_that_may_not_be_read_is_a_refusal(small: tuple[Api, Cluster, Path]) -> None:
    api, cluster, template = small
    api.refusals += [409, 403]
    with pytest.raises(ServiceError, match="403"):
        submit(cluster, job(template, "gradus-1", ["true"], {}))


def test_a_cluster_that_stays_away_ends_the_waiting(
    small: tuple[Api, Cluster, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.cluster.LOOK_S", 0.0)
    api, cluster, template = small
    api.refusals += [503] * 31
    with pytest.raises(ServiceError, match="503"):
        submit(cluster, job(template, "gradus-1", ["true"], {}))
    assert api.refusals == [503]  # thirty looks


def test_the_newest_pod_is_reported(small: tuple[Api, Cluster, Path], caplog: pytest.LogCaptureFixture) -> None:
    api, cluster, template = small
    command = "test -e ../once && { echo the last word; exit 2; }; touch ../once; echo an early word; exit 1"
    made = job(template, "gradus-1", ["sh", "-c", command], {})
    submit(cluster, made)
    with pytest.raises(StageFailedError):
        wait(cluster, made, NODE)
    assert len(api.pods["gradus-1"]) == 2
    assert "the last word" in caplog.text and "an early word" not in caplog.text


# As `flows.tasks.stage` does, without a server of Prefect's for a few stages.
SOME_STAGES = """
import logging, sys
from components.stages.graph import nodes, write_graph
from components.stages.run import Run
from flows.tasks import stage

logging.basicConfig(level=logging.INFO)
run = Run.of("triage", "nano")
write_graph(run)
for node in nodes(run):
    if node.name in sys.argv[2:]:
        stage.fn(run, node.name, sys.argv[1])
"""


def started(project: Project, environment: dict[str, str], on: str, *stages: str) -> subprocess.Popen[str]:
    """Some stages of the run, in order."""
    command = [sys.executable, "-c", SOME_STAGES, on, *stages]
    return subprocess.Popen(
        command, cwd=project.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def do(project: Project, environment: dict[str, str], on: str, *stages: str) -> tuple[int, str]:
    """The same, waited for: how it ended and what it said."""
    process = started(project, environment, on, *stages)
    said = process.communicate()[0]
    return process.returncode, said


def made(project: Project) -> dict[str, str]:
    """Hashes of what must not hang on where it was made."""
    files = (path for part in ("data", "audit") for path in sorted((project.artifacts / part).glob("*.json*")))
    return {str(path.relative_to(project.artifacts)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
def test_stages_of_the_cluster_leave_what_local_ones_leave_and_are_done_once(
    make_project: Callable[[], Project], tmp_path: Path
) -> None:
    first, second, local = make_project(), make_project(), make_project()
    stages = ("data", "audit", "rung-classical")
    with cluster(first, tmp_path) as (api, environment):
        code, said = do(first, environment, "k8s", *stages)
        assert code == 0, said
        assert [[pod.process.returncode for pod in pods] for pods in api.pods.values()] == [[0], [0], [0]]
        assert (first.artifacts / "rungs/classical/result.json").is_file()
        assert do(local, local.environment, "local", "data", "audit")[0] == 0
        assert made(first) == made(local) and "data/train.jsonl" in made(first)
        for name in (".dvc/config.local", *(f"{POOLS}/{each}.json" for each in CLASSES)):
            (second.folder / name).write_text((first.folder / name).read_text(encoding="utf-8"), encoding="utf-8")
        code, said = do(second, environment | {"PYTHONPATH": str(second.folder)}, "k8s", *stages)
        assert code == 0, said
        assert len(api.jobs) == 3 and made(second) == made(first)  # the second took what the first had made


@pytest.mark.slow
def test_a_killed_pod_goes_on_from_its_checkpoint(make_project: Callable[[], Project], tmp_path: Path) -> None:
    project = make_project()
    project.set("profiles/nano.yaml", SFT)
    with cluster(project, tmp_path) as (api, environment):
        assert do(project, environment, "k8s", "data")[0] == 0
        with started(project, environment, "k8s", "rung-sft") as process:
            kept = tmp_path / "remote" / "gradus" / "work"
            wait_until(lambda: list(kept.rglob("checkpoint-*/trainer_state.json")))
            (pods,) = [pods for name, pods in api.pods.items() if "rung-sft" in str(api.jobs[name])]
            pods[0].kill()
            assert process.wait() == 0
        assert len(pods) == 2 and not [path for path in kept.rglob("*") if path.is_file()]
        shown = [int(step) for step in re.findall(r"\| (\d+)/200 \[", pods[1].log)]
        assert shown and min(shown) >= 20  # not from the beginning


@pytest.mark.slow
def test_a_stage_that_refuses_its_input_is_tried_once_and_reported(
    make_project: Callable[[], Project], tmp_path: Path
) -> None:
    project = make_project()
    project.set("workloads/triage.yaml", {"validation": {"max_input_characters": 5}})
    with cluster(project, tmp_path) as (api, environment):
        code, said = do(project, environment, "k8s", "data")
    assert code != 0 and "gradus: expected" in said
    assert [[pod.process.returncode for pod in pods] for pods in api.pods.values()] == [[2]]
