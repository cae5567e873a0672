"""What is at hand beside demonstrations and a scorer: feedback, examples shown, a teacher, thin slices, a judge."""

from typing import Literal

from pydantic import Field

from components.records import Interval, Record

Rung = Literal[
    "define", "prompt", "imitate", "reward", "label", "stay",
    "few_shot", "gepa", "relabel", "prompt_distillation", "teacher_answers", "on_policy_distillation", "weighted_sft",
    "pairs", "thumbs", "synthetic", "rejection_sampling", "judged_grpo",
]  # fmt: skip
"""What comes next. The first by what they need: demonstrations to imitate, or a reward; the others by their method."""


class Feedback(Record):
    """What people and production said: pairs, good and bad answers, scored logs, and whether those scored unevenly.

    `logged` is the mean score of logs, `leans` what the policy that advantage weights lean to would score by them,
    `effective` how many answers of its own they say as much as; `silent` says why logs cannot tell.
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
    """A model that may teach: its accuracy on `n` dev examples, and of how many inputs it could be asked.

    `weights` says whether they are here, with the pupil's vocabulary; `stands` whether it is what answers today.
    """

    name: str
    accuracy: Interval
    n: int
    inputs: int
    weights: bool = False
    stands: bool = False


class Thin(Record):
    """A slice that train has little of: its shares of train and dev, what is wrong there, and how far it is behind."""

    name: str
    train_share: float
    dev_share: float
    wrong: Interval
    behind: Interval


class JudgeTrial(Record):
    """A judge tried on people's pairs: how often it prefers what they do, and what it sees to be gained.

    `room` is the share of dev prompts, less those that lose, where it prefers the best of several drawn answers to what
    stands.
    """

    agreement: Interval
    pairs: int
    room: Interval


class Takes(Record):
    """What making a rung is expected to take."""

    seconds: float
    usd: float


class AtHand(Record):
    """What may be used.

    `reflects` says whether a model is there that could reword a prompt, `invents` whether something can make new
    examples of a slice; `takes` has what rungs would take, `ladders` the name of a ladder that has them.
    `usd_per_point` is what a point of accuracy is worth over the horizon, None where nobody said what an error costs.
    """

    shown: Shown | None = None
    reflects: bool = False
    teacher: Teacher | None = None
    invents: bool = False
    judge: JudgeTrial | None = None
    takes: dict[Rung, Takes] = Field(default={})
    ladders: dict[Rung, str] = Field(default={})
    usd_per_point: float | None = None
