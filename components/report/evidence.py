"""What a report shows besides the run record: examples, curves, quarantined rows, and the sources of prices."""

from collections.abc import Iterable

from pydantic import Field

from components.advice import Advice
from components.economics import Account, Prices
from components.records import Record, Score
from components.report.trust import Trust

Curve = list[tuple[float, float]]  # (step, value)


class Change(Record):
    """An example on which exactly one of a rung and its parent is right, with both answers verbatim and their scores.

    `tried` says that the answers are what an agent said last: what it did is scored, and not they.
    """

    example_id: str
    message: str
    parent_answer: str
    parent_score: Score
    answer: str
    score: Score
    reference: str
    tried: bool = False


class Changes(Record):
    """Examples that a rung fixed and broke; the report shows the first few of each."""

    fixed: tuple[Change, ...] = ()
    broken: tuple[Change, ...] = ()


class PriceLine(Record):
    """A price in words, with its source and date; `checked` is False if the source could not be consulted."""

    name: str
    price: str
    source: str
    date: str
    checked: bool


class Evidence(Record):
    """Everything that a report shows besides the run record."""

    description: str = ""
    model: str = ""
    incumbent: str = ""
    calls_per_year: int
    changes: dict[str, Changes] = Field(default={}, description="By rung.")
    curves: dict[str, dict[str, Curve]] = Field(default={}, description="By rung, then by name.")
    quarantine: dict[str, int] = Field(default={}, description="Rows by reason.")
    warnings: tuple[str, ...] = ()
    prices: tuple[PriceLine, ...] = ()
    account: Account | None = None
    spent_usd: dict[str, float] = Field(default={}, description="Once, by rung, what it started from included.")
    advice: Advice | None = None
    trust: Trust | None = None


def price_lines(prices: Prices, models: Iterable[str], machines: Iterable[str]) -> tuple[PriceLine, ...]:
    """The prices that a run used, in words.

    Raises:
        ConfigError: The table has no such model or machine.
    """
    lines: list[PriceLine] = []
    for name in models:
        model = prices.model(name)
        price = (
            f"${model.input_usd_per_million_tokens:g} a million input tokens, "
            f"${model.output_usd_per_million_tokens:g} a million output tokens"
        )
        lines.append(
            PriceLine(name=name, price=price, source=model.source, date=str(model.date), checked=model.checked)
        )
    for name in machines:
        machine = prices.machine(name)
        price = f"${machine.usd_per_hour:g} an hour, busy {machine.utilisation:.0%} of the time: {machine.description}"
        lines.append(
            PriceLine(name=name, price=price, source=machine.source, date=str(machine.date), checked=machine.checked)
        )
    return tuple(lines)
