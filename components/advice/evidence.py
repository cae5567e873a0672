"""The evidence about a workload for the advice: numbers with intervals, None where they were not measured."""

from typing import Literal

from pydantic import Field

from components.advice.at_hand import AtHand, Feedback, Thin
from components.economics import Case, payback_years
from components.records import Interval, Makes, Need, Record

Training = Literal["imitate", "reward", "prompt_distillation"]


class Standing(Record):
    """The rung that stands: its accuracy on dev, 0 with no examples if there is none yet.

    `learnt_from` are the needs of its method, such as demonstrations or a reward. `weights` says whether its model is
    owned: an API's model cannot be trained.
    """

    name: str
    makes: Makes | None
    learnt_from: tuple[Need, ...] = ()
    accuracy: Interval
    n: int
    weights: bool = True

    @property
    def trained(self) -> bool:
        """Whether it is a trained model."""
        return self.makes == "model"

    @property
    def imitates(self) -> bool:
        """Whether it was trained without a reward."""
        return self.trained and "reward" not in self.learnt_from


class Writing(Record):
    """Can the answer be written? `agreement` is how often a second answer to the same input agrees with the first.

    `demonstrations` is the share of dev demonstrations that are right; `errors` the share of dev examples that the
    standing rung gets wrong, `learnt_errors` the share where it repeats the demonstration's error; `audited_ceiling` is
    the accuracy of perfect imitation, as the label audit estimates it.
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
    """Can an answer be scored? The scorer's error rates, and where they were measured.

    `unseen` are the fields whose change the scorer does not notice; `failures` is the share that it failed on.
    """

    false_positives: Interval
    false_negatives: Interval
    n: int
    source: str
    reads_reference: bool
    unseen: tuple[str, ...] = ()
    failures: float = 0.0


class Headroom(Record):
    """What the standing rung answers right sometimes: pass@1, pass@k, and the share of groups without variance.

    `gap` is pass@k less the rung's accuracy, on the same prompts if its answers to them are known.
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
    """Has the task moved? The total variation of labels between the earlier and the later half, with its p-value."""

    field: str
    distance: float
    p_value: float
    span_years: float
    new_labels: tuple[str, ...] = ()

    def stable_years(self, most: float) -> float:
        """Years until the labels will have moved by `most`, at the speed between the middles of the two halves."""
        if self.p_value >= 0.01 or self.distance <= 0:
            return float("inf")
        return self.span_years / 2 * most / self.distance


class Paying(Record):
    """Years until a trained rung pays back by the prices alone, None for never; it has to within `horizon_years`.

    `case` has the numbers of the `economics.Case` that this follows from; earlier versions did not keep them.
    """

    years: float | None
    low: float | None
    high: float | None
    likely: float
    investment_usd: float
    saved_usd_per_year: float
    horizon_years: float
    case: dict[str, float] = Field(default={})

    def gained_usd_per_year(self, gain: float) -> float:
        """What a gain in accuracy saves a year, at today's traffic; 0 where errors cost nothing."""
        return gain * self.case.get("usd_per_error", 0.0) * self.case.get("calls_per_year", 0.0)

    def paid_back(self, gain: float) -> float | None:
        """Years until a rung with this gain in accuracy pays back, None for never; without costs of errors `years`."""
        if not self.case.get("usd_per_error"):
            return self.years
        years = float(payback_years(Case(**self.case).changed(incumbent_error=gain, owned_error=0.0)))
        return None if years == float("inf") else years


class Evidence(Record):
    """All evidence; `watch` is the latest result of the watch over production, in words."""

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
    """The difference of two accuracies, with independent errors."""
    below = ((reached.value - reached.low) ** 2 + (stands.high - stands.value) ** 2) ** 0.5
    over = ((reached.high - reached.value) ** 2 + (stands.value - stands.low) ** 2) ** 0.5
    value = reached.value - stands.value
    return Interval(value=value, low=value - below, high=value + over)
