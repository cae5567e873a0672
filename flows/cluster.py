"""Runs stages as Jobs of Kubernetes, made from the template of their machine class in infra/k8s/pools/.

A Job is named by a hash of what its stage reads. So whoever asks for the same stage with the same inputs finds the
existing Job and waits for it: nothing is trained twice. Kubernetes restarts a killed pod, which resumes from its
checkpoint. The templates are those of Prefect's work pools, whose workers start scheduled runs on the same machines.
"""

import json
import logging
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from prefect.utilities.templating import apply_values
from urllib3.exceptions import HTTPError

from components.errors import EXIT_CODE_ERROR, ConfigError, ServiceError
from components.stages.carrying import (
    ARCHIVES,
    Remote,
    digest_of,
    environment_of,
    key_of,
    packed,
    remote_settings,
    travelling,
)  # fmt: skip
from components.stages.graph import RUNS, StageNode, nodes
from components.stages.pod import needed
from components.stages.run import Run, git_commit
from flows.reproduce import StageFailedError, changed, opened, reproduce

log = logging.getLogger(__name__)
POOLS = Path("infra/k8s/pools")
Machine = Literal["cpu", "gpu-train"]
BY_DIGEST = re.compile(r"\A[^@\s]++@sha256:[0-9a-f]{64}")
LOOK_S = 2.0
LOOKS = 30  # attempts while Kubernetes is overloaded or away, such as during an upgrade of its control plane
TRUSTED = "none_i_trust_the_code"
_TOLD_LINES = 20
_CONFLICT, _MISSING, _TOO_MANY, _BROKEN = 409, 404, 429, 500


def machine_of(node: StageNode) -> Machine:
    """The class of machines, and so the pool, that a stage runs on."""
    return "gpu-train" if node.environment == "gpu" else "cpu"


@dataclass(frozen=True)
class Cluster:
    """The clients of the two Kubernetes APIs that are used, and their exception."""

    batch: Any
    core: Any
    errors: type[Exception]

    @classmethod
    def reached(cls) -> "Cluster":
        """The cluster that a pod is in, or that kubectl's settings name.

        Raises:
            ConfigError: There are no such settings, or the client's package is missing.
        """
        try:
            from kubernetes import client, config
        except ImportError as error:
            raise ConfigError(
                "expected the package kubernetes for --on k8s, found none: pip install 'gradus[k8s]'"
            ) from error
        try:
            config.load_config(config_file=os.environ.get("KUBECONFIG"))  # as it is now, not at the import
        except config.ConfigException as error:
            raise ConfigError(f"expected a cluster in kubectl's settings (KUBECONFIG), found {error}") from error
        return cls(client.BatchV1Api(), client.CoreV1Api(), client.ApiException)


def job(template: Path, name: str, command: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """A Job from the template of a pool.

    Raises:
        ConfigError: The template is missing, or names no image by its digest.
    """
    content = _content(template)
    values = {
        field: given["default"] for field, given in content["variables"]["properties"].items() if "default" in given
    }
    if not BY_DIGEST.fullmatch(values.get("image", "")):
        raise ConfigError(
            "variables.properties.image.default: expected an image by its digest (NAME@sha256:…), "
            f"found {values.get('image', '')!r} ({template})"
        )
    made = apply_values(content["job_configuration"]["job_manifest"], {**values, "name": name, "labels": {}})
    made["metadata"] = {"name": name, "namespace": values["namespace"], "labels": {"app.kubernetes.io/name": "gradus"}}
    container = made["spec"]["template"]["spec"]["containers"][0]
    container["args"] = command
    container["env"] = [{"name": key, "value": value} for key, value in sorted(environment.items())]
    return made


def _content(template: Path) -> dict[str, Any]:
    if not template.is_file():
        raise ConfigError(f"expected the template of a pool, found none ({template})")
    return json.loads(template.read_text(encoding="utf-8"))


def refuse_without_sandbox(run: Run) -> None:
    """Refuse a run whose scorers run generated code, if its pods let the sandbox make no namespaces.

    Raises:
        ConfigError: A pool has Kubernetes' own seccomp profile; one of another profile is taken at its word.
    """
    scorers = [params for params in (run.workload.scorer, run.workload.sealed_scorer) if params is not None]
    if all("unit_tests" not in each.weighted or each.unit_tests.sandbox.isolation == TRUSTED for each in scorers):
        return
    for machine in sorted({machine_of(node) for node in nodes(run)}):
        template = POOLS / f"{machine}.json"
        if _seccomp(template) == "RuntimeDefault":
            raise ConfigError(
                "job_manifest.spec.template.spec.securityContext.seccompProfile.type: expected a profile under which "
                f"the sandbox of unit_tests can make namespaces, found RuntimeDefault ({template})"
            )


def _seccomp(template: Path) -> str | None:
    """The seccomp profile of a pool's container, None if it has none.

    Raises:
        ConfigError: The template is missing.
    """
    pod = _content(template)["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    contexts = [each.get("securityContext", {}) for each in (pod["containers"][0], pod)]
    return next((context["seccompProfile"]["type"] for context in contexts if "seccompProfile" in context), None)


def on_the_cluster(run: Run, node: StageNode, cluster: Cluster) -> None:
    """Run a stage on the cluster, unless nothing changed or it was done before, and fetch its outputs.

    Raises:
        ConfigError: The run needs a sandbox that its pods do not allow.
        StageFailedError: The stage failed; it has logged why.
        ServiceError: Kubernetes refuses, or the stage left no outputs.
    """
    if not changed(run, [node.name]):
        log.info("%s: nothing changed.", node.name)
        return
    with opened() as repo:
        if not was_done(repo, run, node):
            refuse_without_sandbox(run)
            _do(repo, run, node, cluster)
            if not was_done(repo, run, node):
                raise ServiceError(f"expected what {node.name} of {run.name} left in DVC's remote, found nothing")
    reproduce(run, node.name)  # takes the outputs from the cache


def was_done(repo: Any, run: Run, node: StageNode) -> bool:
    """Whether this stage was already done with these inputs, here or elsewhere; then fetches its outputs."""
    from dvc.stage.cache import RunCacheNotFoundError

    repo.stage_cache.pull(None)
    stage = repo.stage.load_one(str(RUNS / run.name / "dvc.yaml"), node.name)
    try:
        with repo.lock:
            repo.stage_cache.restore(stage, pull=True)
    except RunCacheNotFoundError:
        return False
    return True


def _do(repo: Any, run: Run, node: StageNode, cluster: Cluster) -> None:
    """Push what the stage reads, start its Job or find it running, and wait for its end."""
    if before := needed(run, node):
        repo.push(targets=before)
    archive = packed(travelling(run, node))
    Remote.of(repo).put(archive, ARCHIVES, f"{digest_of(archive)}.tar")
    with repo.lock:
        key = key_of(repo, run, node.name)
    command = ["python", "-m", "components.stages.pod", run.name, node.name, digest_of(archive), key]
    environment = environment_of(git_commit(), remote_settings(repo))
    made = job(POOLS / f"{machine_of(node)}.json", f"gradus-{key}", command, environment)
    submit(cluster, made)
    log.info("%s: Job %s.", node.name, made["metadata"]["name"])
    wait(cluster, made, node)


def submit(cluster: Cluster, made: dict[str, Any]) -> None:
    """Start a Job; an existing one of this name continues, a failed one is replaced.

    Raises:
        ServiceError: Kubernetes refuses, or cannot be reached.
    """
    name, namespace, batch = made["metadata"]["name"], made["metadata"]["namespace"], cluster.batch
    while _asked(cluster, lambda: batch.create_namespaced_job(namespace, made), but=_CONFLICT) is None:
        there = _asked(cluster, lambda: batch.read_namespaced_job_status(name, namespace), but=_MISSING)
        if there is not None and _ended(there) != "Failed":
            return
        remove = partial(batch.delete_namespaced_job, name, namespace, propagation_policy="Foreground")
        _asked(cluster, remove, but=_MISSING)
        while _asked(cluster, lambda: batch.read_namespaced_job_status(name, namespace), but=_MISSING) is not None:
            time.sleep(LOOK_S)


def wait(cluster: Cluster, made: dict[str, Any], node: StageNode) -> None:
    """Wait for the end of a Job.

    Raises:
        StageFailedError: The stage failed; it has logged why.
        ServiceError: Kubernetes refuses, or cannot be reached.
    """
    name, namespace = made["metadata"]["name"], made["metadata"]["namespace"]
    while True:
        ended = _ended(_asked(cluster, lambda: cluster.batch.read_namespaced_job_status(name, namespace)))
        if ended == "Complete":
            return
        if ended == "Failed":
            _tell(cluster, name, namespace)
            raise StageFailedError
        time.sleep(LOOK_S)


def _asked(cluster: Cluster, ask: Callable[[], Any], but: int | None = None) -> Any:
    """Call Kubernetes and return its answer; None if it answers with the status `but`.

    The call is repeated while Kubernetes is overloaded or away.

    Raises:
        ServiceError: Kubernetes refuses, or cannot be reached.
    """
    for look in range(1, LOOKS + 1):
        try:
            return ask()
        except (cluster.errors, HTTPError) as error:
            status: int | None = getattr(error, "status", None)
            if but is not None and status == but:
                return None
            away = isinstance(error, HTTPError) or status == _TOO_MANY or (status or 0) >= _BROKEN
            if not away or look == LOOKS:
                raise _refused(error) from error
            log.warning("Kubernetes does not answer (%s); try %d of %d.", status or error, look, LOOKS)
        time.sleep(LOOK_S)
    raise AssertionError  # the last look returns or raises


def _ended(job: Any) -> str | None:
    """How a Job ended: Complete or Failed; None while it runs."""
    ends = [
        condition.type
        for condition in job.status.conditions or ()
        if condition.status == "True" and condition.type in ("Complete", "Failed")
    ]
    return ends[0] if ends else None


def _tell(cluster: Cluster, name: str, namespace: str) -> None:
    """Log the last lines of a Job's newest pod."""
    pods = _asked(cluster, lambda: cluster.core.list_namespaced_pod(namespace, label_selector=f"job-name={name}")).items
    if not pods:
        return
    newest = max(pods, key=lambda pod: (pod.metadata.creation_timestamp, pod.metadata.name)).metadata.name
    read = partial(cluster.core.read_namespaced_pod_log, newest, namespace, tail_lines=_TOLD_LINES)
    lines = _asked(cluster, read, but=_MISSING) or ""
    log.error("%s: %s", name, lines.strip() or f"ended with a code other than 0 and {EXIT_CODE_ERROR}")


def _refused(error: Exception) -> ServiceError:
    status, reason = getattr(error, "status", ""), getattr(error, "reason", error)
    host = os.environ.get("KUBECONFIG", "the cluster")
    return ServiceError(f"expected Kubernetes to take a Job, found {status} {reason} ({host})")
