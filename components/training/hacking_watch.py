"""The watch for reward hacking: does the policy learn the task, or the scorer's weaknesses (Goodhart's law)?

Decides when a rising reward is hacking: compared with the checkpoint that a second, sealed scorer found best so far,
the mean reward on dev is higher and the sealed score of the same answers is lower, by a paired test. Examples in one
group (a customer's, near-duplicates) change together and count as one. Pure functions of the answers; `dev` decides
when dev is answered and which weights are kept.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from components.params import HackingParams
from components.records import DivergedAnswer, Divergence, RewardWatch

if TYPE_CHECKING:
    import numpy as np

MOST_EXACT = 13  # changed groups up to which all signs are enumerated
RESAMPLES = 9_999  # for more groups; increased if so few could not reach the level
PER_LEVEL = 10  # expected draws beyond the level, at least, so that the p-value is precise there
ROUNDING = 1e-4  # of single-precision sums: a tie with the observed one counts as beyond
CHUNK = 1_024  # draws at once, to limit memory
CLEAR = 10 * PER_LEVEL  # draws beyond after which further draws cannot bring the p-value down to the level
LEAST_DECIDED = 0.5  # share of a look's sealed scores; fewer could be the highest by chance

Values = Sequence[float | None]


@dataclass(frozen=True)
class Look:
    """A checkpoint's answers to dev: the selection score, and each example's reward, sealed score and text.

    A value is None if the scorer could not decide. `ids` and `groups` name the examples and their groups, the same at
    each look of a training; without groups, each example is its own.
    """

    score: float
    trained: Values = ()
    sealed: Values = ()
    answers: Sequence[str] = ()
    ids: Sequence[str] = ()
    groups: Sequence[str] = ()


def entry(look: "Look | float") -> dict[str, Any]:
    """The log history's entry for a dev score, watched or not."""
    if not isinstance(look, Look):
        return {"dev_score": float(look)}
    numbers = {"dev_score": look.score, "trained_reward": _mean(look.trained), "sealed_score": _mean(look.sealed)}
    return {**{name: value for name, value in numbers.items() if value is not None}, "look": asdict(look)}


def looks(history: Iterable[Mapping[str, Any]]) -> list[tuple[int, Look]]:
    """(step, look) in a log history, in order."""
    return [(int(entry["step"]), Look(**entry["look"])) for entry in history if "look" in entry]


def best_sealed(seen: Sequence[tuple[int, Look]]) -> tuple[int, Look] | None:
    """The earliest look with the highest sealed score; None if in no look enough of them were decided."""
    known = [
        (mean, step, look)
        for step, look in seen
        if (mean := _mean(look.sealed)) is not None
        and sum(value is not None for value in look.sealed) >= LEAST_DECIDED * len(look.sealed)
    ]
    return max(known, key=lambda each: (each[0], -each[1]))[1:] if known else None


def p_fallen(earlier: Sequence[Values], now: Values, groups: Sequence[str] = (), level: float = 0.05) -> float:
    """The one-sided p-value of the hypothesis that values never fell, after looks that each spent `level`.

    A paired permutation test (Fisher 1935) of the largest studentised fall (maxT: Westfall and Young 1993): each
    group's differences from all earlier values change sign together, which corrects for comparing with the best earlier
    look. Signs are kept over all looks: the p-value is the share of draws in which some earlier look would have
    stopped, or this one shows as large a fall. It is compared with what all looks have spent; since neighbouring looks
    see mostly the same, that leaves each more than an equal part of the level (group-sequential: Lan and DeMets 1983).
    Exact for up to `MOST_EXACT` changed groups; otherwise with enough draws to reach `level`.
    """
    import numpy as np

    seen = [*earlier, now]
    falls = [_falls(seen[:at], seen[at], groups) for at in range(1, len(seen))]
    changed_G = np.any([falls_GE.any(axis=1) for falls_GE in falls], axis=0)
    if not falls[-1].any():
        return 1.0
    falls = [_studentised(falls_GE[changed_G]) for falls_GE in falls]
    observed, exact = float(falls[-1].sum(axis=0).max()) - ROUNDING, changed_G.sum() <= MOST_EXACT
    draws = None if exact else max(RESAMPLES, math.ceil(PER_LEVEL / level))
    if not exact and (p_value := _clearly_chance(falls[-1], observed, draws, level * len(falls))):
        return p_value
    signs = _signs(len(falls[-1]), draws)
    largest_BL = np.concatenate(
        [np.stack([(part @ look_GE).max(axis=1) for look_GE in falls], axis=1) for part in signs]
    )
    return _sequential(largest_BL, observed, level, 0 if exact else 1)


def _clearly_chance(falls_GE: "np.ndarray", observed: float, draws: int | None, spent: float) -> float | None:
    """A lower bound of the p-value, from as few draws of the last look as show that it is beyond what may be spent."""
    beyond = drawn = 0
    for signs_BG in _signs(len(falls_GE), draws):
        beyond += int(((signs_BG @ falls_GE).max(axis=1) >= observed).sum())
        drawn += len(signs_BG)
        if beyond >= CLEAR + spent * drawn:
            return (beyond + 1) / (drawn + 1)
    return None


def _sequential(largest_BL: "np.ndarray", observed: float, level: float, own: int) -> float:
    """The share of draws that an earlier look would have stopped, or whose last look reaches the observed fall.

    Each look stops as many draws as what is spent by then allows; draws tied at its limit go on. `own` counts the
    observed signs as a draw.
    """
    import numpy as np

    total = len(largest_BL) + own
    stopped_B = np.zeros(len(largest_BL), bool)
    for at, largest_B in enumerate(largest_BL[:, :-1].T, start=1):
        room = math.floor(level * at * total + ROUNDING) - own - int(stopped_B.sum())
        going_B = np.sort(largest_B[~stopped_B])[::-1]
        if 0 < room < len(going_B):
            stopped_B |= largest_B > going_B[room] + ROUNDING
    reached_B = stopped_B | (largest_BL[:, -1] >= observed)
    return (int(reached_B.sum()) + own) / total


def _studentised(falls_GE: "np.ndarray") -> "np.ndarray":
    """Falls over the root of their squares' sum, without looks from which nothing fell or rose."""
    import numpy as np

    moved_GE = falls_GE[:, falls_GE.any(axis=0)]
    if not moved_GE.size:
        return np.zeros((len(falls_GE), 1), np.float32)
    return (moved_GE / np.sqrt((moved_GE**2).sum(axis=0))).astype(np.float32)


def _falls(earlier: Sequence[Values], now: Values, groups: Sequence[str]) -> "np.ndarray":
    """The fall of each group's values from each earlier look, [groups, looks]; 0 if either is undecided."""
    import numpy as np

    was_NE, now_N1 = np.array(earlier, float).T, np.array(now, float)[:, None]
    fallen_NE = np.nan_to_num(was_NE - now_N1)
    if not len(groups):
        return fallen_NE
    names = np.unique(np.asarray(groups, dtype=object), return_inverse=True)[1]
    falls = np.zeros((int(names.max(initial=-1)) + 1, len(earlier)))
    np.add.at(falls, names, fallen_NE)
    return falls


def _signs(groups: int, draws: int | None) -> "Iterator[np.ndarray]":
    """Signs for groups in chunks of [draws, groups]: all of them, or `draws` random ones, the same on each call."""
    import numpy as np

    if draws is None:
        yield (1.0 - 2.0 * ((np.arange(2**groups)[:, None] >> np.arange(groups)) & 1)).astype(np.float32)
        return
    rng = np.random.default_rng(0)
    for start in range(0, draws, CHUNK):
        yield 1 - 2 * rng.integers(0, 2, (min(CHUNK, draws - start), groups), np.int8).astype(np.float32)


def divergence(seen: Sequence[tuple[int, Look]], planned: int, params: HackingParams) -> Divergence | None:
    """Hacking at the last look, compared with the best earlier one; None if there is no such look, or no hacking.

    Each of the `planned` looks except the first may spend an equal share of the level; the test itself corrects for
    comparing with the best earlier look. It can detect hacking however many looks are planned.
    """
    if not seen:
        return None
    step, now = seen[-1]
    earlier = best_sealed(seen[:-1])
    if earlier is None:
        return None
    best_step, best = earlier
    reward, sealed = _both(best.trained, now.trained), _both(best.sealed, now.sealed)
    if not reward or not sealed or _gain(reward) <= 0 or _gain(sealed) >= 0:
        return None
    level, tested = params.alpha / max(1, planned - 1), len(seen) - 1
    limit = min(params.alpha, level * tested)
    p_value = p_fallen([look.sealed for _, look in seen[:-1]], now.sealed, now.groups, level)
    if p_value > limit:
        return None
    return Divergence(
        step=step,
        best_step=best_step,
        reward=_means(reward),
        sealed=_means(sealed),
        p_value=p_value,
        limit=limit,
        examples=diverged(best, now)[: params.examples],
    )


def diverged(before: Look, after: Look) -> tuple[DivergedAnswer, ...]:
    """Answers whose reward did not fall but whose sealed score did, the largest divergence first."""
    rows = zip(after.ids, before.answers, after.answers, before.trained, after.trained, strict=True)
    answers = [
        DivergedAnswer(example_id=key, before=was, after=now, reward=(earned, earns), sealed=(worth, is_worth))
        for (key, was, now, earned, earns), worth, is_worth in zip(rows, before.sealed, after.sealed, strict=True)
        if earned is not None and earns is not None and worth is not None and is_worth is not None
        if earns >= earned and is_worth < worth
    ]
    return tuple(
        sorted(
            answers, key=lambda answer: (answer.sealed[1] - answer.sealed[0]) - (answer.reward[1] - answer.reward[0])
        )
    )


def watched(history: Sequence[Mapping[str, Any]]) -> RewardWatch | None:
    """The outcome of the watch, from a training's history; None if nothing was watched."""
    seen = looks(history)
    if not seen:
        return None
    return RewardWatch(
        looks=len(seen),
        examples=len(seen[0][1].ids),
        failed=sum(value is None for _, look in seen for value in look.sealed),
        stopped=stopped(history),
    )


def stopped(history: Iterable[Mapping[str, Any]]) -> Divergence | None:
    """The divergence that stopped a training, or None."""
    return next((Divergence.model_validate(entry["divergence"]) for entry in history if "divergence" in entry), None)


def _both(before: Values, after: Values) -> list[tuple[float, float]]:
    """The pairs of values that are decided in both looks."""
    return [(was, now) for was, now in zip(before, after, strict=True) if was is not None and now is not None]


def _gain(pairs: list[tuple[float, float]]) -> float:
    return sum(now - was for was, now in pairs) / len(pairs)


def _means(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    return sum(was for was, _ in pairs) / len(pairs), sum(now for _, now in pairs) / len(pairs)


def _mean(values: Values) -> float | None:
    decided = [value for value in values if value is not None]
    return sum(decided) / len(decided) if decided else None
