"""`gradus serve`, as a person runs it: on what a climb registered, killed in the middle, started again."""

import json
import logging
import socket
from typing import Any

import httpx
import openai
import pytest

from components.records import Trace
from flows.serve import warn_of_a_pods_folder
from monitoring.lake import Lake
from tests.flows.conftest import Project, wait_until
from tests.flows.test_resume import started


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").is_success
    except httpx.TransportError:
        return False


def test_the_champion_is_served_and_a_kill_loses_no_trace(climbed: Project, port: int) -> None:
    # An object of all inputs: with a model this small the champion may be the classifier, which reads them all.
    content = json.dumps({"message": "Where is DK-20418?", "channel": "mail"})
    turns: list[Any] = [{"role": "user", "content": content}]
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none")
    command = ("flows.cli", "serve", "triage", "--port", str(port))
    with started(climbed, *command):
        wait_until(lambda: ready(port), most_s=60)
        answers = [client.chat.completions.create(model="triage", messages=turns) for _ in range(3)]
    lake = Lake(climbed.folder / "state" / "lake")
    with started(climbed, *command):
        wait_until(lambda: len(lake.read(Trace, "triage")) == 3, most_s=60)
    assert {trace.id: trace.text for trace in lake.read(Trace, "triage")} == {
        answer.id: answer.choices[0].message.content for answer in answers
    }


def test_listening_beyond_this_machine_needs_keys(climbed: Project) -> None:
    result = climbed.call("flows.cli", "serve", "triage", "--host", "0.0.0.0")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("gradus: --host 0.0.0.0: expected API keys in GRADUS_API_KEYS")


SHARED = {"GRADUS_LAKE": "s3://bucket/lake", "GRADUS_SALT_FILE": "/keys/salt"}


@pytest.mark.parametrize(
    ("environment", "warnings"),
    [
        ({}, []),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, ["The lake is a folder in this pod", "The salt is this pod's own"]),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", **SHARED}, []),
    ],
)
def test_a_server_in_a_pod_says_what_lies_in_the_pods_own_folder(
    caplog: pytest.LogCaptureFixture, environment: dict[str, str], warnings: list[str]
) -> None:
    with caplog.at_level(logging.WARNING):
        warn_of_a_pods_folder(environment)
    assert [message.partition(" (")[0] for message in caplog.messages] == warnings
