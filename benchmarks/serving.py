"""Requests per second and latencies of `gradus serve` and `transformers serve`, with the same model and machine.

Both answer the same tickets, greedily and with the same token limit, for 1, 8 and 32 clients, as separate processes
over HTTP, in alternating rounds, so that the ratios are fair. Figures are medians over rounds. `gradus serve` gets the
ticket and fills the champion's prompt; `transformers serve` gets the resulting conversation. The share of equal answers
is reported. Both have default settings: the profile's precision for one, that of the weights for the other (or
--dtype), without continuous batching (or with --continuous-batching, which is slower on CPUs).

    python -m benchmarks.serving --model artifacts/triage-nano/grpo/model
"""

import argparse
import asyncio
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import httpx
from tqdm import tqdm

from benchmarks.engine_speed import machine, write
from components.errors import ConfigError
from components.prompts import Prompt, load_prompt
from components.records import Example, Message, Rung, Verdict

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "state" / "bench" / "serving"  # a separate project, so that no trace reaches this one's lake
WORKLOAD, RUN = "triage", "triage-nano"
SEED = 20261122
THROUGHPUT_TARGET = 3.0  # relative to `transformers serve`, with the most clients
START_SECONDS = 300
Rounds = dict[int, dict[str, list[dict[str, float]]]]  # by number of clients and server


@dataclass(frozen=True)
class Way:
    """A server: its address, its name for the model, and its request for a ticket."""

    path: ClassVar[str] = "v1/chat/completions"
    name: str
    address: str
    model: str
    conversations: Sequence[list[dict[str, str]]]

    def body(self, place: int, new_tokens: int) -> dict[str, Any]:
        """The request for a ticket, by its index."""
        messages = self.conversations[place]
        return {"model": self.model, "messages": messages, "max_tokens": new_tokens, "temperature": 0}

    def text(self, response: dict[str, Any]) -> str:
        """The answer in a response."""
        return response["choices"][0]["message"]["content"]


@dataclass(frozen=True)
class Answered:
    """A request: its duration and its answer."""

    seconds: float
    tokens: int
    prompt_tokens: int
    text: str


def main() -> None:
    """Measure, print a table, and write the record."""
    options = parse()
    folder = options.model or champion()
    prompt = load_prompt(folder, "prompt", ("message", "channel"))
    prepare(folder, prompt)
    messages = tickets(max(map(requests_of, options.clients)) + options.warm_up)
    with both(folder, prompt, messages, options) as ways:
        rounds, answered = measure(ways, options)
    record = summary(rounds, answered) | {
        "rounds": options.rounds,
        "max_tokens": options.new_tokens,
        "model": os.path.relpath(folder, ROOT),
        "transformers_serve": options.command,
        "environment": {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY")},
    }
    show(record)
    command = " ".join(["python -m benchmarks.serving", *sys.argv[1:]])
    write(options.output, record | machine() | {"command": command})


def measure(ways: Sequence[Way], options: argparse.Namespace) -> tuple[Rounds, dict[str, dict[int, Answered]]]:
    """The figures of all rounds, and each server's answers by ticket."""
    rounds: Rounds = {}
    answered: dict[str, dict[int, Answered]] = {way.name: {} for way in ways}
    for way in ways:
        asyncio.run(ask_all(way, range(options.warm_up), 2, options.new_tokens))
    for clients in options.clients:
        rounds[clients] = {way.name: [] for way in ways}
        places = range(options.warm_up, options.warm_up + requests_of(clients))
        for _ in tqdm(range(options.rounds), f"{clients} clients", unit="round"):
            for way in ways:
                started = time.perf_counter()
                answers = asyncio.run(ask_all(way, places, clients, options.new_tokens))
                rounds[clients][way.name].append(round_of(answers, time.perf_counter() - started))
                answered[way.name].update(answers)
    return rounds, answered


def parse() -> argparse.Namespace:
    """The command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--dtype", default="auto", help="of `transformers serve`; auto: that of the stored weights")
    parser.add_argument("--continuous-batching", action="store_true", help="let `transformers serve` batch")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "serving.json")
    options = parser.parse_args()
    options.command = ["--device", "cpu", "--dtype", options.dtype]
    options.command += ["--continuous-batching"] if options.continuous_batching else []
    return options


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """A command line with what all measurements of servers are asked."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a trained rung's folder, prompt.md included; default: the champion")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32], help="how many ask at once")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warm-up", type=int, default=8, help="requests before the first round")
    parser.add_argument("--new-tokens", type=int, default=96, help="at most so many in an answer")
    return parser


def requests_of(clients: int) -> int:
    """The number of requests in a round: some for each client."""
    return max(16, 4 * clients)


def champion() -> Path:
    """The folder of this project's champion.

    Raises:
        ConfigError: It is not a trained model.
    """
    from components.registry import registered

    version = registered(WORKLOAD)
    if version.makes != "model":
        raise ConfigError(
            f"expected a trained champion or --model FOLDER, found one by {version.method} ({version.folder})"
        )
    return version.folder


def prepare(folder: Path, prompt: Prompt, work: Path = WORK) -> None:
    """Make a project with current settings and this folder as champion, verified with an answer to a ticket."""
    from components.engines import ChatRequest, Sampling
    from components.engines.transformers_engine import TransformersEngine
    from components.registry import Candidate, Check, open_run, register_winner

    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(ROOT / "params", work / "params")
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{work / 'state' / 'mlflow.db'}"
    messages = prompt.messages(example(next(iter(tickets(1)))))

    def generate(stored: Path, conversations: Sequence[Sequence[Message]]) -> list[str]:
        engine = TransformersEngine.open(stored, 8192)
        requests = [ChatRequest("", list(conversation)) for conversation in conversations]
        return [completion.text for completion in engine.generate(requests, Sampling(max_new_tokens=96))]

    rung = Rung(
        name="bench", method="grpo", makes="model", prompt=prompt.name, params_hash="", data_hash="", seed=0,
        git_commit="", seconds=0,
    )  # fmt: skip
    verdict = Verdict(champion="none", challenger=rung.name, decision="promoted", reasons=("to be measured",))
    with open_run(WORKLOAD, rung.name, {}) as tracker:
        assert tracker.run_id is not None
        check = Check([(messages, generate(folder, [messages])[0])], generate)
        register_winner(Candidate(WORKLOAD, rung, folder, verdict, tracker.run_id), check)


def tickets(n: int) -> list[str]:
    """The messages of so many tickets."""
    from components.workloads.triage import generate

    return [ticket.message for ticket in islice(generate(n, SEED), n)]


def example(message: str) -> Example:
    """A ticket as an example for prompts."""
    return Example(id="", input={"message": message, "channel": ""}, demonstration="", reference="", group="")


@contextmanager
def both(folder: Path, prompt: Prompt, messages: Sequence[str], options: argparse.Namespace) -> Generator[list[Way]]:
    """Both servers, ready."""
    plain = [[{"role": "user", "content": message}] for message in messages]
    rendered = [[turn.model_dump() for turn in prompt.messages(example(message))] for message in messages]
    ports = free_ports(2)
    gradus = [sys.executable, "-m", "flows.cli", "serve", WORKLOAD, "--port", str(ports[0])]
    other = [str(Path(sys.executable).parent / "transformers"), "serve", str(folder.resolve()), *options.command]
    with (
        serving("gradus", gradus, ports[0], "readyz") as ours,
        serving("transformers", [*other, "--port", str(ports[1])], ports[1], "health") as theirs,
    ):
        yield [
            Way("gradus serve", ours, WORKLOAD, plain),
            Way("transformers serve", theirs, str(folder.resolve()), rendered),
        ]


@contextmanager
def serving(name: str, command: list[str], port: int, ready: str) -> Generator[str]:
    """Run a server during the body, with its output in a file; yield its address."""
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    environment |= {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    address, log = f"http://127.0.0.1:{port}", WORK / f"{name}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=WORK, env=environment, stdout=file, stderr=file)
    try:
        ends = time.monotonic() + START_SECONDS
        while not is_ready(f"{address}/{ready}"):
            if process.poll() is not None or time.monotonic() > ends:
                raise SystemExit(f"expected {name} to answer at {address}/{ready}, found none ({log})")
            time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(60)


def is_ready(url: str) -> bool:
    """Whether a server reports that it is ready."""
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


def free_ports(n: int) -> list[int]:
    """Free ports."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [connection.getsockname()[1] for connection in sockets]
    for connection in sockets:
        connection.close()
    return ports


async def ask_all(way: Way, places: Sequence[int], clients: int, new_tokens: int) -> dict[int, Answered]:
    """The answers to these tickets, by index; each client sends its next request after an answer."""
    waiting, by_place = iter(places), dict[int, Answered]()

    async def ask() -> None:
        for place in waiting:
            body = way.body(place, new_tokens)
            started = time.perf_counter()
            reply = (await http.post(f"{way.address}/{way.path}", json=body)).raise_for_status()
            seconds = time.perf_counter() - started
            response = reply.json()
            used = response["usage"]
            by_place[place] = Answered(seconds, used["completion_tokens"], used["prompt_tokens"], way.text(response))

    async with httpx.AsyncClient(timeout=600, limits=httpx.Limits(max_connections=clients)) as http:
        await asyncio.gather(*(ask() for _ in range(clients)))
    return by_place


def round_of(answered: dict[int, Answered], seconds: float) -> dict[str, float]:
    """A round's figures."""
    waited_ms = [answer.seconds * 1e3 for answer in answered.values()]
    return {
        "requests_per_second": len(answered) / seconds,
        "p50_ms": statistics.median(waited_ms),
        "p95_ms": statistics.quantiles(waited_ms, n=20, method="inclusive")[-1],
        "output_tokens_per_second": sum(answer.tokens for answer in answered.values()) / seconds,
    }


def medians(rounds_by_clients: Rounds) -> dict[int, dict[str, dict[str, float]]]:
    """The medians over rounds, by number of clients, server and figure."""
    return {
        clients: {
            name: {figure: statistics.median(figures[figure] for figures in rounds) for figure in rounds[0]}
            for name, rounds in by_way.items()
        }
        for clients, by_way in rounds_by_clients.items()
    }


def summary(rounds_by_clients: Rounds, answered: dict[str, dict[int, Answered]]) -> dict[str, Any]:
    """Medians over rounds, and whether the targets are met."""
    by_clients = medians(rounds_by_clients)
    most, fewest = max(by_clients), min(by_clients)
    ours, theirs = answered
    pairs = [(answered[ours][place], answered[theirs][place]) for place in answered[ours]]
    throughput = by_clients[most][ours]["requests_per_second"] / by_clients[most][theirs]["requests_per_second"]
    p50 = by_clients[fewest][ours]["p50_ms"] / by_clients[fewest][theirs]["p50_ms"]
    return {
        "clients": by_clients,
        "all_rounds": rounds_by_clients,
        "throughput_ratio": {"clients": most, "value": throughput, "target": THROUGHPUT_TARGET},
        "p50_ratio": {"clients": fewest, "value": p50, "target": 1.0},
        "met": {"throughput": throughput >= THROUGHPUT_TARGET, "p50": p50 <= 1},
        "equal_prompts": statistics.mean(answer.prompt_tokens == other.prompt_tokens for answer, other in pairs),
        "equal_answers": statistics.mean(answer.text == other.text for answer, other in pairs),
        "mean_prompt_tokens": statistics.mean(answer.prompt_tokens for answer, _ in pairs),
        "mean_output_tokens": statistics.mean(answer.tokens for answer, _ in pairs),
    }


def show(record: dict[str, Any]) -> None:
    """Print the table and the two ratios."""
    from rich.console import Console
    from rich.table import Table

    tokens = f"{record['mean_prompt_tokens']:.0f} prompt and {record['mean_output_tokens']:.0f} output tokens"
    table = Table("clients", "server", "requests/s", "p50 ms", "p95 ms", "output tokens/s", title=f"triage, {tokens}")
    for clients, by_way in record["clients"].items():
        for name, figures_of_way in by_way.items():
            figures = (
                f"{figures_of_way['p50_ms']:,.0f}",
                f"{figures_of_way['p95_ms']:,.0f}",
                f"{figures_of_way['output_tokens_per_second']:,.0f}",
            )
            table.add_row(str(clients), name, f"{figures_of_way['requests_per_second']:.1f}", *figures)
    console = Console()
    console.print(table)
    rate, wait = record["throughput_ratio"], record["p50_ratio"]
    console.print(f"Throughput with {rate['clients']} clients: {rate['value']:.1f} x (target {rate['target']:g} x)")
    console.print(f"p50 with {wait['clients']} client: {wait['value']:.2f} x (target at most {wait['target']:g} x)")
    console.print(f"Equal answers: {record['equal_answers']:.1%}")


if __name__ == "__main__":
    main()
