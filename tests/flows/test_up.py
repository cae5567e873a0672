"""Everything on one machine: really up on free ports, and down again with nothing left."""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from components.errors import ConfigError, ServiceError
from flows import services
from flows.health import Health, Services
from flows.services import up
from flows.supervisor import MARK
from tests.flows.conftest import ROOT, Project, posted, wait_until
from tests.shared_storage import needs_postgres

COMMAND = ("flows.cli", "up", "triage")
MACHINE = Services(workload="triage", profile="nano", prefect_port=1, mlflow_port=2, serve_port=3)


@dataclass(frozen=True)
class Machine:
    """A project and the ports of its services."""

    project: Project
    ports: dict[str, int]

    def up(self) -> subprocess.CompletedProcess[str]:
        return self.project.call(*COMMAND, *(f"--{name}-port={port}" for name, port in self.ports.items()))

    def down(self) -> subprocess.CompletedProcess[str]:
        return self.project.call("flows.cli", "down")

    @property
    def pid(self) -> int:
        """Of supervisord."""
        return int((self.project.folder / "state/up/supervisord.pid").read_text())

    def asked(self, path: str, **content: Any) -> Any:
        """What Prefect's server answers."""
        url = f"http://127.0.0.1:{self.ports['prefect']}/api"
        return posted(url, path, content, self.logins["prefect"])

    @property
    def logins(self) -> dict[str, str]:
        """The password of each server."""
        return json.loads((self.project.folder / "state/up/logins.json").read_text())

    def processes(self) -> list[psutil.Process]:
        """All that live and were started by `up`, whatever their parent."""
        return [process for process in psutil.process_iter() if marked(process, self.project.folder)]


def marked(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.environ().get(MARK) == str(folder) and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False


def free_ports() -> dict[str, int]:
    ports: dict[str, int] = {}
    with socket.socket() as single, socket.socket() as two, socket.socket() as three:
        for name, result in zip(("prefect", "mlflow", "serve"), (single, two, three), strict=True):
            result.bind(("127.0.0.1", 0))
            ports[name] = result.getsockname()[1]
    return ports


@pytest.fixture(scope="module")
def machine(make_project: Callable[[], Project]) -> Generator[Machine]:
    """A machine on which everything is up, until a test takes it down."""
    machine = Machine(make_project(), free_ports())
    try:
        result = machine.up()
        assert result.returncode == 0, result.stderr
        yield machine
    finally:
        machine.down()


@pytest.mark.slow
def test_all_services_come_up_and_without_a_champion_the_server_says_so(machine: Machine) -> None:
    result = machine.project.call("flows.cli", "status")
    assert result.returncode == 0, result.stderr
    states = {
        line.split("│")[1].strip(): line.split("│")[3].strip() for line in result.stdout.splitlines() if "│" in line
    }
    assert states == {"prefect": "healthy", "mlflow": "healthy", "worker": "healthy", "serve": "not ready"}
    assert "triage has no champion that is ready" in result.stdout
    assert {path.name for path in (machine.project.folder / "state/logs").iterdir()} == {
        "mlflow.log", "prefect.log", "serve.log", "supervisord.log", "worker.log",
    }  # fmt: skip


@pytest.mark.slow
def test_the_deployments_are_there_and_only_one_may_train(machine: Machine) -> None:
    flows = {each["id"]: each["name"] for each in machine.asked("flows/filter")}
    result = {flows[each["flow_id"]]: each for each in machine.asked("deployments/filter")}
    assert result.keys() == {"scheduled", "score", "watch", "retrain", "release"}
    assert {each["name"] for each in result.values()} == {"triage"}
    cron = {name: each["schedules"][0]["schedule"]["cron"] for name, each in result.items() if each["schedules"]}
    assert cron == {"scheduled": "0 3 * * 0", "score": "0 * * * *", "watch": "10 * * * *"}
    (trainer,) = [each for each in machine.asked("v2/concurrency_limits/filter") if each["name"] == "trainer"]
    assert trainer["limit"] == 1


@pytest.mark.slow
def test_a_second_up_is_harmless(machine: Machine) -> None:
    before = {process.pid for process in machine.processes()}
    assert machine.up().returncode == 0
    assert {process.pid for process in machine.processes()} == before
    assert len(machine.asked("automations/filter")) == 1


@pytest.mark.slow
def test_other_ports_are_refused_while_it_is_up(machine: Machine) -> None:
    result = Machine(machine.project, free_ports()).up()
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("gradus: expected nothing else to run here, found workload=triage")


@pytest.mark.slow
def test_a_drift_starts_a_retraining_with_what_the_event_says(machine: Machine) -> None:
    event = {
        "id": "0b5c6f2e-2f5e-4a50-9d0c-0a4a8d2f6a11",
        "occurred": "2026-01-01T00:00:00Z",
        "event": "drift.detected",
        "resource": {"prefect.resource.id": "gradus.workload.triage"},
        "payload": {"workload": "triage", "profile": "nano", "kind": "input+quality"},
    }
    url = f"http://127.0.0.1:{machine.ports['prefect']}/api"
    posted(url, "events", [event], machine.logins["prefect"])

    def retrainings() -> list[dict[str, Any]]:
        (flow,) = machine.asked("flows/filter", flows={"name": {"any_": ["retrain"]}})
        runs = machine.asked("flow_runs/filter")
        return [run["parameters"] for run in runs if run["flow_id"] == flow["id"]]

    wait_until(retrainings, most_s=60)
    assert retrainings() == [{"workload": "triage", "profile": "nano", "reason": "drift: input+quality"}]


@pytest.mark.slow
def test_a_service_that_was_killed_comes_back(machine: Machine) -> None:
    (serving,) = [
        process for process in machine.processes() if "serve" in process.cmdline() and "flows.cli" in process.cmdline()
    ]
    serving.kill()
    url = f"http://127.0.0.1:{machine.ports['serve']}/healthz"

    def answers() -> bool:
        try:
            return httpx.get(url).is_success
        except httpx.TransportError:
            return False

    wait_until(lambda: not serving.is_running() or serving.status() == psutil.STATUS_ZOMBIE, most_s=10)
    wait_until(answers, most_s=120)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True], ids=["supervised", "after its supervisor was killed"])
def test_down_leaves_nothing(machine: Machine, killed: bool) -> None:
    if not machine.processes():
        assert machine.up().returncode == 0
    if killed:
        os.kill(machine.pid, signal.SIGKILL)
        assert machine.project.call("flows.cli", "status").returncode == 1
    result = machine.down()
    assert (result.returncode, result.stdout) == (0, "Everything is down.\n"), result.stderr
    assert machine.processes() == []
    assert [path.name for path in (machine.project.folder / "state/up").iterdir()] == ["prefect"]
    for port in machine.ports.values():
        with socket.socket() as actual:
            actual.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            actual.bind(("127.0.0.1", port))


@pytest.fixture(scope="module")
def project(make_project: Callable[[], Project]) -> Project:
    return make_project()


def test_a_taken_port_is_one_sentence_and_nothing_is_started(project: Project) -> None:
    ports = free_ports()
    with socket.socket() as other:
        other.bind(("127.0.0.1", ports["mlflow"]))
        other.listen()
        result = Machine(project, ports).up()
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        f"gradus: expected a free port for mlflow, found {ports['mlflow']} taken; "
        f"choose another: gradus up triage --mlflow-port {ports['mlflow'] + 1}\n"
    )
    assert Machine(project, ports).processes() == [] and not (project.folder / "state/up/services.json").exists()


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("failure", [ConfigError("a typo"), KeyboardInterrupt(), ServiceError("not healthy")])
def test_an_up_that_fails_takes_down_what_it_brought_up_and_nothing_that_ran_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, running: bool, failure: BaseException
) -> None:
    def fail(*_: object) -> None:
        raise failure

    ended: list[str] = []
    shutil.copytree(ROOT / "params", tmp_path / "params")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(services.os, "environ", dict(os.environ))
    monkeypatch.setattr(services, "is_up", lambda asked: running)
    monkeypatch.setattr(services, "saved_logins", services.new_logins)
    for name in ("sweep", "_refuse_taken", "save_logins", "_supervise"):
        monkeypatch.setattr(services, name, lambda *_: None)
    monkeypatch.setattr(services, "_bring", fail)
    monkeypatch.setattr(services, "down", lambda: ended.append("all"))
    with pytest.raises(type(failure)):
        up(MACHINE, print)
    assert ended == ([] if running else ["all"])


@pytest.mark.parametrize(("running", "keep", "ends"), [(False, False, 1), (False, True, 0), (True, False, 0)])
def test_a_demo_ends_the_services_that_it_brought_up(
    monkeypatch: pytest.MonkeyPatch, running: bool, keep: bool, ends: int
) -> None:
    from flows import demo, machine

    def fail(*_: object) -> None:
        raise ServiceError("no drift was noticed")

    ended: list[str] = []
    monkeypatch.setattr(demo, "reviewing", lambda environment: {})
    monkeypatch.setattr(demo, "ensure_champion", lambda run: None)
    monkeypatch.setattr(demo, "play", fail)
    monkeypatch.setattr(services, "is_up", lambda asked: running)
    monkeypatch.setattr(services, "up", lambda asked, report: list[Health]())
    monkeypatch.setattr(services, "down", lambda: ended.append("all"))
    with pytest.raises(ServiceError):
        machine.demonstrate_drift(keep=keep)
    assert len(ended) == ends


@needs_postgres
def test_up_asks_for_the_records_database_though_clients_were_to_ask_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "params").mkdir()
    away = f"record: postgresql://me@127.0.0.1:{free_ports()['mlflow']}/mlflow\n"
    (tmp_path / "params" / "storage.yaml").write_text(away, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example")
    before = dict(os.environ)
    with pytest.raises(ServiceError, match="expected PostgreSQL at"):
        up(MACHINE, print)
    assert dict(os.environ) == before and [path.name for path in tmp_path.iterdir()] == ["params"]


def test_where_nothing_is_up_status_and_down_say_so(project: Project) -> None:
    for command, said in (("status", "Nothing is up; gradus up WORKLOAD starts it.\n"), ("down", "Nothing was up.\n")):
        result = project.call("flows.cli", command)
        assert (result.returncode, result.stdout, result.stderr) == (0, said, "")


@pytest.mark.slow
def test_a_service_that_fails_is_named_with_its_log_and_the_others_go_down(project: Project) -> None:
    record = project.folder / "state/mlflow.db"
    record.parent.mkdir(exist_ok=True)
    record.write_bytes(b"This is no database." * 500)
    machine = Machine(project, free_ports())
    result = machine.up()
    assert (result.returncode, result.stdout) == (2, "")
    last = result.stderr.splitlines()[-1]
    assert last.startswith("gradus: expected mlflow to become healthy, found ")
    assert last.endswith("(state/logs/mlflow.log)") and "file is not a database" in last
    assert machine.processes() == []
