"""A real server on a free port, with a model of two layers behind it."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from components.engines import Engine
from components.engines.transformers_engine import TransformersEngine
from components.prompts import Prompt
from components.registry import Version
from components.serving import Follower, Served, Server, bind, config, create_app
from tests.flows.conftest import save_tiny_model

PROMPT = Prompt("short", "Say it.", "Ticket: {message}")


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("served") / "model"
    save_tiny_model(folder)
    return TransformersEngine.open(folder, 8192, "fp32")


@pytest.fixture
def follow(engine: Engine) -> Callable[..., Follower]:
    """A follower of the versions that `find` gives; by default there is one."""

    def make(find: Callable[[], int] = lambda: 1, opened: Callable[[int], Engine] = lambda number: engine) -> Follower:
        return Follower(
            lambda: Version(find(), "grpo", "model", "short", Path()),
            lambda version: Served(version.number, version.method, opened(version.number), PROMPT, 12),
            every_s=0.02,
        )

    return make


@contextmanager
def running(server: Server, loop: str = "auto") -> Generator[str]:
    """The address of a server that runs, ready to answer unless it has nothing to answer with."""
    import uvicorn

    listening = bind("127.0.0.1", 0)
    port = listening.getsockname()[1]
    http = uvicorn.Server(config(create_app(server), server.params, log_level="error", loop=loop))
    thread = threading.Thread(target=http.run, args=([listening],), daemon=True)
    thread.start()
    ends = time.monotonic() + 20
    while not http.started or server.follower.served is None:
        assert time.monotonic() < ends
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        http.should_exit = True
        thread.join(20)
        listening.close()


@pytest.fixture
def run_server(follow: Callable[..., Follower]) -> Callable[..., Any]:
    """`with run_server(**settings) as address`: a server whose follower and settings may be given."""

    def start(follower: Follower | None = None, **settings: Any) -> Any:
        return running(Server("triage", follower or follow(), **settings))

    return start
