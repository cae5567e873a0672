"""Whether a canary may become champion: not if it is worse, with confidence, than the champion beside it.

Decides by one-sided tests of the same stretch of production; who is asked, and when, is the release's business.
"""

from collections.abc import Callable, Sequence
from typing import Literal

from components.records import Observation, Record

MEASURES = 2  # validity and score: the level of each test is alpha over their number (Bonferroni)


class Judged(Record):
    """Promoted or withdrawn, and why."""

    decision: Literal["promoted", "withdrawn"]
    reasons: tuple[str, ...]


def judge(champion: Sequence[Observation], canary: Sequence[Observation], alpha: float) -> Judged:
    """Compare the shares of valid answers, and of right ones where scores are known (Fisher's exact test)."""
    checks = [
        _not_worse("valid", [one.valid for one in champion], [one.valid for one in canary], alpha),
        _not_worse("right", _right(champion), _right(canary), alpha),
    ]
    fine = all(passed for passed, _ in checks)
    return Judged(decision="promoted" if fine else "withdrawn", reasons=tuple(reason for _, reason in checks))


def _right(observations: Sequence[Observation]) -> list[bool]:
    return [one.score >= 1 for one in observations if one.score is not None]


def _not_worse(name: str, before: Sequence[bool], now: Sequence[bool], alpha: float) -> tuple[bool, str]:
    from scipy.stats import fisher_exact

    if not before or not now:
        return (
            True,
            f"Whether answers are {name} is known of {len(now)} of the canary's and {len(before)} of the champion's.",
        )
    count: Callable[[Sequence[bool]], list[int]] = lambda side: [sum(side), len(side) - sum(side)]  # noqa: E731
    p_value: float = fisher_exact([count(now), count(before)], alternative="less")[1]  # pyright: ignore[reportAssignmentType]
    passed = p_value >= alpha / MEASURES
    return passed, (
        f"{sum(now) / len(now):.1%} of {len(now)} answers of the canary are {name}, {sum(before) / len(before):.1%} of "
        f"{len(before)} of the champion: {'not ' if passed else ''}worse with confidence (p = {p_value:.2g})."
    )
