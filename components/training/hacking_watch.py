"""The watch over the reward: does the policy learn the task, or the scorer's weakness (Goodhart's law)?

Decides when a rising reward is called hacking: the mean reward on dev is above that of the best earlier checkpoint by
a second, sealed scorer, and the sealed score of the same answers has fallen, tested by pairs. Examples of one group
(a customer's, near-duplicates) change together, and count as one. Pure functions of what was answered; when dev is
answered, and which weights are kept, `dev` decides.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from components.params import HackingParams
from components.records import DivergedAnswer, Divergence, RewardWatch

if TYPE_CHECKING:
    import numpy as np

MOST_EXACT = 13  # groups that changed, up to which all signs are tried
RESAMPLES = 9_999  # beyond; more where so few could not reach the level
PER_LEVEL = 10  # draws that lie beyond a level by chance, at least, so that it is reached by more than luck
ROUNDING = 1e-4  # of sums in single precision: one that ties with what was observed counts as beyond
CHUNK = 1_024  # draws at once: memory
CLEAR = 10 * PER_LEVEL  # draws beyond, after which no further ones can bring the p-value down to the level

Values = Sequence[float | None]


@dataclass(frozen=True)
class Look:
    """Dev as one checkpoint answers it: the score that chooses, and by example the reward, the sealed score, the text.

    None where a scorer could not decide. `ids` are the examples' and `groups` those of their groups, the same at each
    look of a training; without groups each example is its own.
    """

    score: float
    trained: Values = ()
    sealed: Values = ()
    answers: Sequence[str] = ()
    ids: Sequence[str] = ()
    groups: Sequence[str] = ()


def entry(look: "Look | float") -> dict[str, Any]:
    """What a trainer's log history keeps of a dev score, watched or not."""
    if not isinstance(look, Look):
        return {"dev_score": float(look)}
    numbers = {"dev_score": look.score, "trained_reward": _mean(look.trained), "sealed_score": _mean(look.sealed)}
    return {**{name: value for name, value in numbers.items() if value is not None}, "look": asdict(look)}


def looks(history: Iterable[Mapping[str, Any]]) -> list[tuple[int, Look]]:
    """(step, look) in a log history, in order."""
    return [(int(found["step"]), Look(**found["look"])) for found in history if "look" in found]


def best_sealed(found: Sequence[tuple[int, Look]]) -> tuple[int, Look] | None:
    """The earliest of the looks with the highest sealed score, None where there is no look."""
    return max(found, key=lambda one: (_mean(one[1].sealed) or 0.0, -one[0]), default=None)


def p_fallen(earlier: Sequence[Values], now: Values, groups: Sequence[str] = (), level: float = 0.05) -> float:
    """The one-sided p-value that values have not fallen from any of the earlier ones: the same examples, random signs.

    A paired permutation test (Fisher 1935) of the largest studentised fall (maxT: Westfall and Young 1993): each
    group's differences from all earlier values change their sign together, so that the choice of the best earlier look
    is paid for. Exact up to `MOST_EXACT` groups that changed; beyond by enough draws to reach `level`.
    """
    import numpy as np

    falls_GE = _falls(earlier, now, groups)
    falls_GE = falls_GE[:, falls_GE.any(axis=0)]
    falls_GE = falls_GE[falls_GE.any(axis=1)]
    if not falls_GE.size:
        return 1.0
    falls_GE = (falls_GE / np.sqrt((falls_GE**2).sum(axis=0))).astype(np.float32)
    observed, beyond, drawn = falls_GE.sum(axis=0).max() - ROUNDING, 0, 0
    exact = len(falls_GE) <= MOST_EXACT
    for signs_BG in _signs(len(falls_GE), None if exact else max(RESAMPLES, math.ceil(PER_LEVEL / level))):
        beyond += int(((signs_BG @ falls_GE).max(axis=1) >= observed).sum())
        drawn += len(signs_BG)
        if not exact and beyond >= CLEAR + level * drawn:
            break
    return beyond / drawn if exact else (beyond + 1) / (drawn + 1)


def _falls(earlier: Sequence[Values], now: Values, groups: Sequence[str]) -> "np.ndarray":
    """By how much each group's values fell from each earlier look, [groups, looks]; 0 where either is undecided."""
    import numpy as np

    was_NE, now_N1 = np.array(earlier, float).T, np.array(now, float)[:, None]
    names = np.unique(groups, return_inverse=True)[1] if len(groups) else np.arange(len(now))
    found = np.zeros((int(names.max(initial=-1)) + 1, len(earlier)))
    np.add.at(found, names, np.nan_to_num(was_NE - now_N1))
    return found


def _signs(groups: int, draws: int | None) -> "Iterator[np.ndarray]":
    """Signs for groups, [draws, groups], piece by piece: all there are, or so many at random, the same at each call."""
    import numpy as np

    if draws is None:
        yield (1.0 - 2.0 * ((np.arange(2**groups)[:, None] >> np.arange(groups)) & 1)).astype(np.float32)
        return
    rng = np.random.default_rng(0)
    for start in range(0, draws, CHUNK):
        yield 1 - 2 * rng.integers(0, 2, (min(CHUNK, draws - start), groups), np.int8).astype(np.float32)


def divergence(found: Sequence[tuple[int, Look]], planned: int, params: HackingParams) -> Divergence | None:
    """Hacking, as the last of the looks shows it against the best earlier one; None where it shows none.

    Of `planned` looks all but the first may show it, each at an equal part of the level; that the best of the earlier
    looks is the one compared with, the test accounts for. It can show it however many looks are planned.
    """
    if len(found) < 2:
        return None
    step, now = found[-1]
    earlier = best_sealed(found[:-1])
    assert earlier is not None  # there is one
    best_step, best = earlier
    reward, sealed = _both(best.trained, now.trained), _both(best.sealed, now.sealed)
    if not reward or not sealed or _gain(reward) <= 0 or _gain(sealed) >= 0:
        return None
    limit = params.alpha / max(1, planned - 1)
    p_value = p_fallen([look.sealed for _, look in found[:-1]], now.sealed, now.groups, limit)
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
    """Answers that earn more and are worth less, those that part furthest first."""
    rows = zip(after.ids, before.answers, after.answers, before.trained, after.trained, strict=True)
    found = [
        DivergedAnswer(example_id=key, before=was, after=now, reward=(earned, earns), sealed=(worth, is_worth))
        for (key, was, now, earned, earns), worth, is_worth in zip(rows, before.sealed, after.sealed, strict=True)
        if earned is not None and earns is not None and worth is not None and is_worth is not None
        if earns >= earned and is_worth < worth
    ]
    return tuple(sorted(found, key=lambda one: (one.sealed[1] - one.sealed[0]) - (one.reward[1] - one.reward[0])))


def watched(history: Sequence[Mapping[str, Any]]) -> RewardWatch | None:
    """How the watch went, from a training's history; None where nothing was watched."""
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
    """The divergence that ended a training, None where none did."""
    return next((Divergence.model_validate(found["divergence"]) for found in history if "divergence" in found), None)


def _both(before: Values, after: Values) -> list[tuple[float, float]]:
    """The pairs that both looks could decide."""
    return [(was, now) for was, now in zip(before, after, strict=True) if was is not None and now is not None]


def _gain(pairs: list[tuple[float, float]]) -> float:
    return sum(now - was for was, now in pairs) / len(pairs)


def _means(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    return sum(was for was, _ in pairs) / len(pairs), sum(now for _, now in pairs) / len(pairs)


def _mean(values: Values) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
