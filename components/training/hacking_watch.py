"""The watch over the reward: does the policy learn the task, or the scorer's weakness (Goodhart's law)?

Decides when a rising reward is called hacking: the mean reward on dev is above that of the best earlier checkpoint by
a second, sealed scorer, and the sealed score of the same answers has fallen, tested by pairs. Pure functions of what
was answered; when dev is answered, and which weights are kept, `dev` decides.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from components.params import HackingParams
from components.records import DivergedAnswer, Divergence, RewardWatch

RESAMPLES = 9_999

Values = Sequence[float | None]


@dataclass(frozen=True)
class Look:
    """Dev as one checkpoint answers it: the score that chooses, and by example the reward, the sealed score, the text.

    None where a scorer could not decide. `ids` are the examples', the same at each look of a training.
    """

    score: float
    trained: Values = ()
    sealed: Values = ()
    answers: Sequence[str] = ()
    ids: Sequence[str] = ()


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


def p_fallen(before: Values, after: Values) -> float:
    """The one-sided p-value that values of the same examples have not fallen: differences with random signs.

    A paired permutation test (Fisher 1935), exact up to some thirteen changed examples, by 9,999 draws beyond.
    """
    changed = [now - was for was, now in _both(before, after) if now != was]
    if not changed:
        return 1.0
    import numpy as np
    from scipy.stats import permutation_test

    found = permutation_test(  # a difference of zero changes no sum: scipy wants two values
        ([0.0, *changed],), np.sum, permutation_type="samples", alternative="less", n_resamples=RESAMPLES, rng=0
    )
    return float(found.pvalue)


def divergence(found: Sequence[tuple[int, Look]], planned: int, params: HackingParams) -> Divergence | None:
    """Hacking, as the last of the looks shows it against the best earlier one; None where it shows none.

    `planned` looks make planned·(planned − 1)/2 pairs of checkpoints; Bonferroni's correction holds over all of them,
    whichever of the earlier ones is the best.
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
    limit = params.alpha / max(1, planned * (planned - 1) // 2)
    p_value = p_fallen(best.sealed, now.sealed)
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
