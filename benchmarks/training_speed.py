"""Training speed: this project's SFT examples/s and GRPO rollouts/s, compared with bare TRL scripts.

Both sides have the same data, weights, prompts, optimiser settings, precision and number of steps; the bare side is TRL
with its own batching, generation, loss and logging, without activation checkpointing (on by default). `trainer.train()`
is timed, without dev scoring and checkpoints, alternating between sides, after an untimed step of each. The ratio of
medians is compared, because seconds depend on the machine's other load.

GRPO starts from a model after a few minutes of SFT, as on the ladder: its speed depends on how many groups vary and on
the length of completions.
"""

import argparse
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.ladder import machine
from components.engines import Sampling
from components.engines.transformers_engine import TransformersEngine
from components.methods.grpo.settings import GrpoParams
from components.methods.grpo.training import RewardedAnswers, rl_job
from components.methods.sft.settings import SftParams
from components.methods.sft.training import sft_job, train_sft
from components.models import open_model
from components.params import Profile, Workload, load
from components.prompts import load_prompt
from components.records import Example, to_json
from components.tracking import NullTracker
from components.training import Draws, TrainingTask
from components.training.encode import encode_examples
from components.training.precision import Compute
from components.training.run import starting_model
from components.workloads.triage import generate

log = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[1]
SEED = 20240501
BATCH_TOKENS = 49_152  # engine.batch_tokens of the profile nano


def triage(n: int) -> list[Example]:
    """Tickets with their imperfect demonstrations."""
    return [
        Example(
            id=ticket.id,
            input={"message": ticket.message},
            demonstration=to_json(dict(ticket.demonstration)),
            reference=to_json(dict(ticket.gold)),
            group=ticket.group,
        )
        for ticket in generate(n, SEED)
    ]


def reward(examples: list[Example], completions: list[str]) -> list[float]:
    """The share of right fields; 0 for anything but a JSON object."""
    return [share(json.loads(example.reference), text) for example, text in zip(examples, completions, strict=True)]


def sample(model: Any, tokenizer: Any, prompts: list[list[int]], draws: Draws) -> list[list[list[int]]]:
    """Completions from the engine, as in the stages."""
    wanted = Sampling(temperature=draws.temperature, n=draws.n, max_new_tokens=draws.max_new_tokens, seed=draws.seed)
    return TransformersEngine.of_trained(model, tokenizer, BATCH_TOKENS).draw(prompts, wanted)


def share(reference: dict[str, Any], completion: str) -> float:
    """The share of a reference's fields that a completion has right, in [0, 1]."""
    try:
        answer: Any = json.loads(completion)
    except ValueError:
        return 0.0
    right = sum(answer.get(key) == value for key, value in reference.items()) if isinstance(answer, dict) else 0
    return right / len(reference)


def common(task: TrainingTask, compute: Compute) -> dict[str, Any]:
    """A bare script's settings for the same device and precision, without output."""
    return {
        "output_dir": str(task.work), "use_cpu": compute.cpu, "bf16": compute.bf16, "seed": task.seed,
        "activation_checkpointing": False, "report_to": "none", "save_strategy": "no", "disable_tqdm": True,
    }  # fmt: skip


def quiet(trainer: Any) -> Any:
    """Keep a trainer from printing its logs."""
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    return trainer


def bare_sft(task: TrainingTask, params: SftParams, compute: Compute) -> Any:
    """The script on the first page of TRL's documentation, with these settings."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    steps = round(params.epochs * len(task.train) / params.batch_examples)
    model, tokenizer = open_model(task.model)
    rows = {
        "prompt": [[message.model_dump() for message in task.prompt.messages(example)] for example in task.train],
        "completion": [[{"role": "assistant", "content": example.demonstration}] for example in task.train],
    }
    settings = SFTConfig(
        **common(task, compute), max_steps=steps, per_device_train_batch_size=params.device_batch_examples,
        gradient_accumulation_steps=params.batch_examples // params.device_batch_examples,
        learning_rate=params.learning_rate, lr_scheduler_type="cosine", weight_decay=params.weight_decay,
        warmup_steps=params.warmup_share, max_length=params.max_tokens,
    )  # fmt: skip
    return SFTTrainer(model=model, args=settings, train_dataset=Dataset.from_dict(rows), processing_class=tokenizer)


def our_sft(task: TrainingTask, params: SftParams, compute: Compute) -> Any:
    """This project's trainer."""
    opened = starting_model(task, params.lora, compute)
    encoded = encode_examples(opened[1], task.prompt, task.train, params.max_tokens)
    return sft_job(task, params, opened, encoded, compute).trainer


def bare_grpo(task: TrainingTask, params: GrpoParams, compute: Compute) -> Any:
    """The script on the first page of TRL's documentation, with these settings and the same prompts in order."""
    from trl import GRPOConfig, GRPOTrainer

    model, tokenizer = open_model(task.model)
    rewarded = RewardedAnswers(task, list(range(len(task.train))), reward, sample)
    rollouts = params.prompts_per_step * params.generations
    settings = GRPOConfig(
        **common(task, compute), max_steps=params.steps, per_device_train_batch_size=params.device_batch_rollouts,
        gradient_accumulation_steps=rollouts // params.device_batch_rollouts, num_generations=params.generations,
        max_completion_length=params.max_new_tokens, temperature=params.temperature, shuffle_dataset=False,
        learning_rate=params.learning_rate, warmup_steps=params.warmup_share, beta=params.beta,
    )  # fmt: skip
    return GRPOTrainer(
        model=model, args=settings, reward_funcs=rewarded.function, train_dataset=rewarded.dataset(),
        processing_class=tokenizer,
    )  # fmt: skip


def our_grpo(task: TrainingTask, params: GrpoParams, compute: Compute) -> Any:
    """This project's trainer, including its KL measurements."""
    opened = starting_model(task, params.lora, compute)
    rewarded = RewardedAnswers(task, list(range(len(task.train))), reward, sample)
    return rl_job(task, params, opened, rewarded, compute).trainer


def seconds_of(
    build: Callable[[], Any], compute: Compute, *, ours: bool, steps: int | None = None
) -> tuple[float, float, Any]:
    """The wall-clock and CPU seconds of a training, or of its first steps, and its trainer."""
    trainer = quiet(build())
    trainer.args.max_steps = steps or trainer.args.max_steps
    with as_in_stages(compute) if ours else nullcontext():
        began, worked = time.perf_counter(), time.process_time()
        trainer.train()
        return time.perf_counter() - began, time.process_time() - worked, trainer


@contextmanager
def as_in_stages(compute: Compute) -> Generator[None]:
    """The context in which `components.training` trains, including reproducible sums."""
    with compute.repeatable(), compute.fast_convolutions():
        yield


def in_turns(sides: dict[str, Callable[[], Any]], items: int, rounds: int, compute: Compute) -> dict[str, Any]:
    """Each side's items per second, and the ratio of ours to the bare one."""
    rates: dict[str, list[float]] = {name: [] for name in sides}
    work: dict[str, list[float]] = {name: [] for name in sides}
    for name, build in sides.items():  # compilation and first allocations are not timed
        seconds_of(build, compute, ours=name == "ours", steps=1)
    for turn in range(rounds):
        for name, build in sides.items():
            seconds, worked, trainer = seconds_of(build, compute, ours=name == "ours")
            rates[name].append(items / seconds)
            work[name].append(worked)
            log.info("%s, round %d: %.2f/s (%s)", name, turn + 1, rates[name][-1], last_log(trainer))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    return {
        **{f"{name}_per_s": round(value, 2) for name, value in medians.items()},
        "ratio": round(medians["ours"] / medians["bare"], 3),
        # The same by CPU time, which a busy machine does not affect.
        "processor_ratio": round(statistics.median(work["bare"]) / statistics.median(work["ours"]), 3),
        "rounds": {name: [round(value, 2) for value in values] for name, values in rates.items()},
    }


def last_log(trainer: Any) -> str:
    """Log values that show that both sides do the same work."""
    metrics = {key: value for entry in trainer.state.log_history for key, value in entry.items()}
    names = ("loss", "reward", "frac_reward_zero_std", "completions/mean_length")
    return ", ".join(f"{name} {metrics[name]:.3g}" for name in names if name in metrics)


def measure(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Both comparisons."""
    profile = load(ROOT / f"params/profiles/{args.profile}.yaml", Profile)
    workload = load(ROOT / "params/workloads/triage.yaml", Workload)
    prompt = load_prompt(ROOT / "params/prompts/triage", workload.trained_prompt, ("message",))
    compute = Compute.choose(profile.model.precision)
    own, limit = profile.methods, {"max_tokens": profile.max_tokens, "evaluations": 1}
    sft = SftParams.model_validate({**own["sft"], **limit, "epochs": 1, "optimiser": "adamw"})  # TRL's own
    task = TrainingTask(args.model, triage(args.examples), prompt, lambda *_: 0.0, SEED, folder / "w", folder / "out")
    record = {"sft": in_turns(
        {"bare": lambda: bare_sft(task, sft, compute), "ours": lambda: our_sft(task, sft, compute)},
        len(task.train), args.rounds, compute,
    )}  # fmt: skip
    rl = GrpoParams.model_validate({**own["grpo"], "steps": args.steps, "evaluations": 1})
    rung = args.rung or warm_start(task, profile, args.warm_examples, folder)
    learner = replace(task, model=rung, train=triage(args.steps * rl.prompts_per_step))
    record["grpo"] = in_turns(
        {"bare": lambda: bare_grpo(learner, rl, compute), "ours": lambda: our_grpo(learner, rl, compute)},
        args.steps * rl.prompts_per_step * rl.generations, args.rounds, compute,
    )  # fmt: skip
    return record


def warm_start(task: TrainingTask, profile: Profile, n: int, folder: Path) -> Path:
    """A rung that has learnt about as much as its demonstrations teach."""
    settings = {**profile.methods["sft"], "max_tokens": profile.max_tokens, "epochs": 2, "evaluations": 1}
    params = SftParams.model_validate(settings)
    rung = replace(task, train=triage(n), work=folder / "warm-work", out=folder / "warm")
    train_sft(rung, params, NullTracker())
    return rung.out


def main() -> None:
    """Run the comparison and write its record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "models/nano")
    parser.add_argument(
        "--rung", type=Path, help="start of GRPO; by default the model is trained on the workload first"
    )
    parser.add_argument("--profile", default="nano")
    parser.add_argument("--examples", type=int, default=1024, help="of SFT, one epoch")
    parser.add_argument("--warm-examples", type=int, default=2000, help="of the SFT before GRPO, two epochs")
    parser.add_argument("--steps", type=int, default=4, help="of GRPO")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/training_speed.json")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(args, Path(folder))
    record = {
        "command": "python -m benchmarks.training_speed", "date": date.today().isoformat(),
        "machine": machine(),
        "profile": args.profile, "sft_examples": args.examples, "grpo_steps": args.steps, **measured,
    }  # fmt: skip
    args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    log.info(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
