"""What runs Gradus on a cluster is what Kubernetes takes: every field by name and kind, by its client's models."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client import models

from flows.cluster import job
from tests.shared_storage import needs_s3, s3_service

ROOT = Path(__file__).resolve().parents[1]
K8S, DOCKER = ROOT / "infra/k8s", ROOT / "infra/docker"
FILES = sorted(path for path in (K8S / "base").glob("*.yaml") if path.stem not in ("kustomization", "monitor"))
POOLS = sorted((K8S / "pools").glob("*.json"))
PLAIN = {"str": str, "int": int, "bool": bool, "float": (int, float), "object": object, "datetime": str}
IMAGE = f"registry.example/gradus@sha256:{'0' * 64}"


def model_of(content: dict[str, Any]) -> str:
    """The client's model of a manifest, as V1NetworkPolicy or V2HorizontalPodAutoscaler."""
    version = content["apiVersion"].rpartition("/")[2]
    return f"{version[0].upper()}{version[1:]}{content['kind']}"


def problems(value: Any, kind: str, at: str) -> Iterator[str]:
    """Fields that the model does not know, lacks, or has as something else."""
    if listed := re.fullmatch(r"List\[(.+)\]", kind):
        if not isinstance(value, list):
            yield f"{at}: expected a list, found {value!r}"
            return
        for number, part in enumerate(value):
            yield from problems(part, listed[1], f"{at}[{number}]")
    elif mapped := re.fullmatch(r"Dict\[str, (.+)\]", kind):
        for key, part in value.items():
            yield from problems(part, mapped[1], f"{at}.{key}")
    elif kind in PLAIN:
        if not isinstance(value, PLAIN[kind]) or (kind == "int" and isinstance(value, bool)):
            yield f"{at}: expected {kind}, found {value!r}"
    elif kind != "IntOrString":
        yield from _of_a_model(value, getattr(models, kind), at)


def _of_a_model(value: Any, model: Any, at: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{at}: expected {model.__name__}, found {value!r}"
        return
    fields = {shown: field for field, shown in model.attribute_map.items()}
    for key, part in value.items():
        if key in fields:
            yield from problems(part, model.openapi_types[fields[key]], f"{at}.{key}")
        else:
            yield f"{at}.{key}: unknown to {model.__name__}"
    try:
        model(**{fields[key]: part for key, part in value.items() if key in fields})
    except ValueError as error:
        yield f"{at}: {error}"


def manifests() -> dict[str, dict[str, Any]]:
    documents = (document for path in FILES for document in yaml.safe_load_all(path.read_text(encoding="utf-8")))
    return {f"{document['kind']}/{document['metadata']['name']}": document for document in documents}


@pytest.mark.parametrize("name", sorted(manifests()))
def test_every_manifest_is_what_kubernetes_takes(name: str) -> None:
    content = manifests()[name]
    assert list(problems(content, model_of(content), name)) == []


@pytest.mark.parametrize(("at", "value"), [
    (("spec", "replicaz"), 1), (("spec", "replicas"), "one"), (("spec", "template", "spec", "containers"), {}),
    (("spec", "selector"), None),
])  # fmt: skip
def test_a_wrong_manifest_is_noticed(at: tuple[str, ...], value: Any) -> None:
    content = manifests()["Deployment/mlflow"]
    inner = content
    for key in at[:-1]:
        inner = inner[key]
    if value is None:
        del inner[at[-1]]
    else:
        inner[at[-1]] = value
    assert list(problems(content, "V1Deployment", "x"))


@pytest.mark.parametrize("path", POOLS, ids=lambda path: path.stem)
def test_the_jobs_of_every_pool_are_what_kubernetes_takes(path: Path, tmp_path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    content["variables"]["properties"]["image"]["default"] = IMAGE
    copy = tmp_path / path.name
    copy.write_text(json.dumps(content), encoding="utf-8")
    assert list(problems(job(copy, "gradus-1", ["python"], {"A": "1"}), "V1Job", path.stem)) == []


def pods() -> dict[str, dict[str, Any]]:
    deployed = {
        name: manifest["spec"]["template"]["spec"]
        for name, manifest in manifests().items()
        if manifest["kind"] == "Deployment"
    }
    pooled = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))["job_configuration"]["job_manifest"] for path in POOLS
    }
    return deployed | {name: manifest["spec"]["template"]["spec"] for name, manifest in pooled.items()}


@pytest.mark.parametrize("name", sorted(pods()))
def test_no_pod_runs_as_root_writes_its_image_or_has_a_login_of_the_cluster(name: str) -> None:
    pod = pods()[name]
    assert pod["automountServiceAccountToken"] is False and pod["securityContext"]["runAsNonRoot"] is True
    for container in pod["containers"]:
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert {"requests", "limits"} <= container["resources"].keys() and "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", sorted(name for name in pods() if name.startswith("Deployment/")))
def test_every_server_has_probes_and_a_service_and_policies_that_reach_it(name: str) -> None:
    all_of_them = manifests()
    (container,) = pods()[name]["containers"]
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys()
    labels = all_of_them[name]["spec"]["template"]["metadata"]["labels"]
    server = name.partition("/")[2]
    assert all_of_them[f"Service/{server}"]["spec"]["selector"] == labels
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert all(port["targetPort"] in ports for port in all_of_them[f"Service/{server}"]["spec"]["ports"])
    letting_in = [
        rule for manifest in all_of_them.values() if manifest["kind"] == "NetworkPolicy"
        and manifest["spec"]["podSelector"].get("matchLabels") == labels for rule in manifest["spec"]["ingress"]
    ]  # fmt: skip
    assert {port["port"] for rule in letting_in for port in rule["ports"]} == set(ports.values())


def test_whatever_no_policy_names_is_closed() -> None:
    closed = manifests()["NetworkPolicy/closed"]["spec"]
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_the_monitor_asks_a_port_and_a_path_that_the_server_has() -> None:
    monitor = yaml.safe_load((K8S / "base/monitor.yaml").read_text(encoding="utf-8"))
    service = manifests()["Service/serve"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
    assert f'"{endpoint["path"]}"' in (ROOT / "components/serving/app.py").read_text(encoding="utf-8")


def test_the_kustomization_has_every_file_of_its_folder() -> None:
    listed = yaml.safe_load((K8S / "base/kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    assert sorted(listed) == sorted(path.name for path in (K8S / "base").glob("*.yaml") if path.stem != "kustomization")


@pytest.mark.parametrize("path", sorted(DOCKER.glob("*.Dockerfile")), ids=lambda path: path.stem)
def test_images_start_from_a_named_digest_and_end_without_root(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    starts = [line.split()[1] for line in lines if line.startswith("FROM ")]
    arguments = [line.split()[1] for line in lines if line.startswith("ARG ")]
    assert starts and set(starts) <= {"${PYTHON}", "${BASE}"}  # neither has a default, so that who builds pins them
    assert not [argument for argument in arguments if "=" in argument]
    assert [line for line in lines if line.startswith("USER ")][-1] == "USER 10001:10001"
    copied = [
        word for line in lines if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]
    ]
    assert all((ROOT / word).exists() for word in copied if not word.startswith("--"))


def test_what_compose_starts_has_no_image_and_no_password_by_default() -> None:
    text = (ROOT / "infra/compose.yaml").read_text(encoding="utf-8")
    services = yaml.safe_load(text)["services"]
    assert services.keys() == {"postgres", "s3", "bucket", "mlflow", "prefect"}
    assert all(service["image"].startswith("${") for service in services.values())
    assert ":-" not in text
    assert all("127.0.0.1:" in port for service in services.values() for port in service.get("ports", ()))


@pytest.mark.parametrize(("service", "address"), [
    ("mlflow", "MLFLOW_BACKEND_STORE_URI"), ("prefect", "PREFECT_API_DATABASE_CONNECTION_URL"),
])  # fmt: skip
def test_the_password_of_composes_databases_may_have_any_character(service: str, address: str) -> None:
    from sqlalchemy.engine import make_url

    given = {"POSTGRES_PASSWORD": "p@ss/w:rd#%?"}
    text = (ROOT / "infra/compose.yaml").read_text(encoding="utf-8")
    environment = yaml.safe_load(text)["services"][service]["environment"]
    environment = {
        name: re.sub(r"\$\{(\w+)[^}]*\}", lambda of: given.get(of[1], of[1]), value)
        for name, value in environment.items()
    }
    url = make_url(environment[address])
    assert (url.username, url.password, url.host, url.port) == ("gradus", None, "postgres", None)
    assert environment["PGPASSWORD"] == given["POSTGRES_PASSWORD"]


@needs_s3
def test_compose_makes_the_bucket_that_mlflows_files_go_to_once() -> None:
    services = yaml.safe_load((ROOT / "infra/compose.yaml").read_text(encoding="utf-8"))["services"]
    (destination,) = [word for word in services["mlflow"]["command"] if word.startswith("--artifacts-destination=")]
    bucket = destination.removeprefix("--artifacts-destination=s3://").partition("/")[0]
    assert services["mlflow"]["depends_on"]["bucket"] == {"condition": "service_completed_successfully"}
    python, *arguments = services["bucket"]["command"]
    assert python == "python"
    with s3_service("another") as service:
        for _ in range(2):
            subprocess.run([sys.executable, *arguments], env={**os.environ, **service.environment}, check=True)
        assert [each["Name"] for each in service.client.list_buckets()["Buckets"]] == ["another", bucket]


def test_a_pod_that_climbs_reaches_kubernetes_by_its_ports_before_and_behind_the_service() -> None:
    reached = {
        (name, port["port"])
        for name in ("names-record-and-storage", "climb")
        for rule in manifests()[f"NetworkPolicy/{name}"]["spec"]["egress"]
        for port in rule["ports"]
    }
    assert {("names-record-and-storage", 443), ("climb", 6443)} <= reached
    assert ("names-record-and-storage", 6443) not in reached  # stages and servers ask Kubernetes for nothing


def allowed_hosts(place: str) -> list[str]:
    """The names by which MLflow's server lets itself be asked."""
    if place == "compose":
        services = yaml.safe_load((ROOT / "infra/compose.yaml").read_text(encoding="utf-8"))["services"]
        return services["mlflow"]["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    container = manifests()["Deployment/mlflow"]["spec"]["template"]["spec"]["containers"][0]
    return {variable["name"]: variable["value"] for variable in container["env"]}["MLFLOW_SERVER_ALLOWED_HOSTS"].split(
        ","
    )


@pytest.mark.parametrize(
    ("place", "host", "taken"),
    [
        ("k8s", "mlflow:5000", True), ("k8s", "mlflow", True), ("k8s", "elsewhere:5000", False),
        ("compose", "mlflow:5000", True), ("compose", "localhost:5000", True), ("compose", "127.0.0.1:8080", True),
        ("compose", "elsewhere", False),
    ],
)  # fmt: skip
def test_mlflow_answers_only_to_the_names_that_it_has_there(place: str, host: str, taken: bool) -> None:
    from mlflow.server.security_utils import is_allowed_host_header

    assert is_allowed_host_header(allowed_hosts(place), host) is taken
