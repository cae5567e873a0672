"""A real reward server on loopback: batches, signatures, retries, and every way in which it can go wrong."""

import contextlib
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import ValidationError

from components.errors import ScorerError
from components.params import ApiParams, HttpParams, ScorerParams
from components.records import Completion, Example, Score, Usage
from components.scorers import Pair, Scorer, build, http, score_all

SECRET = "a secret for tests"
Reply = tuple[int, dict[str, str], bytes | None]  # status, headers, body; None: the connection is cut


def judge(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Right is what equals the reference."""
    return [{"value": float(item["text"] == item["reference"]), "passed": item["text"] == item["reference"]}
            for item in body["items"]]  # fmt: skip


def scores(body: dict[str, Any]) -> Reply:
    return 200, {}, json.dumps({"scores": judge(body)}).encode()


class Server(ThreadingHTTPServer):
    """Answers with `reply`, or with the next of `first` while there is one."""

    daemon_threads = True
    request_queue_size = 64  # a busy machine accepts late, and nobody tries twice here

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Turn)
        self.reply: Callable[[dict[str, Any]], Reply] = scores
        self.first: list[Reply] = []
        self.seen: list[tuple[dict[str, str], bytes]] = []
        self.lock = threading.Lock()


class Turn(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        content = self.rfile.read(int(self.headers["content-length"]))
        with server.lock:
            server.seen.append(({key.lower(): value for key, value in self.headers.items()}, content))
            prepared = server.first.pop(0) if server.first else None
        status, headers, body = prepared or server.reply(json.loads(content))
        if body is None:
            self.connection.close()
            return
        self.send_response(status)
        for key, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(http, "BACKOFF_S", (0.01, 0.05))
    running = Server()
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def scorer(server: Server, **changes: Any) -> Scorer:
    settings: dict[str, Any] = {"url": f"http://127.0.0.1:{server.server_port}/score", "timeout_s": 5.0, **changes}
    return build(ScorerParams(weighted={"http": 1}, http=HttpParams(**settings)), {"type": "object", "properties": {}})


def pair(text: str, error: str | None = None) -> Pair:
    usage = Usage(input_tokens=0, output_tokens=0)
    example = Example(
        id="e", input={"q": "?"}, demonstration="never sent", reference="yes", group="g", evidence={"tests": "[]"}
    )
    return example, Completion(example_id="e", text=text, usage=usage, latency_ms=0.0, error=error)


def test_batches_come_back_in_order(server: Server) -> None:
    pairs = [pair("yes" if number % 3 else "no") for number in range(50)]
    outcomes = score_all(scorer(server, batch=8, concurrency=3), pairs)
    assert [outcome.passed for outcome in outcomes if isinstance(outcome, Score)] == [
        bool(number % 3) for number in range(50)
    ]
    assert sorted(len(json.loads(content)["items"]) for _, content in server.seen) == [2, 8, 8, 8, 8, 8, 8]


def test_the_server_gets_what_it_needs_and_nothing_of_the_demonstration(server: Server) -> None:
    scorer(server).score(*pair("yes"))
    (headers, content), = server.seen  # fmt: skip
    assert json.loads(content) == {
        "items": [{"input": {"q": "?"}, "reference": "yes", "evidence": {"tests": "[]"}, "text": "yes"}]
    }
    assert "x-gradus-signature" not in headers


def test_requests_are_signed_with_the_secret_of_the_environment(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_SECRET", SECRET)
    scorer(server, secret_variable="OUR_SECRET").score(*pair("yes"))
    headers, content = server.seen[0]
    moment = headers["x-gradus-timestamp"]
    assert abs(int(moment) - time.time()) < 60
    expected = hmac.new(SECRET.encode(), f"{moment}.{content.decode()}".encode(), hashlib.sha256).hexdigest()
    assert headers["x-gradus-signature"] == expected
    assert SECRET.encode() not in content and SECRET not in str(headers)


def test_a_secret_that_is_missing_is_named(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OUR_SECRET", raising=False)
    with pytest.raises(ScorerError, match="environment variable OUR_SECRET, found none"):
        scorer(server, secret_variable="OUR_SECRET").score(*pair("yes"))
    assert not server.seen


@pytest.mark.parametrize("trouble", [(503, {}, b"busy"), (429, {"retry-after": "0"}, b"slow down"), (200, {}, None)])
def test_passing_trouble_is_retried(server: Server, trouble: Reply) -> None:
    server.first = [trouble, trouble]
    assert scorer(server, max_retries=2).score(*pair("yes")).passed
    assert len(server.seen) == 3


def test_lasting_trouble_is_an_error_for_each_answer_and_not_a_zero(server: Server) -> None:
    server.reply = lambda _: (500, {}, b"out of memory")
    outcomes = score_all(scorer(server, max_retries=1, batch=2), [pair("yes")] * 3)
    assert [type(outcome) for outcome in outcomes] == [ScorerError] * 3
    assert "status 500: 'out of memory' in the last of 2 attempts (http://127" in str(outcomes[0])
    assert len(server.seen) == 4


def test_an_error_does_not_show_the_query_of_the_address(server: Server) -> None:
    server.reply = lambda _: (401, {}, b"")
    address = f"http://127.0.0.1:{server.server_port}/score"
    with pytest.raises(ScorerError) as refused:
        scorer(server, url=f"{address}?code=SuperSecretKey123#top").score(*pair("yes"))
    assert str(refused.value).endswith(f"({address})")


@pytest.mark.parametrize("login", ["ann:secret@", "token@"])
def test_an_address_with_a_login_is_refused(login: str) -> None:
    for settings, field in ((HttpParams, "url"), (ApiParams, "base_url")):
        with pytest.raises(ValidationError, match="expected no login in it"):
            settings.model_validate({field: f"https://{login}host/score"})


def test_a_request_that_is_refused_is_not_repeated(server: Server) -> None:
    server.reply = lambda _: (401, {}, b"who are you?")
    with pytest.raises(ScorerError, match="status 401"):
        scorer(server).score(*pair("yes"))
    assert len(server.seen) == 1


def test_a_slow_or_unreachable_server_is_an_error(server: Server) -> None:
    server.reply = lambda body: (time.sleep(0.5), scores(body))[1]
    with pytest.raises(ScorerError, match=r"no whole answer within 0\.05 s in the last of 1 attempts"):
        scorer(server, timeout_s=0.05, max_retries=0).score(*pair("yes"))
    with pytest.raises(ScorerError, match="All connection attempts failed"):
        scorer(server, url="http://127.0.0.1:1/score", max_retries=0).score(*pair("yes"))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("right", "Invalid JSON"),
        ('{"scores": []}', "expected 1 scores .* found 0"),
        ('{"scores": [{"value": 1, "passed": true}, {"value": 1, "passed": true}]}', "found 2"),
        ('{"scores": [{"value": 1.5, "passed": true}]}', "less than or equal to 1"),
        ('{"scores": [{"value": NaN, "passed": true}]}', "finite"),
        ('{"scores": [{"value": "1", "passed": true}]}', "valid number"),
        ('{"scores": [{"value": 1, "passed": 1}]}', "valid boolean"),
        ('{"scores": [{"value": 1}]}', "Field required"),
        ('{"scores": [{"value": 1, "passed": true, "mark": 3}]}', "Extra inputs"),
        ('{"scores": [{"value": 1, "passed": true}], "more": 1}', "Extra inputs"),
        ('[{"value": 1, "passed": true}]', "object"),
    ],
)
def test_anything_but_scores_is_an_error(server: Server, body: str, words: str) -> None:
    server.reply = lambda _: (200, {}, body.encode())
    with pytest.raises(ScorerError, match=words):
        scorer(server).score(*pair("yes"))


def test_of_many_wrong_scores_the_first_is_an_error() -> None:
    with pytest.raises(ValidationError) as wrong:
        http._Reply.model_validate_json(f'{{"scores": [{"1," * 1_000}1]}}')
    assert {error["loc"][:2] for error in wrong.value.errors()} == {("scores", 0)}


def test_the_server_may_give_reasons_and_parts_or_say_that_it_cannot_decide(server: Server) -> None:
    verdicts = [{"value": 0.5, "passed": False, "reason": "half", "parts": {"tone": 0.5}}, {"error": "no such order"}]
    server.reply = lambda _: (200, {}, json.dumps({"scores": verdicts}).encode())
    first, second = score_all(scorer(server), [pair("yes"), pair("no")])
    assert isinstance(first, Score)
    assert (first.value, first.reason, first.parts["tone"]) == (0.5, "half", 0.5)
    assert isinstance(second, ScorerError) and "could not decide: no such order" in str(second)


def test_a_failed_call_is_a_wrong_answer_that_nobody_is_asked_about(server: Server) -> None:
    first, second = score_all(scorer(server), [pair("", error="timed out"), pair("yes")])
    assert isinstance(first, Score) and isinstance(second, Score)
    assert (first.value, first.reason, second.value) == (0.0, "no answer: timed out", 1.0)
    assert len(json.loads(server.seen[0][1])["items"]) == 1


DRIPS = {
    "headers": [b"HTTP/1.1 200 OK\r\n", *[b"x-more: 1\r\n"] * 200],
    "body": [b"HTTP/1.1 200 OK\r\ncontent-length: 200\r\n\r\n", *[b" "] * 200],
}


@pytest.mark.parametrize("where", DRIPS)
def test_a_reply_that_trickles_in_is_held_to_the_time_limit_as_a_whole(server: Server, where: str) -> None:
    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            for part in DRIPS[where]:
                connection.sendall(part)
                time.sleep(0.05)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        own = scorer(server, url=url, timeout_s=0.4, max_retries=0)
        started = time.monotonic()
        (outcome,) = score_all(own, [pair("yes")])
        assert time.monotonic() - started < 5  # dripping takes 10
        assert "no whole answer within 0.4 s" in str(outcome)
        thread.join()


def test_an_answer_larger_than_any_scores_is_an_error(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LARGEST_REPLY", 1_000)
    server.reply = lambda body: (200, {}, b" " * 1_001)
    (outcome,) = score_all(scorer(server, max_retries=0), [pair("yes")])
    assert "found over 1,000 bytes" in str(outcome)
