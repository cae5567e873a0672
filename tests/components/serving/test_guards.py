"""Who may do what, over HTTP: keys, pages, hosts, bodies; and what a server says of itself."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.engines import Engine
from components.params import AccessParams, ServingParams
from components.serving import Corrections, Follower, Journal, Keys, Outlet, Server, new_key
from components.serving.segment import Segment
from tests.components.serving.conftest import running

RunServer = Callable[..., Any]
SCHEMA = {
    "type": "object", "additionalProperties": False, "required": ["kind"],
    "properties": {"kind": {"enum": ["refund", "delivery"]}},
}  # fmt: skip
BODY = {"model": "triage", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 2}
ID = "chatcmpl-" + "0" * 32
ROUTES: dict[str, tuple[str, Any]] = {
    "/v1/chat/completions": ("POST", BODY),
    "/v1/responses": ("POST", {"model": "triage", "input": "hello", "max_output_tokens": 2}),
    "/v1/feedback": ("POST", {"id": ID, "score": 1}),
    "/v1/models": ("GET", None),
    "/v1/models/triage": ("GET", None),
}


def call(address: str, path: str, **more: Any) -> httpx.Response:
    method, body = ROUTES.get(path, ("GET", None))
    return httpx.request(method, f"{address}{path}", json=body, timeout=30, **more)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal("triage", SCHEMA, Outlet(tmp_path / "spool", lambda segment, lines: None, every_s=60))


def test_every_route_needs_a_key_where_there_are_keys(run_server: RunServer, journal: Journal) -> None:
    key, its_hash = new_key()
    with run_server(keys=Keys((its_hash,)), journal=journal) as address:
        for path in ROUTES:
            assert call(address, path).status_code == 401
            assert call(address, path, headers={"Authorization": "Bearer gradus-wrong"}).status_code == 401
            assert call(address, path, headers={"Authorization": f"Bearer {key}"}).status_code == 200


@pytest.mark.parametrize(("host", "open_probes", "status"), [
    ("0.0.0.0", False, 401), ("0.0.0.0", True, 200), ("127.0.0.1", False, 200),
])  # fmt: skip
def test_a_servers_own_figures_need_a_key_where_others_can_ask(
    run_server: RunServer, host: str, open_probes: bool, status: int
) -> None:
    key, its_hash = new_key()
    params = ServingParams(access=AccessParams(open_probes=open_probes))
    with run_server(keys=Keys((its_hash,)), host=host, params=params) as address:
        for path in ("/metrics", "/readyz"):
            assert call(address, path).status_code == status
            assert call(address, path, headers={"Authorization": f"Bearer {key}"}).status_code == 200
        assert call(address, "/healthz").status_code == 200


def test_a_body_beyond_the_limit_is_refused_on_every_route(run_server: RunServer, journal: Journal) -> None:
    with run_server(journal=journal, params=ServingParams(most_request_bytes=1024)) as address:
        for path, (method, _) in ROUTES.items():
            if method == "POST":
                reply = httpx.post(f"{address}{path}", json={"id": "x" * 2000})
                assert (reply.status_code, reply.json()["error"]["code"]) == (413, "request_too_large")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_body_that_a_page_may_send_unasked_is_refused(run_server: RunServer, journal: Journal, kind: str) -> None:
    with run_server(journal=journal) as address:
        for path, (method, body) in ROUTES.items():
            if method == "POST":
                sent = httpx.post(f"{address}{path}", content=json.dumps(body), headers={"Content-Type": kind})
                assert sent.status_code == 415
        typed = {"Content-Type": "Application/JSON; charset=utf-8"}
        assert httpx.post(f"{address}/v1/chat/completions", content=json.dumps(BODY), headers=typed).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8000"}, 200),
        ({"Host": "LOCALHOST"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "models.example"}, 200),  # of the settings
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "evil.example@127.0.0.1"}, 200),  # the host in it is this machine
        ({"Host": "127.0.0.1@evil.example"}, 403),
        ({"Host": "["}, 403),
        ({"Host": "localhost:8000", "Origin": "http://localhost:8000"}, 200),
        ({"Host": "localhost:8000", "Origin": "http://localhost:3000"}, 403),  # another service's page
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://models.example"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 200),
    ],
)
def test_without_keys_only_own_names_and_pages_are_let_in(
    run_server: RunServer, headers: dict[str, str], status: int
) -> None:
    with run_server(params=ServingParams(access=AccessParams(hosts=("models.example",)))) as address:
        assert call(address, "/v1/chat/completions", headers=headers).status_code == status
        assert call(address, "/metrics", headers=headers).status_code == status


def test_with_keys_any_name_is_accepted_unless_the_settings_name_some(run_server: RunServer) -> None:
    key, its_hash = new_key()
    headers = {"Authorization": f"Bearer {key}", "Host": "models.example"}
    with run_server(keys=Keys((its_hash,))) as address:
        assert call(address, "/v1/models", headers=headers).status_code == 200
    access = AccessParams(hosts=("other.example",))
    with run_server(keys=Keys((its_hash,)), params=ServingParams(access=access)) as address:
        assert call(address, "/v1/models", headers=headers).status_code == 403


def test_a_header_gives_nobody_the_requests_of_another(run_server: RunServer) -> None:
    with run_server(params=ServingParams(requests_per_minute=2)) as address:
        replies = [call(address, "/v1/models", headers={"X-Forwarded-For": f"10.0.0.{n}"}) for n in range(4)]
    assert [reply.status_code for reply in replies] == [200, 200, 429, 429]
    assert int(replies[-1].headers["retry-after"]) >= 1


def test_a_proxy_of_the_settings_is_believed(run_server: RunServer) -> None:
    access = AccessParams(trusted_proxies=("127.0.0.1",))
    with run_server(params=ServingParams(requests_per_minute=2, access=access)) as address:
        replies = [call(address, "/v1/models", headers={"X-Forwarded-For": f"10.0.0.{n}"}) for n in range(4)]
    assert [reply.status_code for reply in replies] == [200] * 4


@pytest.mark.parametrize(
    ("feedback", "expected"),
    [
        ({"id": "x", "score": 1}, (404, "id")),
        ({"id": "chatcmpl-" + "0" * 31, "score": 1}, (404, "id")),
        ({"id": ID + "~shadow", "score": 1}, (404, "id")),
        ({"id": ID, "corrected": "no JSON"}, (400, "corrected")),
        ({"id": ID, "corrected": '{"kind": "other"}'}, (400, "corrected")),
        ({"id": ID, "corrected": '{"kind": "refund", "kind": "delivery"}'}, (400, "corrected")),
        ({"id": ID, "corrected": '["refund"]'}, (400, "corrected")),
        ({"id": ID, "corrected": '{"kind": "refund"}' + " " * 20_000}, (400, "corrected")),
        ({"id": ID, "corrected": '{"kind": "refund"}'}, (200, None)),
        ({"id": ID + "-1", "score": 0.5}, (200, None)),
        ({"id": "resp_" + "a" * 32, "score": 0.5}, (200, None)),
    ],
)
def test_what_can_be_no_correction_is_refused_on_arrival(
    run_server: RunServer, journal: Journal, tmp_path: Path, feedback: dict[str, Any], expected: tuple[int, str | None]
) -> None:
    with run_server(journal=journal, corrections=Corrections(SCHEMA)) as address:
        reply = httpx.post(f"{address}/v1/feedback", json=feedback)
        kept = "".join(path.read_text() for path in (tmp_path / "spool").glob("*.jsonl"))
    assert (reply.status_code, reply.json().get("error", {}).get("param")) == expected
    assert (feedback["id"] in kept) == reply.is_success


def readiness(address: str) -> tuple[int, str]:
    reply = httpx.get(f"{address}/readyz")
    ready = "gradus_ready 1.0" in httpx.get(f"{address}/metrics").text
    assert ready == (reply.status_code == 200)
    return reply.status_code, reply.text


def test_a_nearly_full_disk_is_reported(run_server: RunServer, journal: Journal) -> None:
    with run_server(journal=journal, params=ServingParams(least_free_mb=1e12)) as address:
        status, said = readiness(address)
    assert status == 503 and "MB free for traces" in said


def test_traces_that_cannot_be_written_are_reported(
    run_server: RunServer, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with run_server(journal=journal) as address:
        assert readiness(address)[0] == 200
        monkeypatch.setattr(Segment, "write", full)
        monkeypatch.setattr(Segment, "try_out", full)
        assert call(address, "/v1/chat/completions").status_code == 500  # never answered without a trace
        status, said = readiness(address)
        assert status == 503 and "cannot be written down" in said
        assert "gradus_spool_unwritable 1.0" in httpx.get(f"{address}/metrics").text
        monkeypatch.undo()
        assert call(address, "/v1/chat/completions").status_code == 200
        assert readiness(address)[0] == 200


class Panic(BaseException):
    """As a library's panic: no `Exception`."""


def test_a_panic_in_the_engine_ends_its_batch_alone(
    run_server: RunServer, follow: Callable[..., Follower], engine: Engine
) -> None:
    class Panicking:
        """Panics once."""

        calm = False

        def generate(self, requests: Any, sampling: Any) -> Any:
            if not self.calm:
                self.calm = True
                raise Panic("index out of bounds")
            return engine.generate(requests, sampling)

    panicking = Panicking()
    with run_server(follow(opened=lambda _: panicking)) as address:
        assert call(address, "/v1/chat/completions").status_code == 500
        assert call(address, "/v1/chat/completions").status_code == 200
        assert readiness(address)[0] == 200


def test_a_thread_that_died_is_reported_and_nobody_waits_for_it(follow: Callable[..., Follower]) -> None:
    server = Server("triage", follow())

    def broken(*_: Any) -> Any:
        raise Panic("a fault of the batches' own")

    with running(server) as address:
        server.batchers.shared._waiting.take = broken  # type: ignore[method-assign]
        call(address, "/v1/chat/completions")  # the take that had begun
        for thread in threading.enumerate():
            if thread is server.batchers.shared._thread:
                thread.join(10)
        status, said = readiness(address)
        assert status == 503 and "the thread that answers requests has ended" in said
        assert call(address, "/v1/chat/completions").status_code == 503
        assert call(address, "/healthz").status_code == 200
