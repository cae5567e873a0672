"""How a rung was made: what its method makes and needs, and how its reward was watched."""

import math
from itertools import filterfalse
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from components.records.answers import Usage
from components.records.record import Record

Makes = Literal["classifier", "prompt", "model"]
"""What a method makes, and so what answers: a fitted classifier, a prompt for a model, a model with its prompt."""


Need = Literal["demonstrations", "preferences", "reward", "teacher", "suspects", "novelty", "api"]
"""What a method must be given: right answers to imitate, pairs of a better and a worse answer, a scorer that can be
trusted, a stronger model, the suspects of the label audit, word of what some split has already, the profile's API for
prompts. A reward brings the certificate before it and the watch during it."""


class DivergedAnswer(Record):
    """An answer on dev that earned more and was worth less; pairs: the best earlier checkpoint's, the last's."""

    example_id: str
    before: str
    after: str
    reward: tuple[float, float]
    sealed: tuple[float, float]


class Divergence(Record):
    """Reward hacking: means on dev at `best_step` and at `step`, where training stopped.

    `p_value` is that of a falling sealed score (one-sided, paired), to be at most `limit`.
    """

    step: int
    best_step: int
    reward: tuple[float, float]
    sealed: tuple[float, float]
    p_value: float
    limit: float
    examples: tuple[DivergedAnswer, ...] = ()


class RewardWatch(Record):
    """How RL was watched by a sealed scorer; `failed` counts answers on which that could not decide."""

    looks: int
    examples: int
    failed: int = 0
    stopped: Divergence | None = None


def without_gaps(curves: Any) -> Any:
    """Curves without points that are not finite: JSON knows no NaN, and files of earlier versions have null for it."""
    if not isinstance(curves, dict):
        return curves
    given: dict[Any, Any] = curves
    kept = {name: list(filterfalse(_is_gap, own)) if isinstance(own, list) else own for name, own in given.items()}
    return {name: points for name, points in kept.items() if points != []}


def _is_gap(point: Any) -> bool:
    values: Any = point if isinstance(point, list | tuple) else ()
    return any(value is None or (isinstance(value, float) and not math.isfinite(value)) for value in values)


class Rung(Record):
    """The `result.json` in a rung's directory: what was made, from what, by which run.

    `starts_from` is the rung whose model or prompt it started from, None for the base model and for what starts from
    nothing; `compared_with` the rung or group that it challenges. `dev_score` and `dev_validity` are
    shares of `dev_examples`; a trained model's `seconds` include what was drawn or asked for it, and no scoring on dev;
    `paid_usd` went to APIs while it was made; `prompted` are tokens of answers by the profile's API for prompts that
    are not in it.
    """

    name: str
    method: str
    makes: Makes
    starts_from: str | None = None
    compared_with: str | None = None
    needs: tuple[Need, ...] = ()
    prompt: str | None = None
    params_hash: str
    data_hash: str
    seed: int
    git_commit: str
    seconds: float
    mlflow_run_id: str | None = None
    dev_score: float | None = None
    dev_validity: float | None = None
    dev_examples: int = 0
    curves: Annotated[dict[str, list[tuple[float, float]]], BeforeValidator(without_gaps)] = Field(default={})
    watch: RewardWatch | None = None
    paid_usd: float = 0.0
    prompted: Usage = Usage(input_tokens=0, output_tokens=0)
