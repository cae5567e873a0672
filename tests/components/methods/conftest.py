"""An OpenAI-compatible server with answers given by a test, and a small run that uses it."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from components.ladder import plan
from components.ladder.plan import Sources
from components.params import ApiParams, LadderParams
from components.records import write_jsonl
from components.stages.run import LADDERS, PIPELINE, PROFILES, Run
from tests.components.stages.conftest import MakeRun, example, make_run

__all__ = ["make_run"]  # fixtures
ROWS = 12  # of each split
Turns = list[dict[str, str]]


class Speaker(ThreadingHTTPServer):
    """Answers conversations by a function; `asked` are the conversations so far."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Turn)
        self.says: Callable[[Turns], str] = lambda turns: "I see."
        self.asked: list[Turns] = []
        self.status = 200

    @property
    def api(self) -> ApiParams:
        return ApiParams(base_url=f"http://127.0.0.1:{self.server_port}/v1", key_variable=None)


class _Turn(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        assert isinstance(self.server, Speaker)
        self.server.asked.append(body["messages"])
        text = self.server.says(body["messages"])
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        content = json.dumps({**answer, "usage": usage}).encode()
        self.send_response(self.server.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""


def _speaker() -> Iterator[Speaker]:
    with Speaker() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def speaker() -> Iterator[Speaker]:
    yield from _speaker()


@pytest.fixture
def reflector() -> Iterator[Speaker]:
    yield from _speaker()


@pytest.fixture
def climbing(make_run: MakeRun, speaker: Speaker, tmp_path: Path) -> Callable[..., Run]:
    """A small run up a ladder of these rungs, whose prompts the speaker answers."""

    def make(**rungs: Any) -> Run:
        run = make_run(f"shop{tmp_path.name[-3:]}".replace("_", "-"))
        profile = run.profile.model_copy(update={"prompting": speaker.api})
        ladder = LadderParams.model_validate({"rungs": rungs})
        sources = Sources(ladder, run.workload, profile, {}, run.name, LADDERS, PROFILES, PIPELINE)
        for split in ("train", "dev", "test"):
            rows = [example(number, split) for number in range(ROWS)]
            grouped = [row.model_copy(update={"group": row.id}) for row in rows]
            write_jsonl(run.folder / "data" / f"{split}.jsonl", grouped)
        return replace(run, profile=profile, rungs=plan(sources))

    return make
