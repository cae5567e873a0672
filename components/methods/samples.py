"""Scored samples of a model's own answers, for methods that learn from them.

Decides which prompts are sampled and how samples are cached, so that an interrupted run, another process of the same
training, or another rung that starts from the same model draws nothing twice.
"""

import hashlib
import logging
import random
import sys
import time
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from components.methods.job import Job
from components.models import folder_digest
from components.params import Settings
from components.records import Completion, Example, Record, Score, read_jsonl, write_jsonl
from components.scorers import Failures
from components.scorers.scored_by import scored_by
from components.tasks import demonstrated, under
from components.training.launch import once

BATCH = 512  # prompts between two writes
log = logging.getLogger(__name__)


class SamplingParams(Settings):
    """How answers are drawn from the model that a rung starts from."""

    sampled_prompts: int = Field(default=4000, ge=1, description="Train prompts, drawn by the seed.")
    generations: int = Field(default=4, ge=2, description="Answers to each prompt.")
    temperature: float = Field(default=1.0, gt=0)


class Sampled(Record):
    """One prompt's sampled answers, each with why it ended and its score; None where the scorer failed.

    For an agent, `texts` are its tries as demonstrations. `seconds` are its share of the time that drawing and scoring
    took. `asked_by` is a hash of how the scorer, servers included, was asked.
    """

    example_id: str
    texts: tuple[str, ...]
    finish_reasons: tuple[Literal["stop", "length", "error"], ...]
    scores: tuple[Score | None, ...]
    seconds: float = 0.0
    asked_by: str = ""

    @property
    def passed(self) -> tuple[str, ...]:
        """Distinct answers that ended and pass, the most frequent first."""
        return self._distinct("stop", passed=True)

    @property
    def failed(self) -> tuple[str, ...]:
        """Distinct answers that ended and fail, the most frequent first."""
        return self._distinct("stop", passed=False)

    @property
    def cut(self) -> tuple[str, ...]:
        """Distinct beginnings of answers that were cut at the limit of tokens and fail, the most frequent first."""
        return tuple(filter(None, self._distinct("length", passed=False)))

    def _distinct(self, reason: str, *, passed: bool) -> tuple[str, ...]:
        answers = zip(self.texts, self.finish_reasons, self.scores, strict=True)
        texts = [text for text, ended, score in answers if ended == reason and score and score.passed is passed]
        return tuple(sorted(dict.fromkeys(texts), key=lambda text: -texts.count(text)))


def scored_samples(job: Job, params: SamplingParams) -> list[Sampled]:
    """The starting model's answers to train prompts, scored by the workload's scorer, in a seeded order.

    Raises:
        EngineError: The model does not open.
        ScorerError: The scorer fails on more than `scorer.max_failed_share`.
    """
    return once(lambda: _scored_samples(job, params))


def drawing_seconds(sampled: Sequence[Sampled]) -> float:
    """How long drawing and scoring samples took, whoever drew them."""
    return sum(prompt.seconds for prompt in sampled)


def fitting(job: Job, examples: Sequence[Example], max_tokens: int) -> list[Example]:
    """The examples that have, with a demonstration that a model drew, at most `max_tokens` tokens; logs the others.

    Data that is too long is for its owner to mend, and refused; of answers there are others.
    """
    from transformers import AutoTokenizer

    from components.training.encode import encode_examples, encode_trajectories

    if not examples:
        return []
    tokenizer = AutoTokenizer.from_pretrained(job.model)
    if job.workload.agent is None:
        encoded = encode_examples(tokenizer, job.prompt, examples, sys.maxsize)
    else:
        tries = [under(job.prompt.messages(example), demonstrated(example)) for example in examples]
        encoded = encode_trajectories(tokenizer, tries, sys.maxsize)
    kept = [example for example, row in zip(examples, encoded, strict=True) if len(row.input_ids) <= max_tokens]
    if long := len(examples) - len(kept):
        log.info(
            "%s: %s of %s answers have more than %s tokens (max_tokens) and are left out.",
            job.rung, f"{long:,}", f"{len(examples):,}", f"{max_tokens:,}",
        )  # fmt: skip
    return kept


def short_enough(job: Job, answers: Sequence[tuple[Example, str]], max_tokens: int | None) -> list[bool]:
    """Whether each answer has, with its prompt, at most `max_tokens` tokens; None: no limit. Logs the others."""
    if max_tokens is None:
        return [True] * len(answers)
    asked = [
        example.model_copy(update={"id": str(at), "demonstration": text}) for at, (example, text) in enumerate(answers)
    ]
    kept = {example.id for example in fitting(job, asked, max_tokens)}
    return [example.id in kept for example in asked]


def _scored_samples(job: Job, params: SamplingParams) -> list[Sampled]:
    """As `scored_samples`; a prompt with an undecided answer is drawn again where its scorer is asked otherwise now."""
    asked = random.Random(job.seed).sample(list(job.tasks), min(params.sampled_prompts, len(job.tasks)))
    path = job.work.parent / f"samples-{_identity(job, params, asked)}.jsonl"
    on_file = read_jsonl(path, Sampled) if path.is_file() else []
    asked_by = scored_by(job.workload, job.workload.scorer)
    done = {each.example_id: each for each in on_file if None not in each.scores or each.asked_by == asked_by}
    waiting = [example for example in asked if example.id not in done]
    if not waiting:
        return [done[example.id] for example in asked]
    opened, failures = job.open_model(job.model), Failures(job.workload.scorer.max_failed_share, of_at_least=BATCH)
    kept = [score for each in done.values() for score in each.scores]
    failures.judged, failures.failed = len(kept), kept.count(None)
    for start in range(0, len(waiting), BATCH):
        part, started = waiting[start : start + BATCH], time.monotonic()
        drawn = opened.draw(part, job.seed, params.temperature, params.generations)
        pairs = [(example, answer) for example, answers in zip(part, drawn, strict=True) for answer in answers]
        outcomes = job.outcomes(pairs)
        failures.add(outcomes)
        scores = [outcome if isinstance(outcome, Score) else None for outcome in outcomes]
        seconds = (time.monotonic() - started) / len(part)
        done |= {
            example.id: _sampled(
                example, answers, scores[at * len(answers) : (at + 1) * len(answers)], seconds, asked_by
            )
            for at, (example, answers) in enumerate(zip(part, drawn, strict=True))
        }
        write_jsonl(path, [done[example.id] for example in asked if example.id in done])
    return [done[example.id] for example in asked]


def _sampled(
    example: Example, answers: Sequence[Completion], scores: Sequence[Score | None], seconds: float, asked_by: str
) -> Sampled:
    return Sampled(
        example_id=example.id,
        texts=tuple(answer.given for answer in answers),
        finish_reasons=tuple(answer.finish_reason for answer in answers),
        scores=tuple(scores),
        seconds=seconds,
        asked_by=asked_by,
    )


def _identity(job: Job, params: SamplingParams, asked: Sequence[Example]) -> str:
    """A hash of all that samples and their scores depend on, and of what is kept of them."""
    sampling = params.part(SamplingParams)
    parts = (
        sampling.model_dump_json(), folder_digest(job.model), job.prompt.version, str(job.seed),
        job.profile.engine.model_dump_json(), job.profile.model.precision,
        str(job.prompt.name in job.workload.constrained), job.verdicts_by(job.workload.scorer),
        *Sampled.model_fields, *(example.model_dump_json() for example in asked),
    )  # fmt: skip
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
