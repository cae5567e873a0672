"""Rewards by a judge: ranks within a group or marks by a rubric, after a gate, optionally mixed with the scorer.

An answer that fails the gate is worth 0, less than the worst that passes, and is not shown to the judge.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from components.errors import ScorerError
from components.evaluation.metrics import share_design, wilson
from components.methods.job import Job
from components.methods.rewards import FEW, without_failures
from components.records import Completion, Example, Interval, Preference, Score
from components.scorers import Failures, JsonSchemaScorer, Outcome
from components.scorers.judge import JudgeScorer
from components.scorers.ranking import RankingJudge
from components.tracking import Tracker

Gate = Literal["schema", "scorer"]
LEAST = 0.05  # the value of the lowest mark, above what fails a gate


@dataclass(frozen=True)
class Judging:
    """The judge, the gate before it, and the weight of the workload's scorer, in [0, 1)."""

    judge: RankingJudge | JudgeScorer
    gate: Gate
    scorer_weight: float = 0.0

    def outcomes(self, job: Job, examples: Sequence[Example], texts: Sequence[str]) -> list[Outcome]:
        """The reward of each answer; all answers to one example form a group."""
        answers = [Completion.of_text(example.id, text) for example, text in zip(examples, texts, strict=True)]
        pairs = list(zip(examples, answers, strict=True))
        scored = job.outcomes(pairs) if self.gate == "scorer" or self.scorer_weight else []
        schema = JsonSchemaScorer(job.workload.output)
        gates: list[Outcome] = scored if self.gate == "scorer" else [schema.score(*pair) for pair in pairs]
        passed = [at for at, outcome in enumerate(gates) if isinstance(outcome, Score) and outcome.passed]
        opinions = dict(zip(passed, self._opinions([pairs[at] for at in passed]), strict=True))
        return [
            self._together(opinions[at], scored[at] if self.scorer_weight else None)
            if at in opinions
            else gate if isinstance(gate, ScorerError) else Score(value=0.0, passed=False, reason="gate")
            for at, gate in enumerate(gates)
        ]  # fmt: skip

    def _opinions(self, pairs: Sequence[tuple[Example, Completion]]) -> list[Outcome]:
        """The judge's value of each answer, in (0, 1]."""
        if isinstance(self.judge, JudgeScorer):
            return [_above(outcome) for outcome in self.judge.score_many(pairs)]
        groups: dict[str, list[int]] = defaultdict(list)
        for at, (example, _) in enumerate(pairs):
            groups[example.id].append(at)
        ranked = self.judge.rank([(pairs[own[0]][0], [pairs[at][1].text for at in own]) for own in groups.values()])
        opinions: dict[int, Outcome] = {}
        for own, values in zip(groups.values(), ranked, strict=True):
            for k, at in enumerate(own):
                value = values if isinstance(values, ScorerError) else values[k]
                opinions[at] = value if isinstance(value, ScorerError) else Score(value=value, passed=value == 1.0)
        return [opinions[at] for at in range(len(pairs))]

    def _together(self, opinion: Outcome, scored: Outcome | None) -> Outcome:
        """The weighted mean of the judge's value and the scorer's."""
        if isinstance(opinion, ScorerError) or scored is None:
            return opinion
        if isinstance(scored, ScorerError):
            return scored
        value = (1 - self.scorer_weight) * opinion.value + self.scorer_weight * scored.value
        return opinion.model_copy(update={"value": value})


def _above(mark: Outcome) -> Outcome:
    if isinstance(mark, ScorerError):
        return mark
    return mark.model_copy(update={"value": LEAST + (1 - LEAST) * mark.value})


def reward_by(job: Job, by: Judging, tracker: Tracker) -> Callable[[list[Example], list[str]], list[float]]:
    """The reward function for RL; failures are counted as `RUNG/judge_errors` and give no answer an advantage."""
    failures = Failures(job.workload.scorer.max_failed_share, of_at_least=FEW)

    def rewards(examples: list[Example], texts: list[str]) -> list[float]:
        outcomes = by.outcomes(job, examples, texts)
        if failures.add(outcomes):
            tracker.metrics({f"{job.rung}/judge_errors": float(failures.failed)})
        return without_failures(examples, outcomes)

    return rewards


def agreement(judge: RankingJudge | JudgeScorer, pairs: Sequence[tuple[Example, Preference]]) -> tuple[Interval, int]:
    """How often the judge agrees with people, ties as half, with its 95 % interval; and the number of decided pairs.

    Pairs of one group are not independent: the interval is wider the more they agree.

    Raises:
        ScorerError: It decided on no pair.
    """
    if isinstance(judge, RankingJudge):
        ranked = judge.rank([(example, (preference.chosen, preference.rejected)) for example, preference in pairs])
        votes = [None if isinstance(places, ScorerError) else _preferred(*places) for places in ranked]
    else:
        asked = [
            (e, Completion.of_text(e.id, text))
            for e, preference in pairs
            for text in (preference.chosen, preference.rejected)
        ]
        marks = judge.score_many(asked)
        both = [(marks[at], marks[at + 1]) for at in range(0, len(marks), 2)]
        votes = [
            _preferred(a.value, b.value) if isinstance(a, Score) and isinstance(b, Score) else None for a, b in both
        ]
    decided = [(vote, example.group) for vote, (example, _) in zip(votes, pairs, strict=True) if vote is not None]
    if not decided:
        raise ScorerError(f"expected a judge that decides, found no verdict on {len(pairs):,} pairs")
    values, groups = np.array([vote for vote, _ in decided]), [group for _, group in decided]
    return wilson(float(values.sum()), len(values), design=share_design(values, groups)), len(values)


def _preferred(chosen: float, rejected: float) -> float:
    return 0.5 if chosen == rejected else float(chosen > rejected)
