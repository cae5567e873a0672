"""The data stage's report, for later stages."""

from pydantic import Field

from components.params import SplitName
from components.records import DataSummary, Record


class DataReport(Record):
    """The outcome for a source.

    `rows` were read; `quarantined` counts them by rule (under each rule that a row breaks); `near_duplicates` are rows
    that resemble an earlier one and are kept in its split. `summary.demonstration_accuracy` is the share of all splits'
    rows whose demonstration equals the reference, None for an agent's tasks. `leaked` counts the rows of a published
    split that resemble one in a less strict part of the source, if they are kept (validation.leakage).
    """

    workload: str
    rows: int
    summary: DataSummary
    quarantined: dict[str, int]
    near_duplicates: int
    warnings: tuple[str, ...]
    leaked: dict[SplitName, int] = Field(default_factory=dict)
