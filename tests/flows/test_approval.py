"""A person's word before a release, asked by a real Prefect server and given through its API, as its pages do."""

import threading
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.params import ReleaseParams
from components.registry import Version
from components.stages.run import Run
from monitoring.canary import Judged

pytestmark = pytest.mark.slow
CHAMPION, VERSION = Version(3, "sft", "model", "short", Path()), Version(7, "grpo", "model", "short", Path())


@pytest.fixture(scope="module", autouse=True)
def server() -> Generator[None]:
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


def waiting(hours: float) -> Run:
    """A run whose release waits so long for a person."""
    run = Run.of("triage", "nano")
    params = ReleaseParams(approval_hours=hours)
    return replace(run, retraining=run.retraining.model_copy(update={"release": params}))


def asked(words: dict[str, Any]) -> Judged | None:
    """What a flow makes of a person's words."""
    from prefect import flow
    from prefect.client.orchestration import get_client

    from flows.release import refused

    run = waiting(1.0)

    @flow
    def release() -> list[Judged | None]:
        return [refused(run, VERSION, CHAMPION)]

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


def test_where_nobody_answers_the_version_waits_and_what_called_the_release_goes_on() -> None:
    from prefect import flow

    from flows.release import refused

    run = waiting(0.0005)  # hours: two seconds

    @flow
    def release() -> Judged | None:
        return refused(run, VERSION, CHAMPION)

    @flow
    def retrain() -> Judged | None:
        return release()

    said = retrain()
    assert said is not None and said.decision == "waiting"
    assert "gradus release triage" in said.reasons[0]


def test_a_decision_elsewhere_ends_the_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect import flow

    from flows import release as releasing

    run = waiting(0.1)  # hours: six minutes
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(releasing, "ELSEWHERE_S", 1.0)
    monkeypatch.setattr(releasing, "aliases", lambda workload: {"champion": 7, "previous": 3})

    @flow
    def release() -> Judged | None:
        return releasing.refused(run, VERSION, CHAMPION)

    @flow
    def retrain() -> Judged | None:
        return release()

    before = time.monotonic()
    assert retrain() == Judged(decision="waiting", reasons=("Somebody has made it champion meanwhile.",))
    assert time.monotonic() - before < 120
