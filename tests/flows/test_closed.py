"""Prefect's and MLflow's servers answer only those who have the login, and only their own pages."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.errors import ConfigError
from components.params import RetentionParams
from flows import servers
from flows.health import Services
from flows.logins import (
    USER,
    Logins,
    mlflow_settings,
    new_logins,
    prefect_settings,
    save_logins,
    saved_logins,
    temporary_prefect,
)
from flows.services import environment, prefect_retention
from tests.flows.conftest import ROOT, posted, wait_until

EVIL = "https://evil.example"
PASSWORD = "a-password-of-these-tests-0123456789"
# What changes something, and what reads everything.
CHANGES = {"prefect": "/api/flows/", "mlflow": "/api/2.0/mlflow/registered-models/alias"}
READS = {"prefect": "/api/admin/version", "mlflow": "/ajax-api/2.0/mlflow/experiments/get?experiment_id=0"}


@dataclass(frozen=True)
class Listening:
    """A server that runs, and its login as a header."""

    name: str
    address: str
    authorization: tuple[str, str] = (USER, PASSWORD)

    def ask(self, method: str, path: str, login: bool = True, **headers: str) -> httpx.Response:
        with httpx.Client(trust_env=False, timeout=20) as client:
            auth = self.authorization if login else None
            return client.request(method, self.address + path, headers=headers, auth=auth, json={"name": "attack"})


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def listening(name: str, folder: Path) -> Generator[Listening]:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    variables = {
        **os.environ, **prefect_settings(f"{USER}:{PASSWORD}", address), **mlflow_settings(PASSWORD),
        "PYTHONPATH": str(ROOT), "PREFECT_HOME": str(folder / "prefect"), "PREFECT_API_URL": f"{address}/api",
    }  # fmt: skip
    variables.pop("MLFLOW_TRACKING_URI", None)
    (folder / "state").mkdir(exist_ok=True)
    with (folder / f"{name}.log").open("wb") as log:
        command = [sys.executable, "-m", "flows.servers", name, str(port)]
        process = subprocess.Popen(command, cwd=folder, env=variables, stdout=log, stderr=log)
    server = Listening(name, address)
    health = "/api/health" if name == "prefect" else "/health"

    def answers() -> bool:
        assert process.poll() is None, (folder / f"{name}.log").read_text()
        try:
            return server.ask("GET", health).is_success
        except httpx.TransportError:
            return False

    try:
        wait_until(answers, most_s=120)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="module", params=["prefect", "mlflow"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Listening]:
    with listening(request.param, tmp_path_factory.mktemp(request.param)) as server:
        yield server


@pytest.mark.slow
@pytest.mark.services
class TestServers:
    """Against the real servers."""

    def test_without_the_login_nothing_is_read_or_changed(self, server: Listening) -> None:
        for wrong in (None, (USER, "wrong"), ("", PASSWORD)):
            stranger = Listening(server.name, server.address, wrong or ("", ""))
            for method, path in (("GET", READS[server.name]), ("POST", CHANGES[server.name])):
                assert stranger.ask(method, path, login=wrong is not None).status_code in (401, 403)

    def test_with_the_login_it_answers(self, server: Listening) -> None:
        assert server.ask("GET", READS[server.name]).status_code == 200

    @pytest.mark.parametrize("origin", [EVIL, "null", "http://127.0.0.1:1", "http://localhost"])
    def test_a_page_of_others_is_refused_even_with_the_login(self, server: Listening, origin: str) -> None:
        for method, path in (("POST", CHANGES[server.name]), ("GET", READS[server.name])):
            assert server.ask(method, path, Origin=origin).status_code == 403
        preflight = server.ask(
            "OPTIONS", CHANGES[server.name], login=False, Origin=origin,
            **{"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"},
        )  # fmt: skip
        assert 400 <= preflight.status_code < 500
        assert "access-control-allow-origin" not in preflight.headers

    @pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:80", "127.0.0.1.evil.example"])
    def test_another_name_for_this_address_is_refused_even_with_the_login(self, server: Listening, host: str) -> None:
        for path in (READS[server.name], "/health", "/api/health", "/"):
            assert server.ask("GET", path, Host=host).status_code == 421

    def test_no_other_page_may_frame_it(self, server: Listening) -> None:
        assert server.ask("GET", READS[server.name]).headers["x-frame-options"] == "SAMEORIGIN"


@pytest.mark.slow
@pytest.mark.services
def test_prefects_events_need_the_login_and_prefects_own_page(tmp_path: Path) -> None:
    from websockets.exceptions import ConnectionClosed, InvalidStatus
    from websockets.sync.client import connect
    from websockets.typing import Origin, Subprotocol

    with listening("prefect", tmp_path) as server:
        url = server.address.replace("http", "ws") + "/api/events/in"
        with pytest.raises(InvalidStatus), connect(url, origin=Origin(EVIL), subprotocols=[Subprotocol("prefect")]):
            pass
        for token, lets_in in ((f"{USER}:{PASSWORD}", True), ("wrong", False)):
            with connect(url, subprotocols=[Subprotocol("prefect")], proxy=None) as socket_:
                socket_.send(json.dumps({"type": "auth", "token": token}))
                if lets_in:
                    assert json.loads(socket_.recv(timeout=10)) == {"type": "auth_success"}
                else:
                    with pytest.raises(ConnectionClosed):
                        socket_.recv(timeout=10)
        changed = posted(f"{server.address}/api", "flows/", {"name": "mine"}, PASSWORD)
        assert changed["name"] == "mine"
        # The login alone, which a browser may add by itself, changes nothing without the token.
        assert server.ask("POST", CHANGES["prefect"]).status_code == 403


@pytest.mark.slow
@pytest.mark.services
def test_make_ui_opens_the_projects_record_to_whoever_reads_its_terminal(tmp_path: Path) -> None:
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    variables.pop("MLFLOW_TRACKING_URI", None)
    port = free_port()
    command = [sys.executable, "-m", "flows.cli", "ui", "--port", str(port)]
    process = subprocess.Popen(command, cwd=tmp_path, env=variables, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"The record: http://127.0.0.1:{port}\n"
        user, password = re.findall(r"the user (\S+) and the password (\S+)", process.stdout.readline())[0]
        reader = Listening("mlflow", f"http://127.0.0.1:{port}", (user, password))
        wait_until(lambda: _listens("127.0.0.1", port), most_s=60)
        assert reader.ask("GET", READS["mlflow"], login=False).status_code == 401
        assert reader.ask("GET", READS["mlflow"]).json()["experiment"]["name"] == "Default"
        assert (tmp_path / "state" / "mlflow.db").stat().st_mode & 0o077 == 0
    finally:
        process.terminate()
        process.wait(timeout=30)


TEMPORARY = """
import os, sys
from flows.cli import prepare
from flows.production import prefect_home
prepare()
prefect_home()
from prefect import flow
from prefect.client.orchestration import get_client
@flow
def one():
    with get_client(sync_client=True) as client:
        print(client.api_url)
    import httpx
    base = str(client.api_url).rstrip("/")
    asks = lambda **k: httpx.request(**k, trust_env=False)
    print(asks(method="POST", url=base + "/flows/filter", json={}).status_code)
    print(asks(method="POST", url=base + "/flows/", json={"name": "x"}).status_code)
    print(asks(method="GET", url=base + "/admin/version").status_code)
    preflight = asks(method="OPTIONS", url=base + "/flows/", headers={
        "Origin": "https://evil.example", "Access-Control-Request-Method": "POST"})
    print(preflight.status_code, preflight.headers.get("access-control-allow-origin"))
    auth = tuple(os.environ["PREFECT_API_AUTH_STRING"].split(":"))
    print(asks(method="GET", url=base + "/admin/version", auth=auth).status_code)
    print(asks(method="POST", url=base + "/flows/", json={"name": "x"}, auth=auth).status_code)
    return "ran"
print(one())
"""


@pytest.mark.slow
@pytest.mark.services
def test_the_server_of_a_single_command_is_closed_and_its_flow_runs(tmp_path: Path) -> None:
    script = tmp_path / "flow.py"
    script.write_text(TEMPORARY)
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    variables |= {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, script]
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    address, *said = done.stdout.splitlines()
    assert re.match(r"http://127\.0\.0\.1:\d+/api", address)
    # Without the login: nothing. With it, but without a token: only what reads.
    assert said == ["403", "403", "401", "400 None", "200", "403", "ran"]


def test_every_program_of_up_is_handed_what_closes_the_servers(tmp_path: Path) -> None:
    services = Services(workload="triage", profile="nano", prefect_port=4200, mlflow_port=5000, serve_port=8000)
    handed = environment(services, tmp_path, Logins(prefect="p" * 40, mlflow="m" * 40))
    expected = {
        "MLFLOW_TRACKING_PASSWORD": "m" * 40,
        "MLFLOW_TRACKING_USERNAME": "gradus",
        "PREFECT_API_AUTH_STRING": f"gradus:{'p' * 40}",
        "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "true",
        "PREFECT_SERVER_API_AUTH_STRING": f"gradus:{'p' * 40}",
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": "http://127.0.0.1:4200",
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
    }
    assert {name: handed.get(name) for name in expected} == expected


def test_prefects_server_deletes_old_flow_runs_itself() -> None:
    assert prefect_retention(RetentionParams(flow_run_days=None)) == {}
    script = (
        "from prefect.settings import get_current_settings as now; of = now().server.services.db_vacuum; "
        "print(sorted(of.enabled_vacuum_types), of.retention_period.days)"
    )
    variables = {**os.environ, **prefect_retention(RetentionParams(flow_run_days=30))}
    done = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True, check=True)
    assert done.stdout == "['events', 'flow_runs', 'orphans'] 30\n"


def test_commands_start_their_temporary_server_closed_and_leave_one_that_is_named_alone() -> None:
    first, second = temporary_prefect({}), temporary_prefect({"PREFECT_API_AUTH_STRING": "left:over"})
    assert first["PREFECT_API_AUTH_STRING"] == first["PREFECT_SERVER_API_AUTH_STRING"]
    assert first["PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS"] == ""
    assert first["PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED"] == "true"
    assert first["PREFECT_API_AUTH_STRING"] != second["PREFECT_API_AUTH_STRING"]
    assert temporary_prefect({"PREFECT_API_URL": "http://prefect.example/api"}) == {}


def test_logins_are_new_each_time_and_only_their_owner_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = os.umask(0o022)
    try:
        save_logins(new_logins())
        first = saved_logins()
        save_logins(new_logins())
    finally:
        os.umask(before)
    file = tmp_path / "state/up/logins.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert len({first.prefect, first.mlflow, saved_logins().prefect, saved_logins().mlflow}) == 4
    assert min(len(first.prefect), len(first.mlflow)) >= 43  # 256 bits


def test_no_password_stands_on_a_command_line() -> None:
    configuration = (ROOT / "infra/supervisord.conf").read_text(encoding="utf-8")
    commands = re.findall(r"^command = (?:.*\n(?:  .*\n)*)", configuration, re.MULTILINE)
    assert len(commands) == 4
    assert not any(re.search("PASSWORD|AUTH", command) for command in commands)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 is no address of the machine")
@pytest.mark.parametrize(
    ("server", "missing"),
    [
        (servers.prefect, "PREFECT_SERVER_API_AUTH_STRING"),
        (servers.mlflow, "MLFLOW_TRACKING_USERNAME"),
        (servers.mlflow, "MLFLOW_TRACKING_PASSWORD"),
    ],
)
@pytest.mark.parametrize("value", [None, ""])
def test_a_server_without_a_login_to_ask_for_does_not_start(
    server: Any, missing: str, value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PREFECT_SERVER_API_AUTH_STRING", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "set")
    monkeypatch.setenv(missing, "") if value == "" else monkeypatch.delenv(missing)
    with pytest.raises(ConfigError, match=missing):
        server("http://127.0.0.1:1")


def test_servers_listen_on_loopbacks_own_address_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = f"from flows.servers import listen; listen(None, {port})"
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: _listens("127.0.0.1", port))
            assert not _listens("127.0.0.2", port)
        finally:
            process.kill()


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True
