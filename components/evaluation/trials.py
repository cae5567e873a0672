"""pass^k and pass@k: whether an agent solves a task each time, or at least once, in k tries.

Trials of one task belong together: the estimate of each task counts once, and intervals are over tasks.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from math import comb
from statistics import fmean

import numpy as np

from components.errors import DataError
from components.evaluation.paired import mean_of
from components.records import Completion, Interval, Judged, Record, Trajectory, TrialShare, TriesResult

TOLERANCE = 1e-6  # of a reward from 1, as tau-bench counts successes


class Trials(Record):
    """All tries of a file: `undecided` have no reward, and say nothing."""

    tasks: int
    trials: int
    undecided: int
    by_k: tuple[TrialShare, ...]


def pass_by_k(trajectories: Iterable[Trajectory]) -> Trials:
    """The shares for each k up to the most trials of a task; a try is solved where its reward is 1.

    Raises:
        DataError: No try has a reward.
    """
    solved: dict[str, list[bool]] = defaultdict(list)
    undecided = 0
    for trajectory in trajectories:
        if trajectory.reward is None:
            undecided += 1
        else:
            solved[trajectory.example_id].append(abs(trajectory.reward - 1) <= TOLERANCE)
    if not solved:
        raise DataError("expected trajectories with rewards, found none that has one")
    outcomes = list(solved.values())
    trials = sum(map(len, outcomes))
    return Trials(tasks=len(outcomes), trials=trials, undecided=undecided, by_k=shares_by_k(outcomes))


def shares_by_k(outcomes: Sequence[Sequence[bool]]) -> tuple[TrialShare, ...]:
    """The shares for each k up to the most trials of a task; `outcomes` are those of each task's trials."""
    most = max(map(len, outcomes), default=0)
    return tuple(_share([passed for passed in outcomes if len(passed) >= k], k) for k in range(1, most + 1))


def tries_of(completions: Sequence[Completion], judged: Sequence[Judged]) -> TriesResult | None:
    """How an agent's tries went; None where answers are not tries. What no scorer decided is left out of pass^k."""
    tries = {answer.example_id: answer.trajectory for answer in completions if answer.trajectory is not None}
    if not tries:
        return None
    solved: dict[str, list[bool]] = defaultdict(list)
    for verdict in judged:
        if verdict.score is not None and verdict.example_id in tries:
            solved[tries[verdict.example_id].example_id].append(verdict.score.passed)
    made = list(tries.values())
    calls, invalid = sum(attempt.tool_calls for attempt in made), sum(attempt.invalid_calls for attempt in made)
    return TriesResult(
        tasks=len({attempt.example_id for attempt in made}),
        tries=len(made),
        by_k=shares_by_k(list(solved.values())),
        turns=fmean(attempt.turns for attempt in made),
        calls=fmean(attempt.tool_calls + attempt.invalid_calls for attempt in made),
        invalid_calls=invalid / (calls + invalid) if calls + invalid else 0.0,
        tool_errors=sum(attempt.tool_errors for attempt in made) / calls if calls else 0.0,
        stop_reasons=dict(Counter(attempt.stop_reason for attempt in made).most_common()),
    )


def _share(outcomes: Sequence[Sequence[bool]], k: int) -> TrialShare:
    every = [all_of(sum(attempts), len(attempts), k) for attempts in outcomes]
    some = [1 - all_of(len(attempts) - sum(attempts), len(attempts), k) for attempts in outcomes]
    return TrialShare(k=k, tasks=len(outcomes), every=over_tasks(every), some=over_tasks(some))


def all_of(c: int, n: int, k: int) -> float:
    """The chance that k of n trials, of which c have a property, all have it: C(c, k) / C(n, k), without bias."""
    return comb(c, k) / comb(n, k)


def over_tasks(values: Sequence[float]) -> Interval:
    """The mean of one value in [0, 1] a task, with the score interval for bounded means.

    It allows for tasks that are never solved and too rare to be among these.
    """
    return mean_of(np.array(values), ends=(0.0, 1.0))
