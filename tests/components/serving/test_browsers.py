"""Which requests a page may not send, header by header; over HTTP in test_guards."""

import asyncio
from typing import Any

import pytest
from starlette.datastructures import Headers

from components.serving.browsers import LOOPBACK, Guard, Names, check
from components.serving.refusals import RequestError

JSON = {"content-type": "application/json"}


def names(host: str = "10.0.0.7", *named: str, keyed: bool = False) -> Names:
    return Names.of(host, named, keyed=keyed)


def refused(method: str = "POST", known: Names | None = None, **headers: str) -> tuple[int, str | None] | None:
    """The status and the code of a refusal; None if it is accepted. A `_` in a name is a hyphen."""
    given = {"host": "models.example", **JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
    try:
        check(method, Headers(given), known or names("10.0.0.7", "models.example", "friend.example:8443"))
    except RequestError as error:
        return error.status, error.code
    return None


def test_a_servers_names_are_its_address_the_machines_and_those_of_its_settings() -> None:
    assert names("10.0.0.7").own == LOOPBACK | {"10.0.0.7"}
    assert names("127.0.0.1").own == LOOPBACK
    assert names("[FD00::7]").own == LOOPBACK | {"fd00::7"}
    named = names("10.0.0.7", "Models.example:443", "localhost:3000", "[bad")
    assert named.friends == {"models.example", "localhost"}
    assert named.own == LOOPBACK | {"10.0.0.7", "models.example"}


def test_with_keys_every_name_is_accepted_unless_the_settings_name_some() -> None:
    anyone = names("10.0.0.7", keyed=True)
    assert (anyone.own, anyone.friends) == (None, frozenset())
    assert names("10.0.0.7", "models.example", keyed=True) == names("10.0.0.7", "models.example")
    evil = {"host": "evil.example", "origin": "https://evil.example", "sec_fetch_site": "cross-site"}
    assert refused(known=anyone, **evil) is None
    assert refused(known=anyone, **evil, content_type="text/plain") == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("host", "lets_in"),
    [
        ("models.example", True), ("MODELS.example:8000", True), ("127.0.0.1:1", True), ("[::1]:8000", True),
        ("10.0.0.7", True), ("10.0.0.8", False), ("models.example.evil", False), ("evil.example", False), ("", False),
        ("[", False), ("models.example@evil.example", False),
    ],
)  # fmt: skip
def test_only_a_servers_own_names_are_accepted(host: str, lets_in: bool) -> None:
    assert refused(host=host) == (None if lets_in else (403, "host"))


@pytest.mark.parametrize(
    ("host", "lets_in"),
    [("10.1.2.3:8000", True), ("[fd00::8]", False), ("10.1.2.4", False), ("models.example", True), ("pod.evil", False)],
)
def test_a_server_on_all_addresses_is_called_by_the_one_that_a_probe_comes_to(host: str, lets_in: bool) -> None:
    probe = {"type": "http", "method": "GET", "headers": [(b"host", host.encode())], "server": ("10.1.2.3", 8000)}
    came, _ = through(probe, names("0.0.0.0", "models.example", keyed=True))
    assert came == (["http"] if lets_in else [])


@pytest.mark.parametrize(
    ("origin", "lets_in"),
    [
        ("https://models.example", True), ("https://MODELS.example", True), ("https://friend.example", True),
        ("https://friend.example:1", True), ("https://evil.example", False), ("http://localhost:3000", False),
        ("http://10.0.0.7", False), ("null", False), ("", False), ("https://friend.example@evil.example", False),
    ],
)  # fmt: skip
def test_only_the_page_of_the_name_that_was_called_and_those_of_the_settings_may_ask(
    origin: str, lets_in: bool
) -> None:
    assert refused(origin=origin) == (None if lets_in else (403, "origin"))


def test_a_page_of_another_port_of_the_same_machine_is_another_page() -> None:
    assert refused(host="localhost:8000", origin="http://localhost:8000") is None
    assert refused(host="LOCALHOST:8000", origin="http://localhost:8000") is None
    assert refused(host="localhost:8000", origin="http://localhost:8001") == (403, "origin")
    assert refused(host="localhost", origin="http://localhost:8000") == (403, "origin")


@pytest.mark.parametrize(
    ("site", "lets_in"),
    [("same-origin", True), ("none", True), ("", True), ("same-site", False), ("cross-site", False)],
)
def test_what_a_browser_says_of_the_page_counts_where_the_page_has_no_origin(site: str, lets_in: bool) -> None:
    assert refused("GET", sec_fetch_site=site) == (None if lets_in else (403, "origin"))
    assert refused("GET", sec_fetch_site=site, origin="https://friend.example") is None


@pytest.mark.parametrize(
    ("kind", "lets_in"),
    [
        ("application/json", True), ("Application/JSON; charset=utf-8", True), ("application/json ;x=1", True),
        ("text/plain", False), ("text/plain; application/json", False), ("application/jsonp", False), ("", False),
        ("a/b", False), ("zoo/x", False),
    ],
)  # fmt: skip
def test_a_body_is_json_or_refused(kind: str, lets_in: bool) -> None:
    assert refused(content_type=kind) == (None if lets_in else (415, "unsupported_media_type"))
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):  # without a body, or nothing that a page may send unasked
        assert refused(method, content_type=kind) is None


def through(scope: dict[str, Any], known: Names | None = None) -> tuple[list[str], list[dict[str, Any]]]:
    """The types of what came through the guard, and what was answered without it."""
    came: list[str] = []
    answers: list[dict[str, Any]] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        came.append(scope["type"])

    async def send(message: dict[str, Any]) -> None:
        answers.append(message)

    asyncio.run(Guard(application, known or names())(scope, None, send))
    return came, answers


def test_the_guard_answers_what_it_refuses_itself_and_lets_everything_else_through() -> None:
    good = {"type": "http", "method": "GET", "headers": [(b"host", b"10.0.0.7")]}
    assert through(good) == (["http"], [])
    came, answers = through(good | {"headers": [(b"host", b"evil.example")]})
    assert came == []
    assert answers[0]["status"] == 403
    assert b"expected a name of this server, found 'evil.example'" in answers[1]["body"]
    assert through({"type": "lifespan"}) == (["lifespan"], [])
