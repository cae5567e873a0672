"""The decision: a challenger replaces the champion only if it is significantly better on the sealed split.

First everything is counted (`measure`), then it is judged by those numbers alone (`judge`), so that a kept decision
can be made again. Says why in sentences; loads, registers and deploys nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.errors import DataError
from components.evaluation import checks
from components.evaluation.checks import Check, Level
from components.evaluation.compare import (
    Scores,
    common,
    compare_slices,
    compare_values,
    level_of,
    slice_members,
    values,
)
from components.evaluation.looks import NO_CHAMPION
from components.evaluation.metrics import wilson
from components.evaluation.paired import sign_flip, tango_p_not_worse
from components.params import GateParams
from components.records import Comparison, GateNumbers, Verdict


@dataclass(frozen=True)
class Contender:
    """A rung on the sealed split: example id → score, how many of its answers the schema allows, what a call takes.

    `failed_cases` are the must-pass cases that it does not answer right.
    """

    name: str
    scores: Scores
    valid: int
    latency_ms_p95: float | None = None
    usd_per_1k_calls: float | None = None
    failed_cases: tuple[str, ...] = ()


Slices = Mapping[str, Mapping[str, str]]  # example id → slice → value


def measure(
    params: GateParams, challenger: Contender, champion: Contender | None, slices: Slices, seed: int
) -> GateNumbers:
    """Count everything that the gate decides by, on the examples that were scored for both.

    Raises:
        DataError: There are no sealed scores.
    """
    if not challenger.scores:
        raise DataError("expected at least one example for a proportion, found 0")
    before, after = common(champion.scores if champion else challenger.scores, challenger.scores)
    now = values(after, after, params.measure)
    alone = GateNumbers(
        n=len(now),
        validity=wilson(challenger.valid, len(challenger.scores)).value,
        level=level_of(now, params.measure),
        failed_cases=challenger.failed_cases,
        latency_ms_p95=challenger.latency_ms_p95,
        usd_per_1k_calls=challenger.usd_per_1k_calls,
    )
    if champion is None:
        return alone
    was, members = values(before, after, params.measure), slice_members(after, slices)
    return against(params, alone, (was, now), members, seed)


def against(
    params: GateParams,
    alone: GateNumbers,
    outcomes: tuple[NDArray[Any], NDArray[Any]],
    members: Mapping[str, NDArray[Any]],
    seed: int,
) -> GateNumbers:
    """A challenger's numbers with those of the comparison: `outcomes` are the champion's and its own on n examples."""
    was, now = outcomes
    versus = compare_values(was, now, seed, params.measure)
    return alone.model_copy(
        update={
            "champion_level": float(was.mean()),
            "versus": versus,
            "p_value": _p_value(params, versus, now - was, seed),
            "deviation": float(np.std(now - was)),
            "slices": compare_slices(was, now, members, seed, params.measure),
        }
    )


def judge(params: GateParams, names: tuple[str, str], numbers: GateNumbers, level: Level) -> Verdict:
    """The verdict that numbers lead to; `names` are the challenger's and the champion's."""
    challenger, champion = names
    found = [checks.enough_examples(params, numbers), *checks.bounds(params, numbers, challenger)]
    found += [_first(numbers, challenger)] if champion == NO_CHAMPION else checks.better(params, numbers, names, level)
    found += [*checks.slices(params, numbers), *checks.pinned_cases(numbers, challenger)]
    failed = [check for check in found if not check.passed]
    needed = [check.needed for check in failed if check.needed is not None]
    undecided = bool(failed) and len(needed) == len(failed)
    more = max(1, max(needed) - numbers.n) if undecided else 0
    return Verdict(
        champion=champion,
        challenger=challenger,
        decision="kept" if failed else "promoted",
        reasons=(*(check.reason for check in found), *([_asked(params, numbers, more)] if undecided else [])),
        undecided=undecided,
        more_examples=more,
        alpha=None if champion == NO_CHAMPION else level.alpha,
        look=level.look,
        numbers=numbers,
    )


def repeated(params: GateParams, verdict: Verdict) -> Verdict:
    """The verdict that a kept one's numbers lead to today.

    Raises:
        DataError: It was made before numbers were kept.
    """
    if verdict.numbers is None:
        raise DataError(f"expected the numbers of a decision, found none ({verdict.challenger})")
    level = Level(verdict.look, params.alpha if verdict.alpha is None else verdict.alpha)
    return judge(params, (verdict.challenger, verdict.champion), verdict.numbers, level)


def _first(numbers: GateNumbers, challenger: str) -> Check:
    found = numbers.level
    return Check(
        True,
        f"{challenger} is right on {found.value:.1%} (95 % interval {found.low:.1%} to {found.high:.1%}), "
        "and there is no champion to compare it with.",
    )


def _p_value(params: GateParams, versus: Comparison, change: NDArray[Any], seed: int) -> float:
    """Of the declared test; a one-sided one is doubled, so that every level is that of a two-sided test."""
    if params.test == "superiority":
        return versus.p_value
    if params.measure == "accuracy":
        return min(1.0, 2 * tango_p_not_worse(versus.fixed, versus.broken, len(change), params.margin))
    return min(1.0, 2 * sign_flip(change, seed, params.margin)[1])


def _asked(params: GateParams, numbers: GateNumbers, more: int) -> str:
    found = "a gain" if params.test == "superiority" else "a loss of less than"
    return (
        f"Undecided: {found} of {100 * params.margin:g} points would be found in {numbers.n + more:,} sealed examples "
        f"with a chance of {params.power:.0%}; that are {more:,} more."
    )
