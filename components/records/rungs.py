"""How a rung was made: what its method makes and needs, and how its reward was watched."""

from typing import Literal

from pydantic import Field

from components.records.record import Record

Makes = Literal["classifier", "prompt", "model"]
"""What a method makes, and so what answers: a fitted classifier, a prompt for a model, a model with its prompt."""


Need = Literal["demonstrations", "preferences", "reward", "teacher", "suspects", "novelty"]
"""What a method must be given: right answers to imitate, pairs of a better and a worse answer, a scorer that can be
trusted, a stronger model, the suspects of the label audit, word of what some split has already. A reward brings the
certificate before it and the watch during it."""


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


class Rung(Record):
    """The `result.json` in a rung's directory: what was made, from what, by which run.

    `starts_from` is the rung whose model or prompt it started from, None for the base model and for what starts from
    nothing; `compared_with` the rung or group that it challenges. `dev_score` and `dev_validity` are
    shares of `dev_examples`; `paid_usd` went to APIs while it was made.
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
    curves: dict[str, list[tuple[float, float]]] = Field(default={})
    watch: RewardWatch | None = None
    paid_usd: float = 0.0
