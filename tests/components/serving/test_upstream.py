"""An engine elsewhere behind this server: a second server plays it, over HTTP; prompts, masks and traces are ours."""

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from components.engines import ChatRequest, Engine, Sampling
from components.engines.base import failed
from components.errors import ConfigError, EngineError
from components.models import folder_digest
from components.params import ApiParams, Profile, ServingParams, UpstreamParams, Workload, load
from components.records import Completion, Trace
from components.registry import Version
from components.serving import Follower, Served, Server
from flows.upstream import open_upstream
from tests.components.serving.conftest import running
from tests.components.serving.test_routing import Written

ROOT = Path(__file__).resolve().parents[3]
PROFILE = load(ROOT / "params/profiles/nano.yaml", Profile)
TICKET = "Where is DK-20418? Write to jo@example.org."
RunServer = Callable[..., Any]


def workload(address: str, **changes: Any) -> Workload:
    """Triage, whose answers are computed at an address."""
    upstream = UpstreamParams(api=ApiParams(base_url=f"{address}/v1", key_variable=None, max_retries=0), **changes)
    known = load(ROOT / "params/workloads/triage.yaml", Workload)
    return known.model_copy(update={"serving": ServingParams(upstream=upstream)})


def version(folder: Path, makes: Any = "model") -> Version:
    """The seventh, with the short prompt in its folder."""
    folder.mkdir(exist_ok=True)
    shutil.copyfile(ROOT / "params/prompts/triage/short.md", folder / "prompt.md")
    return Version(7, "sft", makes, "short", folder, digest=folder_digest(folder))


@pytest.fixture
def elsewhere(engine: Engine) -> Any:
    """A server that knows one model, `triage-7`, and has no prompt of its own."""
    served = Served(1, "base", engine, None, 16)
    upstream = Version(1, "base", "model", "", Path())
    return lambda: running(Server("triage-7", Follower(lambda: upstream, lambda _: served, every_s=0.02)))


def before(address: str, run_server: RunServer, written: Written, folder: Path) -> Any:
    """A server of triage whose answers are computed at an address, with `written` for its journal."""
    opening = partial(open_upstream, workload=workload(address), profile=PROFILE)
    return run_server(Follower(lambda: version(folder), opening, every_s=0.02), journal=written.journal)


def asked(address: str, model: str, *messages: dict[str, str]) -> Any:
    body = {"model": model, "messages": list(messages), "max_tokens": 12}
    return httpx.post(f"{address}/v1/chat/completions", json=body, timeout=60).raise_for_status().json()


def test_an_upstream_engine_is_asked_with_our_prompt_and_recorded_as_ours(
    elsewhere: Any, run_server: RunServer, tmp_path: Path
) -> None:
    written = Written(tmp_path / "spool")
    with elsewhere() as address:
        with before(address, run_server, written, tmp_path / "model") as ours:
            answer = asked(ours, "triage", {"role": "user", "content": TICKET})
        prompt = open_upstream(version(tmp_path / "model"), workload(address), PROFILE).conversation(_turn(TICKET))[0]
        directly = asked(address, "triage-7", *(message.openai for message in prompt))
    assert answer["choices"][0]["message"] == directly["choices"][0]["message"]
    assert answer["usage"] == directly["usage"]
    (trace,) = [Trace.model_validate_json(line) for line in written.lines]
    assert (trace.version, trace.method, trace.text) == (7, "sft", answer["choices"][0]["message"]["content"])
    assert "jo@example.org" not in trace.model_dump_json() and "DK-20418" in trace.model_dump_json()


def test_an_upstream_engines_text_is_streamed_and_recorded(
    elsewhere: Any, run_server: RunServer, tmp_path: Path
) -> None:
    written = Written(tmp_path / "spool")
    with elsewhere() as address, before(address, run_server, written, tmp_path / "model") as ours:
        whole = asked(ours, "triage", {"role": "user", "content": TICKET})
        with OpenAI(api_key="none", base_url=f"{ours}/v1", max_retries=0) as client:
            stream = client.chat.completions.create(
                model="triage", messages=[{"role": "user", "content": TICKET}], max_tokens=12, stream=True
            )
            pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    assert "".join(pieces) == whole["choices"][0]["message"]["content"]
    assert len(list(filter(None, pieces))) > 2
    first, second = (Trace.model_validate_json(line) for line in written.lines)
    assert (first.text, first.usage, first.version) == (second.text, second.usage, second.version)


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_is_asked_to_come_again_while_the_upstream_engine_is_away(
    stream: bool, elsewhere: Any, run_server: RunServer, tmp_path: Path
) -> None:
    body = {"model": "triage", "messages": [{"role": "user", "content": TICKET}], "max_tokens": 12, "stream": stream}
    written = Written(tmp_path / "spool")
    with ExitStack() as until:
        address = until.enter_context(elsewhere())
        with before(address, run_server, written, tmp_path / "model") as ours:
            until.close()
            response = httpx.post(f"{ours}/v1/chat/completions", json=body, timeout=60)
    assert response.status_code == 503 and response.headers["retry-after"] == "1"
    said = response.json()["error"]
    assert (said["type"], said["message"]) == ("server_error", "the model's engine does not answer; try again later")
    assert address.rpartition(":")[2] not in response.text
    (trace,) = [Trace.model_validate_json(line) for line in written.lines]
    assert (trace.finish_reason, trace.valid, trace.version) == ("error", False, 7)  # it counts against a canary


class HalfAway:
    """An engine elsewhere that answers one of two completions, and says what it should not."""

    def generate(self, requests: list[ChatRequest], sampling: Sampling) -> list[Completion]:
        whole = [Completion.of_text(request.example_id, "{}") for request in requests]
        return [*whole, *(failed(request, f"503 at db-7, {TICKET}", away=True) for request in requests)]


def test_what_an_upstream_engine_says_of_itself_stays_in_the_trace(run_server: RunServer, tmp_path: Path) -> None:
    served, written = Served(7, "sft", HalfAway(), None, 16), Written(tmp_path / "spool")
    body = {"model": "triage", "messages": [{"role": "user", "content": TICKET}], "n": 2}
    follower = Follower(lambda: version(tmp_path / "model"), lambda _: served, every_s=0.02)
    with run_server(follower, journal=written.journal) as ours:
        response = httpx.post(f"{ours}/v1/chat/completions", json=body, timeout=60)
    assert response.status_code == 503 and "db-7" not in response.text
    (trace,) = [Trace.model_validate_json(line) for line in written.lines]
    assert trace.finish_reason == "error" and "503 at db-7" in trace.text and "jo@example.org" not in trace.text


def _turn(text: str) -> list[Any]:
    from components.records import Message

    return [Message(role="user", content=text)]


def test_an_upstream_engine_without_the_version_or_out_of_reach_is_refused(elsewhere: Any, tmp_path: Path) -> None:
    with elsewhere() as address:
        for settings in (workload(address, model="{workload}-v{version}"), workload(address, model="triage-8")):
            with pytest.raises(EngineError, match=r"expected triage-\w+ at .*serving\.upstream.*, found triage-7"):
                open_upstream(version(tmp_path / "model"), settings, PROFILE)
    with pytest.raises(EngineError, match="expected an engine with triage-7 at http://127"):
        open_upstream(version(tmp_path / "model"), workload("http://127.0.0.1:9"), PROFILE)


def test_files_that_are_not_the_registered_ones_are_refused_here_too(elsewhere: Any, tmp_path: Path) -> None:
    changed = version(tmp_path / "model")
    (changed.folder / "prompt.md").write_text("Say nothing of {message}", encoding="utf-8")
    with elsewhere() as address, pytest.raises(Exception, match="expected the files that were registered"):
        open_upstream(changed, workload(address), PROFILE)


@pytest.mark.parametrize("name", ["{model}", "{0}", "{workload", "{version.x}"])
def test_a_model_name_with_an_unknown_placeholder_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(f"upstream: {{api: {{key_variable: null}}, model: '{name}'}}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="upstream: model: expected"):
        load(path, ServingParams)
