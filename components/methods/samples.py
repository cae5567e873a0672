"""Scored samples of a model's own answers, for methods that learn from them.

Decides which prompts are sampled and how samples are cached, so that an interrupted run, or another rung that starts
from the same model, draws nothing twice.
"""

import hashlib
import random
from collections.abc import Sequence

from pydantic import Field

from components.methods.job import Job
from components.models import folder_digest
from components.params import Settings
from components.records import Completion, Example, Record, Score, read_jsonl, write_jsonl
from components.scorers import Failures

BATCH = 512  # prompts between two writes


class SamplingParams(Settings):
    """How answers are drawn from the model that a rung starts from."""

    sampled_prompts: int = Field(default=4000, ge=1, description="Train prompts, drawn by the seed.")
    generations: int = Field(default=4, ge=2, description="Answers to each prompt.")
    temperature: float = Field(default=1.0, gt=0)


class Sampled(Record):
    """One prompt's sampled answers, each with its score; None where the scorer failed.

    For an agent, `texts` are its tries as demonstrations.
    """

    example_id: str
    texts: tuple[str, ...]
    scores: tuple[Score | None, ...]

    @property
    def passed(self) -> tuple[str, ...]:
        """Distinct answers that pass, the most frequent first."""
        return self._distinct(passed=True)

    @property
    def failed(self) -> tuple[str, ...]:
        """Distinct answers that fail, the most frequent first."""
        return self._distinct(passed=False)

    def _distinct(self, *, passed: bool) -> tuple[str, ...]:
        texts = [text for text, score in zip(self.texts, self.scores, strict=True) if score and score.passed is passed]
        return tuple(sorted(dict.fromkeys(texts), key=lambda text: -texts.count(text)))


def scored_samples(job: Job, params: SamplingParams) -> list[Sampled]:
    """The starting model's answers to train prompts, scored by the workload's scorer, in a seeded order.

    Raises:
        EngineError: The model does not open.
        ScorerError: The scorer fails on more than `scorer.max_failed_share`.
    """
    asked = random.Random(job.seed).sample(list(job.tasks), min(params.sampled_prompts, len(job.tasks)))
    path = job.work.parent / f"samples-{_identity(job, params, asked)}.jsonl"
    done = read_jsonl(path, Sampled) if path.is_file() else []
    if len(done) == len(asked):
        return done
    opened, failures = job.open_model(job.model), Failures(job.workload.scorer.max_failed_share, of_at_least=BATCH)
    for start in range(len(done), len(asked), BATCH):
        part = asked[start : start + BATCH]
        drawn = opened.draw(part, job.seed, params.temperature, params.generations)
        pairs = [(example, answer) for example, answers in zip(part, drawn, strict=True) for answer in answers]
        outcomes = job.outcomes(pairs)
        failures.add(outcomes)
        scores = [outcome if isinstance(outcome, Score) else None for outcome in outcomes]
        done += [
            _sampled(example, answers, scores, at)
            for at, (example, answers) in enumerate(zip(part, drawn, strict=True))
        ]
        write_jsonl(path, done)
    return done


def _sampled(example: Example, answers: Sequence[Completion], scores: Sequence[Score | None], at: int) -> Sampled:
    own = scores[at * len(answers) : (at + 1) * len(answers)]
    return Sampled(example_id=example.id, texts=tuple(answer.given for answer in answers), scores=tuple(own))


def _identity(job: Job, params: SamplingParams, asked: Sequence[Example]) -> str:
    """A hash of all that samples and their scores depend on."""
    sampling = params.part(SamplingParams)
    parts = (
        sampling.model_dump_json(), folder_digest(job.model), job.prompt.version, str(job.seed),
        job.profile.engine.model_dump_json(), job.workload.scorer.model_dump_json(), str(job.workload.output),
        job.workload.agent.model_dump_json() if job.workload.agent else "",
        *(example.model_dump_json() for example in asked),
    )  # fmt: skip
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
