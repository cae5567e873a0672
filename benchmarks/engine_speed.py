"""Output tokens per second for three ways to answer the same questions with a local model.

`model.generate` one prompt at a time, `transformers.pipeline` in batches of 64, and Gradus's engine, interleaved in one
run, with medians over rounds, so that the ratios are fair. All three are greedy and stop at the same tokens; the share
of equal answers is reported. Tickets and system prompt are from the workload triage. The precision is that of serving:
bfloat16 where it is fast, in which case answers are equal up to rounding.

    python -m benchmarks.engine_speed --model models/nano
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.engines import ChatRequest, Sampling
from components.records import Message

ROOT = Path(__file__).resolve().parents[1]
PROMPT = ROOT / "params" / "prompts" / "triage" / "schema_definitions.md"
SEED = 20261122
PIPELINE_BATCH = 64
TARGETS = {"generate": 10.0, "pipeline": 1.5}


def main() -> None:
    """Measure, print a table, and write the record."""
    options = parse()
    import torch

    from components.engines.transformers_engine import TransformersEngine

    torch.set_num_threads(options.threads)
    engine = TransformersEngine.open(options.model, options.batch_tokens, options.precision)
    requests = questions(engine.tokenizer, options)
    few = requests[:: max(1, len(requests) // options.one_by_one)][: options.one_by_one]
    sampling = Sampling(max_new_tokens=options.new_tokens)
    ways: dict[str, Callable[[], list[str]]] = {
        "generate": lambda: one_by_one(engine, few, options.new_tokens),
        "pipeline": lambda: pipeline(engine, requests, options.new_tokens),
        "gradus": lambda: [completion.text for completion in engine.generate(requests, sampling)],
    }
    completions = {completion.example_id: completion for completion in engine.generate(requests, sampling)}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    equal: dict[str, float] = {}
    for _ in range(options.rounds):
        for name, answer in ways.items():
            asked = few if name == "generate" else requests
            expected = [completions[request.example_id] for request in asked]
            started = time.perf_counter()
            texts = answer()
            seconds = time.perf_counter() - started
            rates[name].append(sum(completion.usage.output_tokens for completion in expected) / seconds)
            equal[name] = statistics.mean(text == other.text for text, other in zip(texts, expected, strict=True))
    usages = [completion.usage for completion in completions.values()]
    record = summary(rates, equal) | {
        "asks": len(requests),
        "mean_prompt_tokens": statistics.mean(usage.input_tokens for usage in usages),
        "mean_output_tokens": statistics.mean(usage.output_tokens for usage in usages),
        "one_by_one_asks": len(few),
        "model": os.path.relpath(options.model, ROOT),
        "threads": options.threads,
        "precision": options.precision,
    }
    show(record)
    write(options.output, record | machine())


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "nano", help="a model folder")
    parser.add_argument("--asks", type=int, default=256, help="questions with the same system prompt")
    parser.add_argument("--one-by-one", type=int, default=32, help="how many of them `generate` answers, evenly spread")
    parser.add_argument("--system-tokens", type=int, default=600, help="the system prompt is cut to so many tokens")
    parser.add_argument("--new-tokens", type=int, default=64, help="at most so many in an answer")
    parser.add_argument("--batch-tokens", type=int, default=32_768, help="engine.batch_tokens of the profile")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto", help="of all three ways")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "engine_speed.json")
    return parser.parse_args()


def questions(tokenizer: Any, options: argparse.Namespace) -> list[ChatRequest]:
    """Tickets of 40 to 120 tokens after a long system prompt."""
    from components.workloads.triage import generate

    text = PROMPT.read_text(encoding="utf-8").partition("---user---")[0]
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"][: options.system_tokens]
    system = Message(role="system", content=tokenizer.decode(tokens))
    requests: list[ChatRequest] = []
    for ticket in generate(20 * options.asks, SEED):
        length = len(tokenizer(ticket.message, add_special_tokens=False)["input_ids"])
        if 40 <= length <= 120:
            requests.append(ChatRequest(ticket.id, [system, Message(role="user", content=ticket.message)]))
    return requests[: options.asks]


def one_by_one(engine: Any, requests: list[ChatRequest], new_tokens: int) -> list[str]:
    """`generate`, one prompt at a time."""
    import torch
    from tqdm import tqdm

    texts: list[str] = []
    for request in tqdm(requests, desc="one by one", unit="answer"):
        prompt = engine.tokenizer.apply_chat_template(
            turns(request), add_generation_prompt=True, return_tensors="pt", return_dict=True
        ).to(engine.model.device)
        with torch.inference_mode():
            answer = engine.model.generate(**prompt, do_sample=False, max_new_tokens=new_tokens)
        new = answer[0, prompt["input_ids"].shape[1] :]
        texts.append(engine.tokenizer.decode(new, skip_special_tokens=True))
    return texts


def pipeline(engine: Any, requests: list[ChatRequest], new_tokens: int) -> list[str]:
    """`transformers.pipeline` in batches of 64, in the order given."""
    import transformers

    run: Any = transformers.pipeline("text-generation", model=engine.model, tokenizer=engine.tokenizer)
    settings = {"batch_size": PIPELINE_BATCH, "do_sample": False, "max_new_tokens": new_tokens}
    outputs = run([turns(request) for request in requests], return_full_text=False, **settings)
    return [answers[0]["generated_text"] for answers in outputs]


def turns(request: ChatRequest) -> list[dict[str, str]]:
    """Messages in transformers' form."""
    return [message.model_dump() for message in request.messages]


def summary(rates: dict[str, list[float]], equal: dict[str, float]) -> dict[str, Any]:
    """Medians, and the engine's speed-up; other answers are compared with the engine's."""
    medians = {name: statistics.median(values) for name, values in rates.items()}
    ratios = {name: medians["gradus"] / medians[name] for name in TARGETS}
    return {
        "tokens_per_second": medians,
        "rounds": rates,
        "ratios": ratios,
        "targets": TARGETS,
        "met": {name: ratios[name] >= target for name, target in TARGETS.items()},
        "equal_answers": equal,
    }


def show(record: dict[str, Any]) -> None:
    """Print the table."""
    from rich.console import Console
    from rich.table import Table

    tokens = f"{record['mean_prompt_tokens']:.0f} prompt and {record['mean_output_tokens']:.0f} output tokens"
    table = Table(
        "way", "tokens/s", "gradus is", "target", "equal answers", title=f"{record['asks']} requests, {tokens}"
    )
    for name, rate in record["tokens_per_second"].items():
        ratio, target = record["ratios"].get(name), TARGETS.get(name)
        compared = (f"{ratio:.1f} x", f"{target:g} x") if ratio and target else ("", "")
        table.add_row(name, f"{rate:,.0f}", *compared, f"{record['equal_answers'][name]:.1%}")
    Console().print(table)


def machine() -> dict[str, Any]:
    """Where, when and how the figures were measured."""
    import torch
    import transformers

    cpu = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).is_file():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = names[0] if names else cpu
    return {
        "machine": {"cpu": cpu, "cores": os.cpu_count(), "load_average": os.getloadavg()[0]},
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python -m benchmarks.engine_speed", *sys.argv[1:]]),
    }


def write(path: Path, record: dict[str, Any]) -> None:
    """Write the record atomically."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


if __name__ == "__main__":
    main()
