"""The same record behind a real MLflow server: files travel both ways."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from components.errors import RegistryError
from components.prompts import Prompt
from components.records import Feedback, Message, Trace, Usage
from components.registry import open_run, register_prompt, registered
from components.registry.store import connect
from components.registry.traces import store_traces
from tests.components.registry.conftest import register_text

pytestmark = [pytest.mark.slow, pytest.mark.services]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    places = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts"]
    quiet = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    quiet.pop("MLFLOW_TRACKING_URI", None)
    process = subprocess.Popen(
        [*command, *places], cwd=folder, env=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await_health(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def _await_health(address: str) -> None:
    for _ in range(120):
        try:
            if httpx.get(f"{address}/health", timeout=1).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(1)
    pytest.fail("expected an MLflow server within two minutes, found none")


def test_a_champion_travels_to_a_server_and_back(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.chdir(tmp_path)
    with open_run("triage-nano", "gate", {}) as run:
        run.metrics({"gate/p": 0.01})
    champion = register_text("triage", tmp_path / "rung", "forty-two")
    assert registered("triage").folder == champion.folder
    assert champion.folder.resolve() == tmp_path / "state" / "models" / "triage" / "1"
    prompt = Prompt("loose", "", "Read: {message}")
    register_prompt("triage", prompt, ("best",))
    kept = connect().get_prompt_version_by_alias("triage-prompt", "best")
    assert kept.tags["gradus.text_hash"] == prompt.version


def test_traces_travel_to_a_server_once_and_an_unreachable_server_is_reported_at_once(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = Usage(input_tokens=5, output_tokens=2)
    trace = Trace(
        id="chatcmpl-1", at=1_700_000_000.0, workload="served", version=1, method="grpo", text="état",
        messages=(Message(role="user", content="Hi"),), finish_reason="stop", usage=usage, latency_ms=20.0, valid=True,
    )  # fmt: skip
    feedback = Feedback(trace_id=trace.id, at=1_700_000_001.0, workload="served", score=0.5, corrected="été")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    for _ in range(2):
        store_traces("1", [trace.model_dump_json(), feedback.model_dump_json()])
    place = connect().get_experiment_by_name("served").experiment_id
    (stored,) = connect().search_traces(locations=[place])
    assert (stored.info.client_request_id, stored.info.execution_duration) == ("chatcmpl-1", 20)
    assert stored.data.spans[0].outputs["choices"][0]["message"]["content"] == "état"
    assert sorted(note.name for note in stored.info.assessments) == ["expected_response", "feedback"]
    with socket.socket() as free:  # bound, and nobody answers
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free.getsockname()[1]}")
        started = time.monotonic()
        with pytest.raises(RegistryError, match="expected an MLflow server"):
            store_traces("2", [trace.model_dump_json()])
        assert time.monotonic() - started < 10
