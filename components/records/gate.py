"""What the gate decides by, and what it decided."""

from typing import Literal

from components.records.record import Record
from components.records.results import Comparison, Interval


class SliceComparison(Comparison):
    """A challenger against the champion on the examples of one slice, named as `channel=chat`."""

    name: str
    n: int


class SliceFindings(Record):
    """What slices say to a gate, without saying which said it: how many there are, and how many speak against.

    `refused` tells whether one got significantly worse; `needed` how many examples would rule the losses out that are
    not yet, None where more do not help. `least` and `most` are the smallest losses that would have been seen with a
    chance of 80 %, on the slice that shows most and on the one that shows least; they hang on sizes alone.
    """

    n: int
    against: int = 0
    refused: int = 0
    needed: int | None = None
    least: float | None = None
    most: float | None = None


class GateNumbers(Record):
    """Everything that the gate decides by: a challenger on the sealed split, beside the champion where there is one.

    `level` is what the contenders are compared by, in [0, 1]: accuracy, or the mean score. `p_value` belongs to the
    test that was declared (two-sided, or twice a one-sided one), `deviation` is that of one example's difference.
    Answers that the scorer could not decide, `undecided` of them, count against the challenger; `best_delta` is the
    difference if they counted for it. `groups` says in how many groups the examples come, `valid_effect` is the design
    effect of validity, `sliced` sums the slices up. Until the split retires, a verdict has only what does not say how
    the contenders answered: shares in whole percent, and no level, difference or slice.
    """

    n: int
    validity: float
    valid: Interval | None = None
    valid_effect: float = 1.0
    groups: int | None = None
    undecided: int = 0
    best_delta: float | None = None
    level: Interval | None = None
    failed_cases: tuple[str, ...] = ()
    latency_ms_p95: float | None = None
    usd_per_1k_calls: float | None = None
    champion_level: float | None = None
    versus: Comparison | None = None
    p_value: float | None = None
    deviation: float | None = None
    slices: tuple[SliceComparison, ...] = ()
    sliced: SliceFindings | None = None


class Verdict(Record):
    """What the gate decided, and why.

    `alpha` is the level at which this comparison was tested: that of the `look` at the sealed split, corrected for the
    other comparisons of the climb. Where more examples could settle it, `more_examples` says how many.
    """

    champion: str
    challenger: str
    decision: Literal["promoted", "kept"]
    reasons: tuple[str, ...]
    undecided: bool = False
    more_examples: int = 0
    alpha: float | None = None
    look: int = 1
    numbers: GateNumbers | None = None
