"""Folders, ports and environments of all kinds: commands work there, or say in one sentence why not."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from components.errors import ConfigError, ServiceError
from components.stages.environment import straightened
from flows.place import refuse_taken
from flows.supervisor import MOST_SOCKET_BYTES, socket_path
from tests.flows.conftest import Project
from tests.flows.test_up import Machine, free_ports

NASTY = "a folder ü/50%25 off #1; it's new $HOME `id` & (more)"
DEEP = "/".join(["a-folder-of-forty-characters-and-no-more"] * 5)


def gradus(project: Project, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command with changes to its environment."""
    command = [sys.executable, "-m", "flows.cli", *arguments]
    variables = {**project.environment, **environment}
    return subprocess.run(
        command, cwd=project.folder, env=variables, capture_output=True, text=True, check=False, timeout=600
    )


@pytest.fixture(scope="module")
def project(make_project: Callable[[], Project]) -> Project:
    return make_project()


@pytest.mark.slow
@pytest.mark.services
def test_services_come_up_in_a_deep_folder_whose_name_has_everything(
    make_project: Callable[[], Project], tmp_path: Path
) -> None:
    place = tmp_path / DEEP / NASTY
    place.parent.mkdir(parents=True)
    project = Project(Path(shutil.copytree(make_project().folder, place)))
    machine = Machine(project, free_ports())
    try:
        result = machine.up()
        assert result.returncode == 0, result.stderr
        assert (place / "state/up/supervisord.pid").is_file()
        assert socket_path(place).parent.stat().st_mode & 0o777 == 0o700
        states = project.call("flows.cli", "status").stdout
        assert states.count(" healthy") == 3 and states.count("not ready") == 1
    finally:
        result = machine.down()
    assert result.stdout == "Everything is down.\n" and machine.processes() == []
    assert not socket_path(place).exists()


def test_a_sockets_path_is_never_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert socket_path(Path("/p")) == Path("/p/state/up/control.sock")
    long = [socket_path(Path("/", "x" * length)) for length in (80, 200)]
    assert len({*long}) == 2 and all(each.parent == tmp_path / f"gradus-{os.getuid()}" for each in long)
    # Counted in bytes: an umlaut has two.
    assert socket_path(Path("/", "ü" * ((MOST_SOCKET_BYTES - 20) // 2 + 5))).parent == long[0].parent
    long[0].parent.chmod(0o755)
    with pytest.raises(ServiceError, match="expected a folder that is yours alone"):
        socket_path(Path("/", "x" * 200))


@pytest.mark.slow
def test_a_stage_runs_in_a_folder_whose_name_has_everything(
    make_project: Callable[[], Project], tmp_path: Path
) -> None:
    place = tmp_path / NASTY
    place.parent.mkdir(parents=True)
    project = Project(Path(shutil.copytree(make_project().folder, place)))
    result = gradus(project, "certify", "triage")
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in place.parent.parent.glob("*")) == ["a folder ü"]
    assert (project.folder / "state/mlflow.db").is_file()


@pytest.mark.parametrize("name", ["what?", 'it\'s "new"', "two\nlines"])
def test_a_folder_that_no_database_can_carry_is_refused(tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    place.mkdir()
    result = subprocess.run(
        [sys.executable, "-m", "flows.cli", "status"], cwd=place, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )  # fmt: skip
    assert result.returncode == 2
    assert result.stderr.startswith("gradus: expected a folder without ?, line breaks and ")
    assert list(place.iterdir()) == []


def test_without_a_repository_a_run_is_refused_before_anything_is_written(project: Project, tmp_path: Path) -> None:
    copy = Project(Path(shutil.copytree(project.folder, tmp_path / "copy", ignore=shutil.ignore_patterns(".git"))))
    result = gradus(copy, "run", "triage")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(
        f"gradus: expected a git repository at {copy.folder}, found none; make one: git init"
    )
    assert not (copy.folder / "state").exists()


@pytest.mark.slow
def test_a_proxy_is_not_asked_for_loopback(make_project: Callable[[], Project]) -> None:
    dead = "http://127.0.0.1:9"
    names = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
    result = gradus(make_project(), "score", "triage", **dict.fromkeys(names, dead))
    assert result.returncode == 0, result.stderr


def test_loopback_goes_through_no_proxy_whatever_else_is_set() -> None:
    for given in ({}, {"NO_PROXY": "intern.example"}, {"no_proxy": "intern.example, localhost"}):
        result = straightened(given)
        assert result["NO_PROXY"] == result["no_proxy"]
        assert {"127.0.0.1", "localhost", "::1"} <= set(result["NO_PROXY"].split(","))
        assert ("intern.example" in result["NO_PROXY"]) is bool(given)


def test_stages_start_the_python_that_runs() -> None:
    own = str(Path(sys.executable).parent)
    assert straightened({"PATH": "/usr/bin"})["PATH"] == f"{own}{os.pathsep}/usr/bin"
    assert straightened({"PATH": f"{own}{os.pathsep}/usr/bin"})["PATH"] == f"{own}{os.pathsep}/usr/bin"


@pytest.mark.slow
def test_a_command_needs_no_activated_environment(make_project: Callable[[], Project]) -> None:
    result = gradus(make_project(), "certify", "triage", PATH="/usr/bin:/bin", HOME="/proc/nowhere")
    assert result.returncode == 0, result.stderr


def test_a_prefect_that_does_not_answer_is_one_sentence(project: Project) -> None:
    for address, actual in (("http://127.0.0.1:9/api", "Connection refused"), ("nonsense", "protocol")):
        result = gradus(project, "score", "triage", PREFECT_API_URL=address)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.startswith("gradus: expected Prefect's server at PREFECT_API_URL, found ")
        assert actual in result.stderr and result.stderr.count("\n") == 1


def test_a_home_of_prefect_that_cannot_be_made_is_one_sentence(project: Project) -> None:
    result = gradus(project, "score", "triage", PREFECT_HOME="/proc/nowhere")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("gradus: expected a folder for Prefect at PREFECT_HOME, found ")


@pytest.mark.parametrize("arguments", [("serve", "triage"), ("ui",)])
def test_a_taken_port_is_one_sentence(project: Project, arguments: tuple[str, ...]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        result = gradus(project, *arguments, "--port", str(port))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"gradus: expected to listen on 127.0.0.1, port {port}, found: Address already in use\n"


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_refused_in_one_sentence(host: str) -> None:
    with pytest.raises(ConfigError, match=f"expected to listen on {host}, port 1234, found: "):
        refuse_taken(host, 1234)
