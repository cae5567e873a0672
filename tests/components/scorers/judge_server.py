"""A judge behind a real HTTP server that marks by a rule, for tests."""

import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RUBRIC = "A good answer says thank you."


def by_rule(body: dict[str, Any], asked: int) -> str:
    """5 for thanks and 1 without; of two answers the one with thanks, else the first that is shown."""
    text = body["messages"][1]["content"]
    if "better" in body["response_format"]["json_schema"]["schema"]["properties"]:
        a, _, b = text.partition("<answer A ")[2].partition("<answer B ")
        better = "A" if "thank" in a or "thank" not in b else "B"
        return json.dumps({"reason": "thanks or not", "better": better})
    answer = text.partition("<answer ")[2]
    return json.dumps({"reason": "thanks or not", "mark": 5 if "thank" in answer else 1})


class Server(ThreadingHTTPServer):
    """OpenAI's API as far as a judge needs it; `answer` says what the model says, from the request and its number."""

    daemon_threads = True
    request_queue_size = 64  # a busy machine accepts late, and nobody tries twice here

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Turn)
        self.answer: Callable[[dict[str, Any], int], str | int] = by_rule
        self.seen: list[dict[str, Any]] = []
        self.lock = threading.Lock()


class Turn(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with server.lock:
            server.seen.append(body)
            said = server.answer(body, len(server.seen))
        status, text = (said, "") if isinstance(said, int) else (200, said)
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        reply = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        content = json.dumps({**reply, "usage": usage}).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""


@contextmanager
def judging() -> Generator[Server]:
    """A server that runs meanwhile."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
