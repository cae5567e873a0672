"""A person's word before a release, asked by a real Prefect server and given through its API, as its pages do."""

import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from components.registry import Version
from monitoring.canary import Judged

pytestmark = pytest.mark.slow
VERSION = Version(7, "grpo", "model", "short", Path())


@pytest.fixture(scope="module", autouse=True)
def server() -> Generator[None]:
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


def asked(words: dict[str, Any]) -> Judged | None:
    """What a flow makes of a person's words."""
    from prefect import flow
    from prefect.client.orchestration import get_client

    from flows.release import refused

    @flow
    def release() -> list[Judged | None]:
        return [refused(VERSION)]

    result: list[Judged | None] = []
    thread = threading.Thread(target=lambda: result.extend(release()))
    thread.start()
    ends = time.monotonic() + 60
    with get_client(sync_client=True) as client:
        paused: list[Any] = []
        while not paused:
            assert time.monotonic() < ends
            time.sleep(0.5)
            paused = [run for run in client.read_flow_runs() if run.state and run.state.is_paused()]
        client.resume_flow_run(paused[0].id, run_input=words)
    thread.join(60)
    return result[0]


def test_a_person_who_says_yes_lets_it_go_on() -> None:
    assert asked({"approved": True}) is None


def test_a_person_who_says_no_ends_it_with_their_reason() -> None:
    said = asked({"approved": False, "comment": "the holidays come first"})
    assert said == Judged(decision="withdrawn", reasons=("Not approved: the holidays come first.",))
