"""The decision: a challenger replaces the champion only if it is significantly better on the sealed split.

First everything is counted (`measure`), then it is judged by those numbers alone (`judge`), so that a kept decision
can be made again. Says why in sentences; loads, registers and deploys nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.errors import DataError
from components.evaluation import checks, sealing
from components.evaluation.checks import Check, Level
from components.evaluation.clusters import codes_of
from components.evaluation.compare import (
    Layout,
    Measure,
    Scores,
    compare_slices,
    compare_values,
    groups_of,
    level_of,
    paired_design,
    slice_members,
)
from components.evaluation.looks import NO_CHAMPION, retires
from components.evaluation.metrics import share_design, wilson
from components.evaluation.paired import mean_p, tango_p_not_worse
from components.evaluation.slices import findings
from components.params import GateParams
from components.records import Comparison, GateNumbers, Verdict


@dataclass(frozen=True)
class Contender:
    """A rung on the sealed split: example id → score, which of its answers the schema allows, what a call takes.

    `undecided` maps example id → answer where the scorer could not decide; `invalid` names the examples whose answers
    are not valid. `failed_cases` are the must-pass cases that it does not answer right.
    """

    name: str
    scores: Scores
    latency_ms_p95: float | None = None
    usd_per_1k_calls: float | None = None
    failed_cases: tuple[str, ...] = ()
    undecided: Mapping[str, str] = field(default_factory=dict[str, str])
    invalid: frozenset[str] = frozenset()

    @property
    def answered(self) -> list[str]:
        """Ids of the examples that it answered, decided or not."""
        return [*self.scores, *self.undecided]

    def worth(self, keys: list[str], measure: Measure, undecided: float) -> NDArray[Any]:
        """What its answers are worth, an undecided one as much as is given."""
        return np.array([
            undecided if (score := self.scores.get(key)) is None
            else float(score.passed) if measure == "accuracy" else score.value
            for key in keys
        ])  # fmt: skip


Slices = Mapping[str, Mapping[str, str]]  # example id → slice → value


@dataclass(frozen=True)
class Split:
    """What is known of the sealed examples: their slices and groups by id, and the seed of draws."""

    slices: Slices = field(default_factory=dict[str, Mapping[str, str]])
    groups: Mapping[str, str] | None = None
    seed: int = 0


def measure(params: GateParams, challenger: Contender, champion: Contender | None, split: Split) -> GateNumbers:
    """Count everything that the gate decides by, on the examples that both answered.

    Undecided answers count against the challenger: its own as wrong, the champion's as right. Where both gave the same
    answer they are worth the same, whatever that is.

    Raises:
        DataError: The scorer decided none of the challenger's answers, or the two answered no example in common.
    """
    if not challenger.scores:
        raise DataError(
            f"expected sealed answers of {challenger.name} that the scorer decides, found none of "
            f"{len(challenger.answered):,}"
        )
    theirs = set(champion.answered if champion else challenger.answered)
    keys = [key for key in challenger.answered if key in theirs]
    if champion is not None and not keys:
        raise DataError(f"expected sealed examples that {challenger.name} and {champion.name} answered, found none")
    of_keys, now = groups_of(keys, split.groups), challenger.worth(keys, params.measure, 0.0)
    alone = _alone(params, challenger, now, of_keys, split)
    if champion is None:
        return alone.model_copy(update={"undecided": len(challenger.undecided)})
    was, best = _bounds(params, challenger, champion, keys)
    groups = None if of_keys is None else codes_of(of_keys)
    numbers = against(params, alone, (was, now), Layout(slice_members(keys, split.slices), split.seed, groups))
    doubtful = len(challenger.undecided.keys() | champion.undecided.keys())
    return numbers.model_copy(update={"undecided": doubtful, "best_delta": best if doubtful else None})


def _alone(
    params: GateParams, challenger: Contender, now: NDArray[Any], groups: list[str] | None, split: Split
) -> GateNumbers:
    """What is counted of a challenger by itself: validity on all that it answered, the rest where both did."""
    obeys = np.array([float(key not in challenger.invalid) for key in challenger.answered])
    of_all = share_design(obeys, groups_of(challenger.answered, split.groups))
    valid = wilson(float(obeys.sum()), len(obeys), design=of_all)
    return GateNumbers(
        n=len(now),
        validity=valid.value,
        valid=valid,
        valid_effect=of_all.effect,
        groups=None if groups is None else len(set(groups)),
        level=level_of(now, params.measure, groups),
        failed_cases=challenger.failed_cases,
        latency_ms_p95=challenger.latency_ms_p95,
        usd_per_1k_calls=challenger.usd_per_1k_calls,
    )


def _bounds(
    params: GateParams, challenger: Contender, champion: Contender, keys: list[str]
) -> tuple[NDArray[Any], float]:
    """The champion's worth where undecided answers count for it, and the difference where they count against it."""
    # Two empty answers may be calls that failed, which are not the same.
    same = np.array([
        bool(text := challenger.undecided.get(key)) and text == champion.undecided.get(key) for key in keys
    ])  # fmt: skip
    was = np.where(same, 0.0, champion.worth(keys, params.measure, 1.0))
    least = champion.worth(keys, params.measure, 0.0)
    most = np.where(same, 0.0, challenger.worth(keys, params.measure, 1.0))
    return was, float((most - least).mean())


def against(
    params: GateParams, alone: GateNumbers, outcomes: tuple[NDArray[Any], NDArray[Any]], layout: Layout
) -> GateNumbers:
    """A challenger's numbers with those of the comparison: `outcomes` are the champion's and its own on n examples."""
    (was, now), groups = outcomes, layout.groups
    versus = compare_values(was, now, layout.seed, params.measure, groups)
    numbers = alone.model_copy(
        update={
            "groups": alone.groups if groups is None else len(np.unique(groups)),
            "champion_level": float(was.mean()),
            "versus": versus,
            "p_value": _p_value(params, versus, now - was, layout),
            "deviation": float(np.std(now - was)),
            "slices": compare_slices(was, now, layout, params.measure),
        }
    )
    return numbers.model_copy(update={"sliced": findings(params, numbers)})


def judge(params: GateParams, names: tuple[str, str], numbers: GateNumbers, level: Level) -> Verdict:
    """The verdict that numbers lead to; `names` are the challenger's and the champion's."""
    challenger, champion = names
    tried = (
        _told(params, numbers, names, level) if retires(params, level.look) else _sealed(params, numbers, names, level)
    )
    tried = [checks.enough_examples(params, numbers), *tried, *checks.pinned_cases(numbers, challenger)]
    failed = [check for check in tried if not check.passed]
    needed = [check.needed for check in failed if check.needed is not None]
    undecided = bool(failed) and len(needed) == len(failed)
    more = max(1, max(needed) - numbers.n) if undecided else 0
    return Verdict(
        champion=champion,
        challenger=challenger,
        decision="kept" if failed else "promoted",
        reasons=(*(check.reason for check in tried), *([_asked(params, numbers, more)] if undecided else [])),
        undecided=undecided,
        more_examples=more,
        alpha=None if champion == NO_CHAMPION else level.alpha,
        look=level.look,
        numbers=numbers if retires(params, level.look) else sealing.sealed(numbers),
    )


def _told(params: GateParams, numbers: GateNumbers, names: tuple[str, str], level: Level) -> list[Check]:
    """The conditions with all numbers, for a split that retires."""
    challenger, champion = names
    tried = checks.bounds(params, numbers, challenger)
    tried += [_first(numbers, challenger)] if champion == NO_CHAMPION else checks.better(params, numbers, names, level)
    return [*tried, *checks.slices(params, numbers, challenger)]


def _sealed(params: GateParams, numbers: GateNumbers, names: tuple[str, str], level: Level) -> list[Check]:
    """The conditions with what a split that is still in use may tell."""
    challenger, champion = names
    alone = champion == NO_CHAMPION
    tried = [sealing.first(challenger)] if alone else sealing.better(params, numbers, names, level)
    proven = all(check.passed for check in tried)
    tried += sealing.slices(params, numbers, challenger, proven=proven)
    return [*sealing.bounds(params, numbers, challenger), *tried]


def repeated(params: GateParams, verdict: Verdict, numbers: GateNumbers | None) -> Verdict:
    """The verdict that a kept one's complete numbers lead to today.

    Raises:
        DataError: It was made before numbers were kept, or only what may be told of them is at hand.
    """
    if numbers is None or numbers.level is None:
        raise DataError(f"expected the complete numbers of a decision, found none ({verdict.challenger})")
    level = Level(verdict.look, params.alpha if verdict.alpha is None else verdict.alpha)
    return judge(params, (verdict.challenger, verdict.champion), numbers, level)


def _first(numbers: GateNumbers, challenger: str) -> Check:
    level = numbers.level
    assert level is not None
    return Check(
        True,
        f"{challenger} is right on {level.value:.1%} (95 % interval {level.low:.1%} to {level.high:.1%}), "
        "and there is no champion to compare it with.",
    )


def _p_value(params: GateParams, versus: Comparison, change: NDArray[Any], layout: Layout) -> float:
    """Of the declared test; a one-sided one is doubled, so that every level is that of a two-sided test."""
    if params.test == "superiority":
        return versus.p_value
    if params.measure == "accuracy":
        of_groups = paired_design(change, layout.groups)
        return min(1.0, 2 * tango_p_not_worse(versus.fixed, versus.broken, len(change), params.margin, of_groups))
    return min(1.0, 2 * mean_p(change, layout.groups, layout.seed, params.margin)[1])


def _asked(params: GateParams, numbers: GateNumbers, more: int) -> str:
    aim = "a gain of" if params.test == "superiority" else "a loss of less than"
    return (
        f"Undecided: {aim} {100 * params.margin:g} points would be found in {numbers.n + more:,} sealed examples "
        f"with a chance of {params.power:.0%}; that are {more:,} more."
    )
