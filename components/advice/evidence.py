"""What is known of a workload before a rung is advised: numbers with intervals, None where nobody measured them."""

from typing import Literal

from pydantic import Field

from components.advice.at_hand import AtHand, Feedback, Thin
from components.records import Interval, Makes, Need, Record

Training = Literal["imitate", "reward", "prompt_distillation"]


class Standing(Record):
    """The rung that stands: its accuracy on dev, an interval of 0 to 0 and no examples where there is none yet.

    `learnt_from` is what it was made of: demonstrations, a reward. `weights` says whether its model is one's own: that
    of an API answers, and nobody trains it.
    """

    name: str
    makes: Makes | None
    learnt_from: tuple[Need, ...] = ()
    accuracy: Interval
    n: int
    weights: bool = True

    @property
    def trained(self) -> bool:
        """Whether its weights have seen demonstrations."""
        return self.makes == "model"

    @property
    def imitates(self) -> bool:
        """Whether demonstrations are all that its weights have seen."""
        return self.trained and "reward" not in self.learnt_from


class Writing(Record):
    """Can the answer be written? `agreement` is how often a second answer to the same input passes beside the first.

    `demonstrations` is the share of dev demonstrations that are right; `errors` the share of dev examples that the
    standing rung gets wrong, `learnt_errors` the share that it gets wrong exactly as the demonstration has it;
    `audited_ceiling` is what perfect imitation would reach by the label audit's estimate.
    """

    examples: int
    agreement: Interval | None = None
    pairs: int = 0
    by_field: dict[str, float] = Field(default={})
    demonstrations: Interval | None = None
    audited_ceiling: float | None = None
    errors: Interval | None = None
    learnt_errors: Interval | None = None


class Scoring(Record):
    """Can an answer be scored? Rates of the scorer's errors, and where they were measured.

    `unseen` are the fields whose change the scorer does not notice; `failures` the share it could not decide on.
    """

    false_positives: Interval
    false_negatives: Interval
    n: int
    source: str
    reads_reference: bool
    unseen: tuple[str, ...] = ()
    failures: float = 0.0


class Headroom(Record):
    """What the standing rung can answer at times: pass@1, pass@k, and groups without variance.

    `gap` is what pass@k is above the rung's accuracy, on the same prompts where its answers to them are known.
    """

    k: int
    n: int
    pass_1: Interval
    pass_k: Interval
    gap: Interval
    zero_variance: Interval


class Learning(Record):
    """Trainings on subsets: (demonstrations, accuracy on dev), extrapolated to all of them and to twice as many."""

    points: tuple[tuple[int, Interval], ...]
    full: Interval
    doubled: Interval
    doubling: Interval


class Movement(Record):
    """Has the task moved? Total variation of labels between the earlier and the later half, and how sure that is."""

    field: str
    distance: float
    p_value: float
    span_years: float
    new_labels: tuple[str, ...] = ()

    def stable_years(self, most: float) -> float:
        """Years until the labels have moved by `most`, at the speed at which they did between the halves' middles."""
        if self.p_value >= 0.01 or self.distance <= 0:
            return float("inf")
        return self.span_years / 2 * most / self.distance


class Paying(Record):
    """Years until a trained rung pays back, None for never; `horizon_years` is within which it has to."""

    years: float | None
    low: float | None
    high: float | None
    likely: float
    investment_usd: float
    saved_usd_per_year: float
    horizon_years: float


class Evidence(Record):
    """Everything that is known; `watch` is what the watch over production said last, in words."""

    standing: Standing
    writing: Writing
    scoring: Scoring | None = None
    headroom: Headroom | None = None
    learning: Learning | None = None
    prompts: dict[str, Interval] = Field(default={})
    prompt_examples: int = 0
    movement: Movement | None = None
    watch: str = ""
    paying: dict[Training, Paying] = Field(default={})
    feedback: Feedback | None = None
    thin: tuple[Thin, ...] = ()
    at_hand: AtHand = AtHand()


def above(reached: Interval, stands: Interval) -> Interval:
    """An accuracy less another, the errors of both taken as independent."""
    below = ((reached.value - reached.low) ** 2 + (stands.high - stands.value) ** 2) ** 0.5
    over = ((reached.high - reached.value) ** 2 + (stands.value - stands.low) ** 2) ** 0.5
    value = reached.value - stands.value
    return Interval(value=value, low=value - below, high=value + over)
