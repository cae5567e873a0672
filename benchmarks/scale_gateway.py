"""What `gradus serve` costs in front of vLLM: requests a second of vLLM's server, asked directly and through Gradus.

The same model, tickets and prompts, greedily, in alternating rounds; `gradus serve` fills the version's prompt, passes
the conversation on (`serving.upstream`) and writes its trace. Both servers and the clients share this machine's cores,
so that the gateway takes time from the engine. vLLM has an environment of its own, as benchmarks.serving_peers says.

    python -m benchmarks.scale_gateway --model artifacts/triage-nano/rungs/sft/artifact

Its figures go into benchmarks/scale.json under `gateway`.
"""

import argparse
import json
import os
import statistics
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import date
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import psutil
import yaml

from benchmarks.ladder import machine
from benchmarks.serving import (
    ROOT,
    WORK,
    WORKLOAD,
    Answered,
    Rounds,
    Way,
    champion,
    example,
    free_ports,
    measure,
    medians,
    parser_of,
    prepare,
    requests_of,
    serving,
    tickets,
)
from benchmarks.serving_peers import MOST_CONTEXT, VLLM, overrides
from components.prompts import Prompt, load_prompt

RECORD = ROOT / "benchmarks" / "scale.json"
NAME = f"{WORKLOAD}-1"  # vLLM's name for the first version
DIRECT, THROUGH = "vLLM", "gradus serve before vLLM"
AT_ONCE = 64


def main() -> None:
    """Measure, print and write."""
    options = parse()
    folder = (options.model or champion()).resolve()
    prompt = load_prompt(folder, "prompt", ("message", "channel"))
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # gigabytes; the default is a share of the machine's memory
    prepare(folder, prompt)
    messages = tickets(max(map(requests_of, options.clients)) + options.warm_up)
    with both(folder, prompt, messages, options) as ways:
        before = gateway_seconds()
        rounds, answered = measure(ways, options)
        spent = gateway_seconds() - before
    result = summary(rounds, answered, spent, options)
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    RECORD.write_text(json.dumps({**record, "gateway": result}, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--dtype", default="auto", help="vLLM's, such as float32; auto: that of the stored weights")
    parser.add_argument("--vllm", type=Path, default=VLLM)
    return parser.parse_args()


@contextmanager
def both(folder: Path, prompt: Prompt, messages: list[str], options: argparse.Namespace) -> Generator[list[Way]]:
    """The server of vLLM, and `gradus serve` in front of it, ready."""
    plain = [[{"role": "user", "content": message}] for message in messages]
    rendered = [[turn.openai for turn in prompt.messages(example(message))] for message in messages]
    ports = free_ports(2)
    vllm = [
        str(options.vllm), "serve", str(folder), "--served-model-name", NAME, "--dtype", options.dtype, "--port",
        str(ports[0]), "--max-model-len", str(MOST_CONTEXT), "--no-enable-prefix-caching", "--hf-overrides",
        overrides(folder),
    ]  # fmt: skip
    ours = [sys.executable, "-m", "flows.cli", "serve", WORKLOAD, "--port", str(ports[1])]
    with serving("vllm", vllm, ports[0], "health") as engine:
        pass_on(f"{engine}/v1")
        with serving("gateway", ours, ports[1], "readyz") as gateway:
            yield [Way(DIRECT, engine, NAME, rendered), Way(THROUGH, gateway, WORKLOAD, plain)]


def pass_on(address: str) -> None:
    """Have the benchmark's project compute answers at an address."""
    path = WORK / "params" / "workloads" / f"{WORKLOAD}.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    api = {"base_url": address, "key_variable": None, "concurrency": AT_ONCE}
    settings["serving"] = settings.get("serving", {}) | {"upstream": {"api": api, "model": "{workload}-{version}"}}
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


def gateway_seconds() -> float:
    """The time that the gateway's process has computed."""
    gateway = next(each for each in psutil.Process().children() if "flows.cli" in each.cmdline())
    times = gateway.cpu_times()
    return times.user + times.system


def summary(
    rounds: Rounds, answered: dict[str, dict[int, Answered]], spent: float, options: argparse.Namespace
) -> dict[str, Any]:
    """Medians, and by how much fewer requests a second are answered through the gateway."""
    figures = medians(rounds)
    requests = options.warm_up + options.rounds * sum(map(requests_of, options.clients))
    ratios = {
        clients: [
            1 - ours["requests_per_second"] / direct["requests_per_second"]
            for direct, ours in zip(by_way[DIRECT], by_way[THROUGH], strict=True)
        ]
        for clients, by_way in rounds.items()
    }
    command = " ".join(["python -m benchmarks.scale_gateway", *sys.argv[1:]])
    return {
        "command": command.replace(str(options.model), "FOLDER"),
        "machine": machine(),
        "date": date.today().isoformat(),
        "engine": f"vllm-cpu {engine_version(options.vllm)}, {options.dtype}",
        "rounds": options.rounds,
        "clients": figures,
        "overhead": {clients: statistics.median(values) for clients, values in ratios.items()},
        "overhead_of_rounds": ratios,
        "gateway_cpu_ms_of_a_request": spent / requests * 1e3,
        "equal_answers": statistics.mean(
            answered[THROUGH][place].text == answer.text for place, answer in answered[DIRECT].items()
        ),
    }


def engine_version(vllm: Path) -> str:
    """The version of vLLM in the environment of its command."""
    places = [str(path) for path in vllm.resolve().parents[1].glob("lib/python*/site-packages")]
    return next(each.version for each in distributions(path=places) if each.metadata["Name"] == "vllm-cpu")


if __name__ == "__main__":
    main()
