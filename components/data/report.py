"""What became of a source, as later stages read it."""

from pydantic import Field

from components.params import SplitName
from components.records import DataSummary, Record


class DataReport(Record):
    """What became of a source.

    `rows` were read; `quarantined` counts them by rule, a row under each rule that it breaks; `near_duplicates` are
    rows that resemble an earlier one, kept on its side. `summary.demonstration_accuracy` is the share of the four
    splits' rows whose demonstration equals the reference, None of an agent's tasks. `leaked` counts the rows of a
    published split whose like a less strict part of the source has, where they are kept (validation.leakage).
    """

    workload: str
    rows: int
    summary: DataSummary
    quarantined: dict[str, int]
    near_duplicates: int
    warnings: tuple[str, ...]
    leaked: dict[SplitName, int] = Field(default_factory=dict)
