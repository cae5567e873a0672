"""What runs Gradus on a cluster is what Kubernetes takes: every field by name and kind, by its client's models."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client import models

from components.stages.run import Run
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


def container_of(deployment: str) -> dict[str, Any]:
    (container,) = pods()[f"Deployment/{deployment}"]["containers"]
    return container


def test_all_replicas_of_the_server_have_the_salt_of_one_secret() -> None:
    pod = pods()["Deployment/serve"]
    given = {each["name"]: each["value"] for each in container_of("serve")["env"]}
    folder, _, _ = given["GRADUS_SALT_FILE"].rpartition("/")
    mounted = {mount["mountPath"]: mount["name"] for mount in container_of("serve")["volumeMounts"]}
    assert "secret" in {volume["name"]: volume for volume in pod["volumes"]}[mounted[folder]]


def test_a_server_that_is_busy_in_its_one_thread_has_the_autoscaler_start_more() -> None:
    (metric,) = manifests()["HorizontalPodAutoscaler/serve"]["spec"]["metrics"]
    acts_above = 1.1 * metric["resource"]["target"]["averageUtilization"] / 100  # 10 % is Kubernetes' tolerance
    assert acts_above * float(container_of("serve")["resources"]["requests"]["cpu"]) <= 0.7  # of the core that it takes


def test_the_records_server_does_not_start_without_a_place_for_rows_and_files() -> None:
    required = {
        each["name"]: each["valueFrom"]["secretKeyRef"] for each in container_of("mlflow")["env"] if "valueFrom" in each
    }
    names = ("MLFLOW_BACKEND_STORE_URI", "MLFLOW_ARTIFACTS_DESTINATION")
    assert required == {name: {"name": "gradus-record", "key": name} for name in names}  # none is optional


def test_every_secret_of_the_manifests_is_told_of_with_its_keys() -> None:
    files = [*(K8S / "base").glob("*.yaml"), *POOLS]
    text = "".join(path.read_text(encoding="utf-8") for path in files if path.stem != "kustomization")
    named = {*re.findall(r"secretRef: {name: ([\w-]+)}|secretName: ([\w-]+)|credentials: {name: ([\w-]+)", text)}
    told = (ROOT / "docs/scale.md").read_text(encoding="utf-8")
    rows = {*re.findall(r"^\| `(gradus[\w-]*)` \|", told, flags=re.MULTILINE)}
    assert {name for found in named for name in found if name} | {"gradus"} == rows


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


IGNORED = (DOCKER / "serve.Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()


def sent(path: str) -> bool:
    """Whether a file of the project's folder reaches the server's image: the last pattern that matches decides."""
    is_sent = True
    for line in (line for line in IGNORED if line and not line.startswith("#")):
        parts = line.removeprefix("!").replace("**/", "\0").split("*")
        pattern = "[^/]*".join(re.escape(part).replace("\0", "(?:.*/)?") for part in parts)
        if re.fullmatch(rf"{pattern}(?:/.*)?", path):
            is_sent = line.startswith("!")
    return is_sent


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("params/workloads/triage.yaml", True), ("models/nano/config.json", True), ("sums.py", True),
        ("scorers/deep/rules.py", True), ("state/up/logins.json", False), ("state/serving/salt", False),
        ("state/retrain/1/sums.py", False), ("data/mine/rows.csv", False), ("artifacts/x/model.safetensors", False),
        (".env", False), (".git/config", False), (".dvc/config.local", False), (".venv/lib/x.py", False),
        ("venv/lib/python3.11/site-packages/x/y.py", False), ("components/errors.py", False), ("notes.md", False),
    ],
)  # fmt: skip
def test_the_servers_image_has_settings_models_and_own_modules_and_neither_rows_nor_secrets(
    path: str, expected: bool
) -> None:
    assert sent(path) is expected


def test_a_prompt_and_a_scorer_of_ones_own_are_served_from_what_the_image_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project").mkdir()
    for folder in ("params", "models"):
        shutil.copytree(ROOT / folder, tmp_path / "project" / folder)
    settings = tmp_path / "project/params/workloads/triage.yaml"
    workload = yaml.safe_load(settings.read_text(encoding="utf-8"))
    workload["scorer"]["weighted"] = {"own_rules:Nothing": 1.0}
    settings.write_text(yaml.safe_dump(workload), encoding="utf-8")
    own = "class Nothing:\n    def __init__(self, schema): ...\n    def score(self, example, completion): ...\n"
    (tmp_path / "project/own_rules.py").write_text(own, encoding="utf-8")
    image = tmp_path / "image"
    for path in sorted((tmp_path / "project").rglob("*")):
        name = path.relative_to(tmp_path / "project")
        if path.is_file() and sent(name.as_posix()):
            (image / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, image / name)
    lines = (DOCKER / "serve.Dockerfile").read_text(encoding="utf-8").splitlines()
    assert "COPY --chown=10001:10001 . /project" in lines
    (environment,) = [line for line in lines if line.startswith("ENV ")]
    assert "PYTHONPATH=/project" in environment.split()
    monkeypatch.chdir(image)
    monkeypatch.syspath_prepend(image)
    run = Run.of("triage", "nano")
    assert (image / run.profile.model.path / "model.safetensors").is_file()


def test_a_project_can_build_its_servers_image() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["gradus"]["project"]
    names = ("infra/docker/serve.Dockerfile", "infra/docker/serve.Dockerfile.dockerignore")
    assert {*names} <= {*listed} and all(name in (ROOT / "MANIFEST.in").read_text(encoding="utf-8") for name in names)


def test_prefects_pages_are_copied_to_where_compose_lets_it_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import prefect
    from prefect.server.api.server import create_ui_app
    from prefect.settings import PREFECT_UI_STATIC_DIRECTORY, temporary_settings
    from starlette.testclient import TestClient

    service = yaml.safe_load((ROOT / "infra/compose.yaml").read_text(encoding="utf-8"))["services"]["prefect"]
    to = service["environment"]["PREFECT_UI_STATIC_DIRECTORY"]
    assert service["read_only"] and any(to.startswith(f"{folder}/") for folder in service["tmpfs"])
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/index.html").write_text("Approve?", encoding="utf-8")
    monkeypatch.setattr(prefect, "__ui_static_path__", tmp_path / "pages")
    monkeypatch.setattr(prefect, "__ui_v2_static_path__", tmp_path / "none")
    with temporary_settings({PREFECT_UI_STATIC_DIRECTORY: str(tmp_path / "ui")}):
        assert TestClient(create_ui_app(ephemeral=False)).get("/").text == "Approve?"
    assert (tmp_path / "ui/v1/index.html").is_file()


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
    given = {each["name"]: each.get("value", "") for each in container_of("mlflow")["env"]}
    return given["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")


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
