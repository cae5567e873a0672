"""RL's rewards: the workload's scorer, and what replaces its failures."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import fmean

from components.methods.job import Job
from components.records import Completion, Example, Score, Trajectory
from components.scorers import Failures, Outcome, decided
from components.tasks import completion_of
from components.tracking import Tracker

FEW = 1_000  # completions; a single step has too few to tell an outage from a stray failure


def reward(job: Job, tracker: Tracker) -> Callable[[list[Example], list[str]], list[float]]:
    """The workload's scorer as a reward: a value in [0, 1] for each text."""
    rewards = completion_reward(job, tracker)

    def of_texts(examples: list[Example], texts: list[str]) -> list[float]:
        answers = [Completion.of_text(example.id, text) for example, text in zip(examples, texts, strict=True)]
        return rewards(examples, answers)

    return of_texts


def try_reward(job: Job, tracker: Tracker) -> Callable[[list[Example], list[Trajectory]], list[float]]:
    """The workload's scorer as a reward for tries: a value in [0, 1] for each."""
    rewards = completion_reward(job, tracker)
    return lambda examples, tries: rewards(examples, [completion_of(attempt) for attempt in tries])


def completion_reward(job: Job, tracker: Tracker) -> Callable[[Sequence[Example], Sequence[Completion]], list[float]]:
    """A reward in [0, 1] for each completion.

    The scorer's failures are logged as `RUNG/scorer_errors`; their share is taken of at least `FEW` completions.
    """
    failures = Failures(job.workload.scorer.max_failed_share, of_at_least=FEW)

    def rewards(examples: Sequence[Example], completions: Sequence[Completion]) -> list[float]:
        outcomes = job.outcomes(list(zip(examples, completions, strict=True)))
        if failures.add(outcomes):
            tracker.metrics({f"{job.rung}/scorer_errors": float(failures.failed)})
        return without_failures(examples, outcomes)

    return rewards


def without_failures(examples: Sequence[Example], outcomes: Sequence[Outcome]) -> list[float]:
    """The value of each outcome; a failure has the mean of its group's others, which gives it no advantage.

    Raises:
        ScorerError: All failed.
    """
    groups: dict[str, list[float]] = defaultdict(list)
    for example, outcome in zip(examples, outcomes, strict=True):
        if isinstance(outcome, Score):
            groups[example.id].append(outcome.value)
    if outcomes and not groups:
        decided(outcomes[0])
    # In a group that failed as a whole, any equal value gives no advantage.
    overall = fmean(value for values in groups.values() for value in values) if groups else 0.0
    means = {key: fmean(values) for key, values in groups.items()}
    return [
        outcome.value if isinstance(outcome, Score) else means.get(example.id, overall)
        for example, outcome in zip(examples, outcomes, strict=True)
    ]
