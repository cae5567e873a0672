"""What is installed beside Gradus: pinned with hashes, and under licences that were looked at."""

import json
import re
import subprocess
import sys
import tomllib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, PackagePath, distribution, files
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from infra.install import compile_modules, entry, install, installed
from infra.lock import CUDA_HEADER, EXTRAS, HEADER, entries, merged, written
from infra.lock_gpu import wanted

ROOT = Path(__file__).resolve().parents[1]
LOCK, CUDA = ((ROOT / name).read_text(encoding="utf-8") for name in ("requirements.lock", "requirements-cuda.lock"))
LICENCES = yaml.safe_load((ROOT / "infra/licences.yaml").read_text(encoding="utf-8"))


def names(lock: str) -> set[str]:
    return {pin.partition("==")[0] for pin in entries(lock)}


def licence(name: str) -> str | None:
    """What a package's metadata say: the expression, else the classifiers, else the first line of the text."""
    try:
        metadata: Any = distribution(name).metadata
    except PackageNotFoundError:
        return None
    classifiers = [
        classifier.rpartition("::")[2].strip()
        for classifier in metadata.get_all("Classifier") or []
        if "License ::" in classifier
    ]
    classifiers = [classifier for classifier in classifiers if classifier != "OSI Approved"]
    text = str(metadata.get("License") or "").strip().partition("\n")[0]
    return str(metadata.get("License-Expression") or "") or ", ".join(classifiers) or text or "none"


def test_every_dependency_has_a_licence_that_was_looked_at() -> None:
    allowed = {*LICENCES["permissive"], *LICENCES["by_file"]}
    licences = {name: licence(name) for name in sorted(names(LOCK))}
    assert sum(value is not None for value in licences.values()) > 200
    odd = {name: value for name, value in licences.items() if value is not None and value not in allowed}
    assert odd.keys() <= LICENCES["exceptions"].keys(), odd
    assert LICENCES["exceptions"].keys() <= odd.keys() | {
        n for n, value in licences.items() if value is None
    }  # none old


@pytest.mark.slow
def test_the_bill_of_materials_has_each_package_that_is_installed_with_version_and_licence(tmp_path: Path) -> None:
    tools, bill = Path(sys.executable).parent, tmp_path / "sbom.json"
    command = re.search(r"cyclonedx-py (.*?)\n\n", (ROOT / "Makefile").read_text().replace("\\\n", ""), re.DOTALL)
    assert command
    words = command[1].replace("$(BIN)/python", sys.executable).replace("sbom.json", str(bill)).split()
    subprocess.run([tools / "cyclonedx-py", *words], cwd=ROOT, check=True, capture_output=True)
    components = json.loads(bill.read_text(encoding="utf-8"))["components"]
    named = {canonicalize_name(part["name"]): part["version"] for part in components}
    here = versions_here()
    assert {name: named.get(name) for name in here} == here
    assert sum("licenses" in part for part in components) > 0.95 * len(components)


def versions_here() -> dict[NormalizedName, str]:
    """The version of each package of the lock that is installed."""
    versions: dict[NormalizedName, str] = {}
    for name in sorted(names(LOCK)):
        with suppress(PackageNotFoundError):
            versions[canonicalize_name(name)] = distribution(name).version
    return versions


@pytest.mark.parametrize("name", ["huey", "skops"])
def test_a_package_without_a_licence_in_its_metadata_has_the_one_that_is_named(name: str) -> None:
    paths: list[PackagePath] = [path for path in files(name) or [] if "licen" in path.name.lower()]
    assert any("Permission is hereby granted, free of charge" in path.read_text() for path in paths)


def test_every_entry_of_the_locks_is_pinned_with_hashes() -> None:
    for lock in (LOCK, CUDA):
        for pin, (line, hashes) in entries(lock).items():
            assert re.fullmatch(r"[a-z0-9.-]+==[^\s*]+", pin), line
            assert hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes), pin
        assert "://" not in lock and "--index" not in lock and "--find-links" not in lock


def test_the_lock_has_everything_that_the_project_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(text for extra in EXTRAS for text in project["optional-dependencies"][extra])]
    pins = dict(pin.split("==") for pin in entries(LOCK))
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement


def test_extras_that_pages_and_messages_name_exist_and_are_quoted_for_the_shell() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    folders = (ROOT / folder for folder in ("components", "flows", "monitoring", "docs"))
    pages = [*ROOT.glob("*.md"), *(path for folder in folders for path in folder.rglob("*.[mp][dy]"))]
    text = "\n".join(path.read_text(encoding="utf-8") for path in pages)
    named = re.findall(r"pip install ('?)gradus\[([\w,]+)\]('?)", text)
    assert {extra for _, extras, _ in named for extra in extras.split(",")} == {
        "k8s", "llama", "mcp", "postgres", "ray", "s3"
    } <= project["project"]["optional-dependencies"].keys()  # fmt: skip
    assert {(before, after) for before, _, after in named} == {("'", "'")}  # brackets are a pattern to zsh
    assert set(re.findall(r"pip install --group (\w+)", text)) <= project["dependency-groups"].keys()


def test_torch_comes_as_cpu_and_as_cuda_build_and_what_only_cuda_needs_is_apart() -> None:
    assert names(CUDA) >= {"triton", "nvidia-cublas"} and not names(CUDA) & names(LOCK)
    assert not [name for name in names(LOCK) if name.startswith("nvidia")]
    ((_, hashes),) = [locked for pin, locked in entries(LOCK).items() if pin.startswith("torch==")]
    assert (
        "sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b" in hashes
    )  # CPU, CPython 3.11, Linux
    assert len(hashes) > 20  # and the index's


def test_a_lock_that_is_made_anew_keeps_hashes_of_versions_that_stay() -> None:
    old = entries("a==1 \\\n    --hash=sha256:aa\nb==1 \\\n    --hash=sha256:bb\n")
    new = entries("a==1 ; sys_platform == 'linux' \\\n    --hash=sha256:cc\nb==2 \\\n    --hash=sha256:dd\n")
    assert written(merged(new, old), HEADER) == (
        f"{HEADER}a==1 ; sys_platform == 'linux' \\\n    --hash=sha256:aa \\\n    --hash=sha256:cc\n"
        "b==2 \\\n    --hash=sha256:dd\n"
    )
    assert LOCK.startswith(HEADER) and CUDA.startswith(CUDA_HEADER)


def test_one_packages_entry_is_read_whole() -> None:
    lock = "tor==1 \\\n    --hash=sha256:aa\ntorch==2 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\nz==1\n"
    assert entry(lock, "torch") == "torch==2 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n"
    with pytest.raises(SystemExit, match="expected nowhere"):
        entry(lock, "nowhere")
    assert installed("no-such-package") == "" and installed("torch") == entry(LOCK, "torch").split()[0].split("==")[1]


def test_nothing_is_installed_whose_hash_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr("infra.install.installed", lambda name: "")
    monkeypatch.setattr("subprocess.run", lambda command, check: calls.append(command) or CompletedProcess(command, 0))
    monkeypatch.chdir(ROOT)
    install(cuda=True)
    words = [command[command.index("pip") :] for command in calls]
    assert [arguments[2] for arguments in words] == [
        "download",
        "install",
        "install",
        "install",
    ]  # torch, all others, CUDA's
    assert all("--require-hashes" in arguments for arguments in words if "install" in arguments)


@pytest.mark.parametrize("told", [True, False])
def test_modules_are_compiled_at_installation_where_they_are_not_at_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    (tmp_path / "a.py").write_text("1\n", encoding="utf-8")
    (tmp_path / "template.py").write_text("{{ no Python }\n", encoding="utf-8")
    monkeypatch.setattr("sys.dont_write_bytecode", told)
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    compile_modules()
    assert [path.name.split(".")[0] for path in tmp_path.rglob("*.pyc")] == (["a"] if told else [])


def test_what_processes_would_import_for_seconds_and_never_use_is_not_installed() -> None:
    assert not names(LOCK) & {"rfc3987-syntax", "lark"}


def test_the_gpus_lock_has_what_its_environment_wants_and_no_prefect() -> None:
    text = (ROOT / "requirements-gpu.lock").read_text(encoding="utf-8")
    pins = dict(pin.split("==") for pin in entries(text))
    listed = wanted(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8")))
    assert {"vllm", "trl", "mlflow", "dvc"} <= {Requirement(line).name for line in listed} and "prefect" not in pins
    for requirement in map(Requirement, listed):
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement
    assert all(hashes for _, hashes in entries(text).values()) and "://" not in text
    assert all(Requirement(f"vllm{bound}").specifier.contains(pins["vllm"]) for bound in (">=0.22", "<=0.31"))
