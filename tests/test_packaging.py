"""Gradus as an installed package: the wheel alone makes projects elsewhere, and climbs in them."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import yaml

from components.data.versions import uncommitted
from components.errors import ConfigError
from components.stages import code
from components.stages.code import hashed, key, located, parted
from flows.new import make
from tests.flows.conftest import PIPELINE, PROFILE, ROOT, WORKLOAD, Project, posted, save_tiny_model, wait_until
from tests.flows.test_up import free_ports

LISTED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["gradus"]["project"]


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.relative_to(folder).parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_a_new_project_has_the_repositorys_files_and_one_commit_with_all_of_them(tmp_path: Path) -> None:
    make(tmp_path / "new" / "project")
    made = files(tmp_path / "new" / "project")
    assert made["params/pipeline.yaml"] == (ROOT / "params/pipeline.yaml").read_bytes()
    assert made["models/nano/model.safetensors"] == (ROOT / "models/nano/model.safetensors").read_bytes()
    assert {name.split("/")[0] for name in made} == {name.split("/")[0] for name in LISTED}
    assert uncommitted(tmp_path / "new" / "project") == []
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["project"]  # nothing half-made beside it


def test_an_empty_folder_becomes_a_project_and_stays_the_same_folder(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    before = (tmp_path / "here").stat().st_ino
    make(tmp_path / "here")
    assert (tmp_path / "here").stat().st_ino == before and (tmp_path / "here" / "params/pipeline.yaml").is_file()


@pytest.mark.parametrize("kind", ["file", "full", "link"])
def test_existing_files_are_not_overwritten(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "taken"
    if kind == "file":
        folder.write_text("mine", encoding="utf-8")
    elif kind == "full":
        (folder / "params").mkdir(parents=True)
    else:
        folder.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="expected a new or an empty folder"):
        make(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_code_is_the_projects_own_where_it_has_it_and_the_installed_one_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("components/data").mkdir(parents=True)
    own, installed, neither = "components/data", "components/stages/data.py", "params/prompts/triage"
    assert located(installed) == ROOT / installed and located(own) == Path(own)
    assert parted([own, installed, neither]) == ([own, neither], [installed])


def test_a_hash_of_code_depends_on_names_and_contents_and_not_on_what_python_compiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def now() -> str:
        return hashed(["components/x"])["components/x"]

    (tmp_path / "installed/components/x/__pycache__").mkdir(parents=True)
    folder = tmp_path / "installed/components/x"
    monkeypatch.setattr(code, "INSTALLED", tmp_path / "installed")
    monkeypatch.chdir(tmp_path)
    (folder / "a.py").write_text("1")
    first = now()
    (folder / "__pycache__" / "a.pyc").write_bytes(b"x")
    assert now() == first
    (folder / "a.py").write_text("2")
    second = now()
    (folder / "a.py").rename(folder / "b.py")
    assert len({first, second, now()}) == 3
    assert "." not in key("components/x/a.py")  # DVC would part it there


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script `gradus` of an environment that has the wheel, and everything else from this one."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(
        ".git", ".venv", "state", "artifacts", "build", "dist", "*.egg-info", "tests", "__pycache__"
    ))  # fmt: skip
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    built = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source)]
    subprocess.run(built, check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    (wheel,) = folder.glob("gradus-*.whl")
    subprocess.run(
        ["env", "PYTHONPATH=", *pip[:3], "--python", str(python), *pip[3:],
         "install", "--no-deps", "--ignore-installed", str(wheel)], check=True,
    )  # fmt: skip
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    (site / "shared.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")
    return python.with_name("gradus")


@dataclass(frozen=True)
class NewProject:
    """A small project that an installed `gradus` made."""

    script: Path
    folder: Path

    @classmethod
    def of(cls, script: Path, folder: Path) -> "NewProject":
        project = cls(script, folder)
        assert cls(script, folder.parent).gradus("new", folder.name).returncode == 0
        shutil.rmtree(folder / "models/nano")
        save_tiny_model(folder / "models/nano")
        for path, changes in (("workloads/triage", WORKLOAD), ("profiles/nano", PROFILE), ("pipeline", PIPELINE)):
            Project(folder).set(f"{path}.yaml", changes)
        return project

    def gradus(self, *words: str) -> subprocess.CompletedProcess[str]:
        set_here = ("PYTHONPATH", "MLFLOW_", "PREFECT_HOME")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(set_here)}
        return subprocess.run(
            [self.script, *words], cwd=self.folder, env=inherited, capture_output=True, text=True, check=False
        )


@pytest.mark.slow
def test_the_wheel_makes_a_project_in_an_empty_folder_and_climbs_there(installed: Path, tmp_path: Path) -> None:
    project = NewProject.of(installed, tmp_path / "x")
    folder = project.folder
    assert project.gradus("graph", "triage").stdout.strip() == "runs/triage-nano/dvc.yaml"
    stages = yaml.safe_load((folder / "runs/triage-nano/dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert not [dep for stage in stages.values() for dep in stage["deps"] if dep.startswith("components")]
    climbed = project.gradus("run", "triage")
    assert climbed.returncode == 0, climbed.stderr
    assert (folder / "artifacts/triage-nano/report/report.html").is_file() and "gradus ui" in climbed.stdout
    assert not (folder / "components").exists()


@pytest.mark.slow
def test_services_come_up_in_such_a_project_and_deployments_run_there(installed: Path, tmp_path: Path) -> None:
    project, ports = NewProject.of(installed, tmp_path / "x"), free_ports()
    try:
        up = project.gradus("up", "triage", *(f"--{name}-port={port}" for name, port in ports.items()))
        assert up.returncode == 0, up.stderr
        password = json.loads((project.folder / "state/up/logins.json").read_text(encoding="utf-8"))["prefect"]
        ask = partial(posted, f"http://127.0.0.1:{ports['prefect']}/api", password=password)
        flows = {each["id"]: each["name"] for each in ask("flows/filter", content={})}
        deployed = {flows[each["flow_id"]]: each["id"] for each in ask("deployments/filter", content={})}
        assert deployed.keys() == {"scheduled", "score", "watch", "retrain", "release"}
        run = ask(f"deployments/{deployed['score']}/create_flow_run", content={})["id"]

        def state() -> str:
            (found,) = ask("flow_runs/filter", content={"flow_runs": {"id": {"any_": [run]}}})
            return found["state"]["type"]

        wait_until(lambda: state() in ("COMPLETED", "FAILED", "CRASHED"), most_s=180)
        assert state() == "COMPLETED", (project.folder / "state/logs/worker.log").read_text(encoding="utf-8")[-3000:]
    finally:
        assert project.gradus("down").returncode == 0
