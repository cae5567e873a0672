"""How a rung answers: the one place that knows what lies behind each method.

Decides which engine, folder and prompt answer for a rung, and what is kept of the answers.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.engines import Ask, Engine, Sampling, open_engine, open_prompting
from components.evaluation import Scores, by_example, classical
from components.params import ScorerParams
from components.prompts import Prompt, load_prompt
from components.records import Completion, Example, Method, Rung, Score
from components.registry import Version
from components.scorers import Failures, Scorer, build, score_all, scores_of
from components.stages.run import Run
from components.training import Draws, Look, Sample, ScoreDev

if TYPE_CHECKING:
    from components.engines.transformers_engine import TransformersEngine

MODEL = "model"  # the folder inside a trained rung's folder


@dataclass(frozen=True)
class Answers:
    """Completions in the order of the examples, and the wall time that they took together, loading not counted."""

    completions: list[Completion]
    seconds: float


def answer(run: Run, rung: Rung, examples: Sequence[Example], folder: Path | None = None) -> Answers:
    """Let a rung answer examples greedily; `folder` replaces its own, for a stored copy of it."""
    folder = folder or model_of(run, rung)
    if rung.method == "classical":
        return _classified(folder, examples)
    prompt = run.prompt(rung.name) if rung.method == "prompt" else run.trained_prompt
    return ask(run, _opened(run, rung.method, folder), prompt, examples)


def answer_registered(run: Run, version: Version, examples: Sequence[Example]) -> Answers:
    """Let a registered version answer examples greedily, with the prompt that it was registered with."""
    if version.method == "classical":
        return _classified(version.folder, examples)
    prompt = replace(load_prompt(version.folder, "prompt", run.columns), name=version.prompt)
    return ask(run, _opened(run, version.method, version.folder), prompt, examples)


def model_of(run: Run, rung: Rung) -> Path:
    """The folder of a rung that answers and is registered."""
    folder = run.rung_folder(rung.name)
    return folder / MODEL if rung.method in ("sft", "grpo") else folder


def _classified(folder: Path, examples: Sequence[Example]) -> Answers:
    classifier = classical.load(folder)
    return _timed(lambda: classifier.predict(examples))


def _opened(run: Run, method: Method, folder: Path) -> Engine:
    """What answers for a prompt, or a trained model in a folder."""
    if method == "prompt":
        return open_prompting(run.profile, run.workload.incumbent)
    return open_engine(run.profile.engine, folder, run.profile.model.precision)


def ask(run: Run, engine: Engine, prompt: Prompt, examples: Sequence[Example]) -> Answers:
    """Let an engine answer a prompt about each example, greedily."""
    asks = [Ask(example.id, prompt.messages(example)) for example in examples]
    schema = run.workload.output if prompt.name in run.workload.constrained else None
    sampling = Sampling(max_new_tokens=run.profile.engine.max_new_tokens, seed=run.seed, answer_schema=schema)
    return _timed(lambda: engine.generate(asks, sampling))


def _timed(make: Callable[[], list[Completion]]) -> Answers:
    started = time.perf_counter()
    completions = make()
    return Answers(completions, time.perf_counter() - started)


def scorer(run: Run) -> Scorer:
    """The workload's scorer."""
    return _opened_scorer(run.workload.scorer.model_dump_json(), json.dumps(run.workload.output))


def sealed_scorer(run: Run) -> Scorer | None:
    """The workload's scorer that RL is watched by and never rewarded with; None where it has none."""
    params = run.workload.sealed_scorer
    return None if params is None else _opened_scorer(params.model_dump_json(), json.dumps(run.workload.output))


@lru_cache(maxsize=8)  # databases, sandboxes and connections stay open while the process lasts
def _opened_scorer(params: str, schema: str) -> Scorer:
    return build(ScorerParams.model_validate_json(params), json.loads(schema))


def score(run: Run, examples: Sequence[Example], completions: Sequence[Completion]) -> Scores:
    """Example id → score, in the order of the examples; those that the scorer cannot decide are left out.

    Raises:
        ScorerError: They are more than `scorer.max_failed_share`.
    """
    answers = by_example(examples, completions)
    outcomes = score_all(scorer(run), [(example, answers[example.id]) for example in examples])
    Failures(run.workload.scorer.max_failed_share).add(outcomes)
    return scores_of([example.id for example in examples], outcomes)


def draw(run: Run) -> Sample:
    """How RL draws completions: by the engine, as they will be served."""

    def sample(model: Any, tokenizer: Any, prompts: list[list[int]], draws: Draws) -> list[list[list[int]]]:
        wanted = Sampling(
            temperature=draws.temperature, n=draws.n, max_new_tokens=draws.max_new_tokens, seed=draws.seed
        )
        return _engine(run, model, tokenizer).draw(prompts, wanted)

    return sample


def dev_score(run: Run, examples: Sequence[Example]) -> Callable[[Any, Any], float]:
    """What training asks of a model: the share of dev examples that it answers right, greedily, in [0, 1]."""

    def measure(model: Any, tokenizer: Any) -> float:
        found = ask(run, _engine(run, model, tokenizer), run.trained_prompt, examples).completions
        scores = score(run, examples, found)
        return sum(one.passed for one in scores.values()) / len(scores)

    return measure


def dev_look(run: Run, examples: Sequence[Example]) -> ScoreDev:
    """The same, with the reward and the sealed score of each answer where the workload has a sealed scorer."""
    sealed = sealed_scorer(run)
    if sealed is None:
        return dev_score(run, examples)

    def look(model: Any, tokenizer: Any) -> Look:
        found = by_example(examples, ask(run, _engine(run, model, tokenizer), run.trained_prompt, examples).completions)
        pairs = [(example, found[example.id]) for example in examples]
        rewards, worths = score_all(scorer(run), pairs), score_all(sealed, pairs)
        passed = [one.passed for one in rewards if isinstance(one, Score)]
        return Look(
            score=sum(passed) / max(1, len(passed)),
            trained=[one.value if isinstance(one, Score) else None for one in rewards],
            sealed=[one.value if isinstance(one, Score) else None for one in worths],
            answers=[completion.text for _, completion in pairs],
            ids=[example.id for example in examples],
        )

    return look


def _engine(run: Run, model: Any, tokenizer: Any) -> "TransformersEngine":
    """An engine over a model in training."""
    from components.engines.transformers_engine import TransformersEngine

    return TransformersEngine.of_trained(model, tokenizer, run.profile.engine.batch_tokens, run.profile.model.precision)
