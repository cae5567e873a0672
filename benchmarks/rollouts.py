"""Tries a second: this project's loop, compared with TRL's own loop for tools, on the same model and tasks.

TRL knows no turns of a user. So the tasks are `desk`'s with everything in the first message: a look at the order, a
change or a refusal, a last sentence. The model is nano after a few minutes of SFT on such tries, as GRPO on a ladder
starts from a model that knows them. Both sides draw the same groups at the same temperature in float32, with the same
limits of tokens, in batches of the same size; TRL's side is what its `GRPOTrainer` calls to generate, generation and
tools alone. The sides alternate after an untimed round of each, and the ratio of medians is compared, because seconds
depend on the machine's other load.

    python -m benchmarks.rollouts --tries 128 --rounds 3
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.ladder import machine
from components.engines.transformers_engine import TransformersEngine
from components.methods.sft.settings import SftParams
from components.methods.sft.training import train_sft_on_tries
from components.models import open_model
from components.params import Limits
from components.prompts import Prompt
from components.records import Example
from components.tasks import EnginePolicy, Replay, open_environment, roll, start_of
from components.tracking import NullTracker
from components.training import TrainingTask
from components.workloads.desk import Desk, cases, demonstrated

ROOT = Path(__file__).resolve().parents[1]
SEED, GROUP = 31, 8
PROMPT = Prompt("short", "You work at the desk of a shop.", "{message}")
LIMITS = Limits(turns=8, tool_calls=8, turn_tokens=80, trajectory_tokens=400)
SPEC = open_environment("components.workloads.desk:Desk")
# How TRL reads nano's calls: it knows the forms of some models by their templates, and nano's is none of them.
RESPONSE = {
    "defaults": {"role": "assistant"}, "start_anchor": "<|im_start|>assistant\n",
    "fields": {
        "tool_calls": {
            "open": "<tool_call>", "close_pattern": r"</tool_call>\s*", "repeats": True, "content": "json",
            "transform": {"type": "function", "function": "{content}"},
        },
        "content": {"close_pattern": r"<\|im_end\|>\s*", "content": "text"},
    },
}  # fmt: skip


@dataclass(frozen=True)
class Round:
    """What one round of tries took and gave."""

    seconds: float
    tries: int
    sampled: int
    calls: int


def main() -> None:
    """Measure, print, write the record."""
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or taught(Path(folder), options.taught)
        drawn = tasks(options.tries // GROUP, SEED + 1)
        sides: dict[str, Callable[[int], Round]] = {"gradus": ours(model, drawn), "trl": bare(model, drawn, folder)}
        rounds: dict[str, list[Round]] = {name: [] for name in sides}
        for number in range(options.rounds + 1):
            for name, side in sides.items():
                done = side(number)
                print(f"{name}: {done.tries / done.seconds:.2f} tries/s {done}", flush=True)
                if number:
                    rounds[name].append(done)
    record = summary(rounds) | {
        "tries": options.tries, "rounds": options.rounds, "group": GROUP, "seed": SEED, "machine": machine(),
        "date": date.today().isoformat(), "command": " ".join(["python -m benchmarks.rollouts", *sys.argv[1:]]),
    }  # fmt: skip
    print(json.dumps(record, indent=1))
    options.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=128, help=f"of a round, in groups of {GROUP}")
    parser.add_argument("--rounds", type=int, default=3, help="that are timed, of each side")
    parser.add_argument("--taught", type=int, default=960, help="tries that nano learns from before")
    parser.add_argument("--model", type=Path, help="a model that knows these tasks, in the place of nano after SFT")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "rollouts.json")
    return parser.parse_args()


def tasks(n: int, seed: int) -> list[Example]:
    """Desk's tasks whose customer says everything at once, and the number right; demonstrations are their turns."""
    drawn = [example for example in cases(2 * n + 50, seed) if example.slices["number"] == "given"][:n]
    return [_at_once(example) for example in drawn]


def _at_once(example: Example) -> Example:
    said = " ".join([example.input["message"], *json.loads(example.evidence["script"])])
    turns = json.loads(example.demonstration)[2:]  # without the two questions
    evidence = example.evidence | {"script": "[]"}
    return example.model_copy(
        update={"input": {"message": said}, "demonstration": json.dumps(turns), "evidence": evidence}
    )


def taught(folder: Path, n: int) -> Path:
    """Nano after an epoch of SFT on this many tries."""
    examples = tasks(n, SEED)
    starts = [start_of(example, PROMPT.messages(example)) for example in examples]
    tries = [made.trajectory for made in roll(SPEC, Replay(demonstrated(examples)), starts, LIMITS)]
    task = TrainingTask(
        model=ROOT / "models" / "nano", train=examples, prompt=PROMPT, score_dev=lambda model, tokenizer: 0.0,
        seed=SEED, work=folder / "work", out=folder / "out", precision="auto",
    )  # fmt: skip
    params = SftParams(
        optimiser="muon", epochs=1, learning_rate=1e-3, batch_examples=16, device_batch_examples=16,
        packed_tokens=1088, evaluations=1, max_tokens=768,
    )  # fmt: skip
    train_sft_on_tries(task, params, tries, NullTracker())
    return task.out


def ours(model: Path, drawn: Sequence[Example]) -> Callable[[int], Round]:
    """This project's loop, as GRPO calls it."""
    network, tokenizer = open_model(model)
    network.float().eval()
    engine = TransformersEngine.of_trained(network, tokenizer, 49_152)

    def side(number: int) -> Round:
        starts = [start_of(example, PROMPT.messages(example), trial) for example in drawn for trial in range(GROUP)]
        began = time.perf_counter()
        rolled = roll(SPEC, EnginePolicy(engine, 1.0, number), starts, LIMITS)
        seconds = time.perf_counter() - began
        sampled = sum(sum(attempt.dialogue.mask) for attempt in rolled)
        return Round(seconds, len(rolled), sampled, sum(attempt.trajectory.tool_calls for attempt in rolled))

    return side


def bare(model: Path, drawn: Sequence[Example], folder: str) -> Callable[[int], Round]:
    """TRL's loop: `GRPOTrainer` with an environment, of which generation and tools are timed and nothing else."""
    import torch
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    network, tokenizer = open_model(model)
    network.float()
    tokenizer.response_template = RESPONSE
    rows: list[dict[str, Any]] = [
        {"prompt": [message.model_dump(include={"role", "content"}) for message in PROMPT.messages(example)],
         **example.evidence}
        for example in drawn
    ]  # fmt: skip
    settings = GRPOConfig(
        output_dir=folder, per_device_train_batch_size=len(rows) * GROUP, num_generations=GROUP,
        max_completion_length=LIMITS.trajectory_tokens, max_tool_calling_iterations=LIMITS.tool_calls,
        temperature=1.0, bf16=False, use_cpu=True, report_to=[], gradient_checkpointing=False,
    )  # fmt: skip
    trainer: Any = GRPOTrainer(
        model=network, args=settings, reward_funcs=lambda completions, **_: [0.0] * len(completions),
        train_dataset=Dataset.from_list(rows), processing_class=tokenizer, environment_factory=Desk,
    )  # fmt: skip
    generate, timed = trainer._generate, list[tuple[float, Any]]()

    def clocked(prompts: list[Any]) -> Any:
        began = time.perf_counter()
        made = generate(prompts)
        timed.append((time.perf_counter() - began, made))
        return made

    trainer._generate = clocked

    def side(number: int) -> Round:
        torch.manual_seed(number)
        inputs = [dict(row, prompt=[dict(message) for message in row["prompt"]]) for row in rows for _ in range(GROUP)]
        with torch.no_grad():
            trainer._generate_and_score_completions(inputs)
        seconds, made = timed.pop()
        completions, mask = made[3], made[2]
        calls = sum(len(turn.get("tool_calls") or ()) for turns in completions for turn in turns)
        return Round(seconds, len(inputs), sum(map(sum, mask)), calls)

    return side


def summary(rounds: dict[str, list[Round]]) -> dict[str, Any]:
    """Medians of each side, and their ratio."""
    speed = {name: [done.tries / done.seconds for done in each] for name, each in rounds.items()}
    return {
        "tries_per_second": {name: statistics.median(values) for name, values in speed.items()},
        "ratio": statistics.median(speed["gradus"]) / statistics.median(speed["trl"]),
        "sampled_tokens_a_try": {
            name: sum(done.sampled for done in each) / sum(done.tries for done in each)
            for name, each in rounds.items()
        },
        "calls_a_try": {
            name: sum(done.calls for done in each) / sum(done.tries for done in each) for name, each in rounds.items()
        },
        "every_round": speed,
    }  # fmt: skip


if __name__ == "__main__":
    main()
