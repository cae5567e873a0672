"""vLLM's own server on CPUs behind `gradus serve`: text, schemas, tools, and another set of weights beside the first.

The other weights are an adapter that was made elsewhere: versions of Gradus's are whole models, of which a server of
vLLM's has one. GRADUS_VLLM names its command in an environment of its own; benchmarks/serving_peers.py says how one is
made.
"""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from benchmarks.serving_peers import overrides
from components.errors import EngineError
from components.params import Workload, load
from components.records import Trace
from components.serving import Follower, Server
from flows.upstream import open_upstream
from tests.components.serving.conftest import running
from tests.components.serving.test_routing import Written
from tests.components.serving.test_tools import TOOLS
from tests.components.serving.test_upstream import PROFILE, ROOT, TICKET, asked, version, workload

NANO = ROOT / "models" / "nano"
STARTS_S = 300
pytestmark = [
    pytest.mark.slow,
    pytest.mark.services,
    pytest.mark.skipif("GRADUS_VLLM" not in os.environ, reason="GRADUS_VLLM names no command of vLLM"),
]


@pytest.fixture(scope="module")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address; it has nano as `triage-7`, takes adapters and reads calls of tools."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        os.environ["GRADUS_VLLM"], "serve", str(NANO), "--served-model-name", "triage-7", "--port", str(port),
        "--dtype", "float32", "--max-model-len", "1024", "--hf-overrides", overrides(NANO), "--enable-auto-tool-choice",
        "--tool-call-parser", "hermes", "--generation-config", "vllm", "--enable-lora", "--max-lora-rank", "8",
    ]  # fmt: skip
    settings = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}
    log = tmp_path_factory.mktemp("vllm") / "log"
    with log.open("w") as out:
        process = subprocess.Popen(command, env=os.environ | settings, stdout=out, stderr=out, start_new_session=True)
    address, ends = f"http://127.0.0.1:{port}", time.monotonic() + STARTS_S
    try:
        while not _ready(address):
            assert process.poll() is None and time.monotonic() < ends, log.read_text()[-3000:]
            time.sleep(1)
        yield address
    finally:
        os.killpg(process.pid, 15)
        process.wait(60)


def _ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health").is_success
    except httpx.HTTPError:
        return False


def gateway(address: str, written: Written, folder: Path, number: int = 7) -> Any:
    """A server of triage whose answers vLLM computes."""
    opening = partial(open_upstream, workload=workload(address, tools=True), profile=PROFILE)
    return running(
        Server(
            "triage",
            Follower(lambda: version(folder, number=number), opening, every_s=0.02),
            journal=written.journal,
        )
    )


def test_vllm_answers_through_the_gateway_as_it_does_alone(vllm: str, tmp_path: Path) -> None:
    written, turn = Written(tmp_path / "spool"), {"role": "user", "content": TICKET}
    with gateway(vllm, written, tmp_path / "model") as ours, OpenAI(api_key="none", base_url=f"{ours}/v1") as client:
        answer = asked(ours, "triage", turn)
        stream = client.chat.completions.create(model="triage", messages=[turn], max_tokens=12, stream=True)  # pyright: ignore[reportArgumentType, reportCallIssue, reportUnknownVariableType]
        streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)  # pyright: ignore
    served = open_upstream(version(tmp_path / "model"), workload(vllm), PROFILE)
    prompt = served.conversation([Trace.model_validate_json(written.lines[0]).messages[0]])[0]
    text = answer["choices"][0]["message"]["content"]
    assert text and streamed == text
    assert answer["usage"]["completion_tokens"] == 12 and len(prompt) == 1


def test_vllm_holds_answers_to_a_schema(vllm: str, tmp_path: Path) -> None:
    schema = load(ROOT / "params/workloads/triage.yaml", Workload).output
    held = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    body = {"model": "triage", "messages": [{"role": "user", "content": TICKET}], "response_format": held}
    with gateway(vllm, Written(tmp_path / "spool"), tmp_path / "model") as ours:
        reply = httpx.post(f"{ours}/v1/chat/completions", json=body | {"max_tokens": 400}, timeout=120)
    (choice,) = reply.raise_for_status().json()["choices"]
    answer = json.loads(choice["message"]["content"])
    assert set(answer) == set(schema["properties"])
    assert answer["intent"] in schema["properties"]["intent"]["enum"]


@pytest.mark.parametrize("choice", ["required", "auto"])
def test_calls_of_tools_that_vllm_reads_are_passed_on_and_recorded(choice: str, vllm: str, tmp_path: Path) -> None:
    written = Written(tmp_path / "spool")
    more: dict[str, Any] = {"tools": TOOLS, "tool_choice": choice, "max_tokens": 120, "temperature": 0}
    turns: list[Any] = [{"role": "system", "content": "Help with the tools."}, {"role": "user", "content": TICKET}]
    if choice == "auto":  # nano decides freely; held to a call, it writes one that vLLM's parser has to read
        call = r'<tool_call>\n\{"name": "look", "arguments": \{"kind": "(refund|delivery)"\}\}\n</tool_call>'
        more["extra_body"] = {"structured_outputs": {"regex": call}}
    with OpenAI(api_key="none", base_url=f"{vllm}/v1", max_retries=0) as client:
        alone = client.chat.completions.create(model="triage-7", messages=turns, **more).choices[0]
    made = [(call.function.name, call.function.arguments) for call in alone.message.tool_calls or ()]
    assert made and all(name in ("look", "ping") for name, _ in made)
    if choice == "auto":
        return
    with (
        gateway(vllm, written, tmp_path / "model") as ours,
        OpenAI(api_key="none", base_url=f"{ours}/v1", max_retries=0) as client,
    ):
        whole = client.chat.completions.create(model="triage", messages=turns, **more).choices[0]
        with client.chat.completions.stream(model="triage", messages=turns, **more) as stream:
            streamed = stream.get_final_completion().choices[0]
    for reply in (whole, streamed):
        calls: Any = reply.message.tool_calls
        assert [(call.function.name, call.function.arguments) for call in calls] == made
    assert [len(trace.calls) for trace in written.traces] == [len(made)] * 2


def test_versions_are_answered_by_the_weights_that_have_their_names(vllm: str, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    save_adapter(adapter)
    with pytest.raises(EngineError, match="expected triage-8 at"):
        open_upstream(version(tmp_path / "model", number=8), workload(vllm), PROFILE)
    named = {"lora_name": "triage-8", "lora_path": str(adapter)}
    httpx.post(f"{vllm}/v1/load_lora_adapter", json=named, timeout=60).raise_for_status()
    turn, texts = {"role": "user", "content": TICKET}, list[str]()
    for number in (7, 8, 7):
        with gateway(vllm, Written(tmp_path / f"spool-{len(texts)}"), tmp_path / "model", number) as ours:
            texts.append(asked(ours, "triage", turn)["choices"][0]["message"]["content"])
    assert texts[0] == texts[2] != texts[1]


def save_adapter(folder: Path) -> None:
    """A LoRA adapter of nano with random weights, which change what it says."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_pretrained(NANO, dtype=torch.float32)
    config = LoraConfig(r=8, lora_alpha=64, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    get_peft_model(model, config).save_pretrained(str(folder))
