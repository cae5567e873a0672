"""What goes before Prefect's and MLflow's servers, message by message; against the real servers in test_closed."""

import asyncio
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from flows.guard import Guard

ADDRESS = "http://127.0.0.1:5000"
HOST = (b"host", b"127.0.0.1:5000")
LOGIN = (b"authorization", b"Basic Z3JhZHVzOnB3")  # gradus:pw


async def _answered(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("in")(scope, receive, send)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Basic Z3JhZHVzOnB3"}, 200),  # gradus:pw
        ({"Authorization": "basic Z3JhZHVzOnB3"}, 200),
        ({"Authorization": "Bearer Z3JhZHVzOnB3"}, 401),
        ({"Authorization": "Basic Z3JhZHVzOnB4"}, 401),
        ({"Authorization": "Basic \u00e9"}, 401),
        ({"Authorization": "Basic Z3JhZHVzOnB3", "Origin": "http://127.0.0.1:5000"}, 200),
        ({"Authorization": "Basic Z3JhZHVzOnB3", "Origin": "http://127.0.0.1:5001"}, 403),
        ({"Authorization": "Basic Z3JhZHVzOnB3", "Origin": "http://127.0.0.1:500"}, 403),  # begins alike
        ({"Authorization": "Basic Z3JhZHVzOnB3", "Origin": "http://127.0.0.1"}, 403),
        ({"Authorization": "Basic Z3JhZHVzOnB3", "Origin": "null"}, 403),
        ({"Authorization": "Basic Z3JhZHVzOnB3", "Origin": ""}, 403),
        ({"Authorization": "Basic Z3JhZHVzOnB3", "Host": "127.0.0.1:5001"}, 421),
        ({"Authorization": "Basic Z3JhZHVzOnB3", "Host": "127.0.0.1:500"}, 421),
        ({"Host": "localhost:5000"}, 421),
        ({"Host": "", "Authorization": "Basic Z3JhZHVzOnB3"}, 421),
        ({"Authorization": "Basic"}, 401),
        ({"Authorization": "Z3JhZHVzOnB3"}, 401),
    ],
)
def test_the_guard_lets_in_its_own_address_with_the_login_and_nothing_else(
    headers: dict[str, str], status: int
) -> None:
    raw = {name.encode("latin-1"): value.encode("latin-1") for name, value in headers.items()}
    client = TestClient(Guard(_answered, ADDRESS, "gradus:pw"), base_url=ADDRESS)
    assert client.get("/any", headers=raw).status_code == status


def client(app: Any = _answered, login: str | None = "gradus:pw") -> TestClient:
    return TestClient(Guard(app, ADDRESS, login), base_url=ADDRESS)


@pytest.mark.parametrize("path", ["/health", "/api/health", "/api/ready"])
def test_health_needs_no_login_and_everything_else_does(path: str) -> None:
    assert client().get(path).status_code == 200
    assert client().get(f"{path}/").status_code == client().get(f"/x{path}").status_code == 401
    assert client().get(path, headers={"host": "evil.example"}).status_code == 421
    assert client().get(path, headers={"origin": "https://evil.example"}).status_code == 403


def test_a_server_with_a_login_of_its_own_is_asked_for_it_by_nobody_else() -> None:
    own = client(login=None)
    assert own.get("/any").status_code == 200
    assert own.get("/any", headers={"host": "evil.example"}).status_code == 421
    assert own.get("/any", headers={"origin": "https://evil.example"}).status_code == 403


def test_a_refusal_says_what_was_expected_and_asks_a_browser_for_the_login() -> None:
    refused = client().get("/any")
    assert refused.text == "expected the user and password that `gradus up` or `gradus ui` named\n"
    assert refused.headers["www-authenticate"] == 'Basic realm="gradus", charset="UTF-8"'
    foreign = client().get("/any", headers={"host": "evil.example"})
    assert foreign.text == "expected the address 127.0.0.1:5000, found another Host\n"
    assert "www-authenticate" not in foreign.headers


def test_answers_may_be_framed_by_no_other_page_unless_the_server_says_so_itself() -> None:
    async def lax(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("in", headers={"x-frame-options": "DENY"})(scope, receive, send)

    policy = {"x-frame-options": "SAMEORIGIN", "referrer-policy": "same-origin", "x-content-type-options": "nosniff"}
    for app, expected in ((_answered, policy), (lax, policy | {"x-frame-options": "DENY"})):
        answer = client(app).get("/any", headers={"authorization": LOGIN[1].decode()})
        assert {name: answer.headers.get(name) for name in policy} == expected


def passed(kind: str, path: str, *headers: tuple[bytes, bytes]) -> tuple[list[str], list[dict[str, Any]]]:
    """The types of the scopes that came through the guard, and what was sent in answer."""
    came: list[str] = []
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        came.append(scope["type"])
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(Guard(app, ADDRESS, "gradus:pw")({"type": kind, "path": path, "headers": [*headers]}, None, send))  # type: ignore[arg-type]
    return came, sent


ACCEPTED = (["websocket"], [{"type": "websocket.accept"}])
CLOSED: tuple[list[str], list[dict[str, Any]]] = ([], [{"type": "websocket.close", "code": 1008, "reason": ""}])


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("/events", [HOST, LOGIN], ACCEPTED),
        ("/events", [HOST, LOGIN, (b"origin", ADDRESS.encode())], ACCEPTED),
        ("/events", [HOST], CLOSED),
        ("/health", [HOST], CLOSED),  # events under this name are no news of the server's health
        ("/events", [HOST, LOGIN, (b"origin", b"https://evil.example")], CLOSED),
        ("/events", [HOST, LOGIN, (b"origin", ADDRESS.encode()), (b"origin", b"https://evil.example")], CLOSED),
        ("/events", [(b"host", b"evil.example"), LOGIN], CLOSED),
        ("/events", [HOST, (b"host", b"evil.example"), LOGIN], CLOSED),
        ("/events", [LOGIN], CLOSED),
    ],
)  # fmt: skip
def test_a_socket_is_accepted_by_the_rules_of_requests_and_closed_otherwise(
    path: str, headers: list[tuple[bytes, bytes]], expected: tuple[list[str], list[dict[str, Any]]]
) -> None:
    assert passed("websocket", path, *headers) == expected


def test_a_second_host_header_is_refused() -> None:
    came, sent = passed("http", "/any", HOST, HOST, LOGIN)
    assert (came, sent[0]["status"]) == ([], 421)


def test_messages_that_are_neither_request_nor_socket_reach_the_server() -> None:
    assert passed("lifespan", "") == (["lifespan"], [])
