"""What advice may use besides demonstrations and a scorer: feedback, shown examples, teachers, slices, a judge."""

from typing import Literal

from pydantic import Field

from components.records import Interval, Record

Rung = Literal[
    "define", "prompt", "imitate", "reward", "label", "stay",
    "few_shot", "gepa", "relabel", "prompt_distillation", "teacher_answers", "on_policy_distillation", "weighted_sft",
    "pairs", "thumbs", "synthetic", "rejection_sampling", "judged_grpo",
]  # fmt: skip
"""What may come next. The first are named by what they learn from or do, the others by their method."""


class Feedback(Record):
    """Feedback from people and production: pairs, good and bad answers, scored logs, and whether their scores differ.

    `logged` is the mean score of logs, `leans` the estimated score of the policy that advantage weights favour,
    `effective` the effective sample size of that estimate; `silent` says why logs are not informative.
    """

    pairs: int = 0
    good: int = 0
    bad: int = 0
    logs: int = 0
    uneven_logs: bool = False
    logged: Interval | None = None
    leans: Interval | None = None
    effective: float = 0.0
    silent: str = ""


class Shown(Record):
    """The best prompt with answered examples in it: its accuracy on `n` dev examples."""

    accuracy: Interval
    n: int


class Teacher(Record):
    """A model that may teach: its accuracy on `n` dev examples, and the number of inputs that it could answer.

    `weights` says whether they are available, with the pupil's vocabulary; `stands` whether the teacher answers today.
    """

    name: str
    accuracy: Interval
    n: int
    inputs: int
    weights: bool = False
    stands: bool = False


class Thin(Record):
    """A slice that train has little of: its shares of train and dev, its error rate, and how far it is behind."""

    name: str
    train_share: float
    dev_share: float
    wrong: Interval
    behind: Interval


class JudgeTrial(Record):
    """A judge tested on people's pairs: how often it agrees with them, and the possible gain that it sees.

    `room` is the share of dev prompts where it prefers the best of several drawn answers to the present one, less the
    share where it prefers the present one.
    """

    agreement: Interval
    pairs: int
    room: Interval


class Takes(Record):
    """What making a rung is expected to take."""

    seconds: float
    usd: float


class AtHand(Record):
    """What advice may use.

    `reflects` says whether there is a model that could reword a prompt, `invents` whether new examples of a slice can
    be made; `takes` has what rungs would take, `ladders` the name of a ladder that has them. `usd_per_point` is the
    value of a point of accuracy over the horizon, None if no cost of an error is declared.
    """

    shown: Shown | None = None
    reflects: bool = False
    teacher: Teacher | None = None
    invents: bool = False
    judge: JudgeTrial | None = None
    takes: dict[Rung, Takes] = Field(default={})
    ladders: dict[Rung, str] = Field(default={})
    usd_per_point: float | None = None
