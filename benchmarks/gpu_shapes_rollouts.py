"""The rollouts and GRPO steps of benchmarks.gpu_shapes, by this project's engine and trainer and by bare TRL's."""

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.gpu_shapes_training import (
    WORDS,
    Meter,
    Tell,
    adapters,
    bare,
    free,
    model_of,
    settings_of,
    synchronise,
    task_of,
    tokenizer_of,
)
from components.training.task import Draws

BATCH_TOKENS = 262_144  # engine.batch_tokens for a card of 80 GB


def rollouts(tiny: bool, until: float, tell: Tell) -> None:
    """Output tokens per second of GRPO's draws at temperature 1, by the engine and by `generate` as TRL calls it."""
    import torch

    model, tokenizer, rng = model_of("qwen3", tiny).eval(), tokenizer_of(), random.Random(0)
    prompts, n, new = (4, 2, 8) if tiny else (64, 8, 128)
    for shared, share in ((600, 0.5), (0, 1.0)):
        start, at_once, now = rng.choices(WORDS, k=shared), prompts * n, time.perf_counter()
        asked = [start + rng.choices(WORDS, k=rng.randint(40, 120)) for _ in range(prompts)]
        settings = {"shared_prompt_tokens": shared, "prompts": prompts, "n": n, "new_tokens": new}
        while at_once:
            sides = {"ours": partial(drawn, n=n), "bare": partial(generated, n=n, at_once=at_once)}
            try:
                rates = in_turns(sides, model, tokenizer, asked, new, now + share * (until - now))
                tell(settings | {"bare_rows_at_once": at_once} | rates)
                break
            except torch.OutOfMemoryError:
                at_once //= 2
            free()


def in_turns(  # noqa: PLR0913, PLR0917 - two sides with the same five things
    sides: dict[str, Callable[..., int]], model: Any, tokenizer: Any, asked: list[list[int]], new: int, until: float
) -> dict[str, float]:
    """Each side's tokens per second: the median of three turns, or fewer where the time is up."""
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for draw in sides.values():  # not timed
        draw(model, tokenizer, asked, new=4)
    while len(rates["bare"]) < 3 and (not rates["bare"] or time.perf_counter() < until):
        for name, draw in sides.items():
            synchronise()
            began = time.perf_counter()
            produced = draw(model, tokenizer, asked, new=new)
            synchronise()
            rates[name].append(produced / (time.perf_counter() - began))
    medians = {f"{name}_tokens_per_second": statistics.median(values) for name, values in rates.items()}
    return medians | {
        "ratio": medians["ours_tokens_per_second"] / medians["bare_tokens_per_second"], "turns": len(rates["bare"])
    }  # fmt: skip


def drawn(model: Any, tokenizer: Any, prompts: list[list[int]], n: int, new: int) -> int:
    """The tokens that the product's engine produces, as a GRPO step asks for them."""
    from components.engines import Sampling
    from components.engines.transformers_engine import TransformersEngine

    engine = TransformersEngine.of_trained(model, tokenizer, BATCH_TOKENS, "bf16")
    groups = engine.draw(prompts, Sampling(temperature=1.0, n=n, max_new_tokens=new, seed=1))
    return sum(len(completion) for group in groups for completion in group)


def draw(model: Any, tokenizer: Any, prompts: list[list[int]], draws: Draws) -> list[list[list[int]]]:
    """Completions by the engine, as a GRPO stage draws them."""
    from components.engines import Sampling
    from components.engines.transformers_engine import TransformersEngine

    wanted = Sampling(temperature=draws.temperature, n=draws.n, max_new_tokens=draws.max_new_tokens, seed=draws.seed)
    return TransformersEngine.of_trained(model, tokenizer, BATCH_TOKENS, "bf16").draw(prompts, wanted)


def generated(  # noqa: PLR0913, PLR0917 - as `drawn`, and how many at once
    model: Any, tokenizer: Any, prompts: list[list[int]], n: int, new: int, at_once: int
) -> int:
    """The tokens that `generate` produces, so many rows at once."""
    import torch

    from components.training.batches import left_padded

    rows, produced = [prompt for prompt in prompts for _ in range(n)], 0
    for some in (rows[first : first + at_once] for first in range(0, len(rows), at_once)):
        ids, mask = left_padded(some, tokenizer.pad_token_id), left_padded([[1] * len(row) for row in some], 0)
        with torch.no_grad():
            answers = model.generate(
                input_ids=ids.to(model.device), attention_mask=mask.to(model.device), do_sample=True, temperature=1.0,
                top_k=0, top_p=1.0, max_new_tokens=new, pad_token_id=tokenizer.pad_token_id,
                eos_token_id=tokenizer.eos_token_id, disable_compile=True,
            )[:, ids.shape[1] :]  # fmt: skip
        ended = (answers == tokenizer.eos_token_id).int()
        produced += int((ended.cumsum(1) - ended == 0).sum())  # up to the first end token, which counts
    return produced


def grpo(tiny: bool, until: float, tell: Tell) -> None:
    """Seconds of a step of GRPO; rewards are random, so that every group varies, which is most work for our trainer."""
    few = {"prompts_per_step": 2, "generations": 2, "device_batch_rollouts": 2} if tiny else {}
    settings = settings_of("qwen3-0.6b", "grpo", probe_prompts=0, max_new_tokens=8 if tiny else 128) | few
    several = settings["prompts_per_step"] * settings["generations"] // settings["device_batch_rollouts"]
    medians: dict[str, float] = {}
    for name, share in (("ours", 0.5), ("bare", 1.0)):
        now = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            trainer = grpo_trainer(name == "ours", settings, model_of("qwen3", tiny), Path(folder))
            meter = Meter(trainer, several, 1, 4, now + share * (until - now))
        seconds = meter.seconds()
        medians[name] = statistics.median(seconds)
        lengths = [entry["completions/mean_length"] for entry in trainer.state.log_history[:1]]
        tell({"side": name, "timed_steps": len(seconds), "seconds_per_step": medians[name], "mean_tokens": lengths})
        del trainer, meter
        free()
    ratio = medians["bare"] / medians["ours"]
    tell({"new_tokens": settings["max_new_tokens"], "ratio": ratio, "settings": settings})


def grpo_trainer(ours: bool, settings: dict[str, Any], model: Any, folder: Path) -> Any:
    """This project's trainer or TRL's, on the same prompts with the same rewards."""
    from trl import GRPOConfig, GRPOTrainer

    from components.methods.grpo.settings import GrpoParams
    from components.methods.grpo.training import RewardedAnswers, rl_job
    from components.records import Example
    from components.training.precision import Compute

    params, rng = GrpoParams.model_validate(settings), random.Random(0)
    texts = [" ".join(rng.choices(("send", "the", "parcel", "to", "my", "old", "street"), k=90)) for _ in range(200)]
    examples = [
        Example(id=str(at), input={"text": text}, demonstration="", reference="", group="")
        for at, text in enumerate(texts)
    ]
    task = task_of(folder, examples)
    rewarded = RewardedAnswers(task, list(range(200)), lambda _, answers: [rng.random() for _ in answers], draw)
    if ours:
        return rl_job(task, params, (model.train(), tokenizer_of()), rewarded, Compute.choose("bf16")).trainer
    several = params.prompts_per_step * params.generations // params.device_batch_rollouts
    arguments = GRPOConfig(**bare(
        folder, per_device_train_batch_size=params.device_batch_rollouts, gradient_accumulation_steps=several,
        num_generations=params.generations, max_completion_length=params.max_new_tokens, beta=params.beta,
        temperature=params.temperature, learning_rate=params.learning_rate, shuffle_dataset=False,
    ))  # fmt: skip
    return GRPOTrainer(
        model=model, args=arguments, reward_funcs=rewarded.function, train_dataset=rewarded.dataset(),
        processing_class=tokenizer_of(), peft_config=adapters("qwen3-0.6b", "grpo"),
    )  # fmt: skip
