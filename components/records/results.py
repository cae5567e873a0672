"""How good a rung is on the test split, and what it costs."""

from pydantic import Field

from components.records.record import Record
from components.records.rungs import Makes, Need


class Interval(Record):
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float


class Comparison(Record):
    """A rung against its parent on the same examples; `fixed` and `broken` count examples that changed sides.

    `effect` is the design effect of examples in groups: n of them tell as much as n / effect independent ones.
    """

    delta: float
    low: float
    high: float
    p_value: float
    fixed: int
    broken: int
    effect: float = 1.0


class Latency(Record):
    """Milliseconds a call."""

    p50: float
    p95: float


class Cost(Record):
    """US dollars; `measured` is False where an API was priced from tokens without being called."""

    usd_per_1k_calls: float
    usd_per_year: float
    usd_per_1k_correct: float | None
    measured: bool


class TrialShare(Record):
    """Of `tasks` tasks with at least k trials: solved in all of k (`every`), in one of k (`some`)."""

    k: int
    tasks: int
    every: Interval
    some: Interval


class TriesResult(Record):
    """How an agent's `tries` at tasks of test went, in means a try; shares in [0, 1].

    `by_k` is pass^k and pass@k for each k up to the most trials of a task. `calls` are all that were written,
    `invalid_calls` the share of them that could not be carried out, `tool_errors` the share of the others that failed.
    """

    tasks: int
    tries: int
    by_k: tuple[TrialShare, ...]
    turns: float
    calls: float
    invalid_calls: float
    tool_errors: float
    stop_reasons: dict[str, int]


class RungResult(Record):
    """One rung on the test split, as reports read it; `slices` hold accuracies, `slice_sizes` of how many examples.

    `parent` is the rung that it was compared with, `starts_from` the one whose weights it had at first. `n` counts the
    answers that the scorer could decide, `scorer_errors` the others: they are neither right nor wrong. `effective_n` is
    how many independent answers say as much, where examples come in groups. Only agents have `tries`: their
    trials of one task are examples of one group.
    """

    name: str
    method: str
    makes: Makes
    parent: str | None
    starts_from: str | None = None
    needs: tuple[Need, ...] = ()
    n: int
    accuracy: Interval
    validity: Interval
    fields: dict[str, float]
    slices: dict[str, dict[str, float]]
    slice_sizes: dict[str, dict[str, int]] = Field(default={})
    usage: dict[str, float]
    latency_ms: Latency
    cost: Cost
    vs_parent: Comparison | None
    seconds: float
    mlflow_run_id: str | None
    scorer_errors: int = 0
    effective_n: float | None = None
    tries: TriesResult | None = None
