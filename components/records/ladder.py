"""The record of a run: its data, its rungs, what the gate said."""

from components.records.gate import Verdict
from components.records.record import Record
from components.records.results import RungResult


class DataSummary(Record):
    """The data of a run; None where nobody told how many demonstrations are right."""

    version: str
    train: int
    dev: int
    test: int
    sealed: int
    quarantined: int = 0
    demonstration_accuracy: float | None


class Ladder(Record):
    """`artifacts/<run>/ladder.json`: what the report, the gate and other programs read.

    `version` is the registered one that stands after the gate where none of these rungs does.
    """

    workload: str
    profile: str
    seed: int
    simulated: bool
    data: DataSummary
    rungs: tuple[RungResult, ...]
    gate: Verdict | None
    climb: tuple[Verdict, ...] = ()
    version: int | None = None
    seconds: dict[str, float]
