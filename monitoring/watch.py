"""One look at production: what has drifted, how far beyond chance, and where.

Decides which columns have drifted and what is reported; reads no clock and starts nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal

import numpy as np
import pandas as pd

from components.data.texts import visible
from components.params import WatchParams
from components.records import Observation, Record
from components.state import State
from monitoring.calibration import limits
from monitoring.columns import FEWEST_SCORES, compare
from monitoring.columns import Table as Columns
from monitoring.drift import distances
from monitoring.windows import Row, Window

if TYPE_CHECKING:
    from rich.table import Table

Kind = Literal["input", "output", "quality", "turns", "tools"]
Usual = Literal["data", "weeks", "before"]
KINDS: tuple[Kind, ...] = ("input", "output", "quality", "turns", "tools")
SLICES_TOLD = 3
FEWEST_OF_A_SLICE = 15
LEAST_FRESH = 0.05  # share of new rows in a window, below which a look would only repeat the last one
ROUNDING = 1e-4  # tolerance between two ways to compute a distance, so that one on its limit is not beyond it


class Moved(Record):
    """A column beyond its limit: its distance from the reference, and its limit under chance."""

    column: str
    distance: float
    limit: float
    reference: str
    current: str


class SliceShift(Record):
    """A slice of the traffic, by a label of its answers: its share and its mean of a drifted column, before and now."""

    slice: str
    reference_share: float
    current_share: float
    reference_value: float
    current_value: float
    column: str


class Watched(State):
    """The result of a look at a window. `severity` is the largest distance over its limit; above 1 is drift.

    `fresh` is the share of the rows that no earlier look has judged, `looked` the end of the last judged window. The
    window is compared with the version's answers on the data, with the same hours of its first `weeks` in service, or
    with what was there `before` it. `unlabelled` counts the missing labels, if there are too many to measure quality;
    `unscored` says that the window has scores enough, and what is usual has not.
    `of` says what the rows are, `began` when the version first answered (0 if it has not). While a look is not `told`,
    it may be missing in MLflow, and its event may not have been sent.
    """

    workload: str
    version: int
    since: float
    until: float
    total: int
    rows: int
    judged: bool
    fresh: float = 1.0
    looked: float = 0.0
    usual: Usual = "data"
    of: Literal["answers", "conversations"] = "answers"
    unlabelled: int = 0
    unscored: bool = False
    kinds: tuple[Kind, ...] = ()
    severity: float = 0.0
    moved: tuple[Moved, ...] = ()
    slices: tuple[SliceShift, ...] = ()
    columns: int = 0
    began: float = 0.0
    told: bool = True

    @property
    def drifted(self) -> bool:
        """Whether any column moved beyond chance."""
        return bool(self.moved)


@dataclass(frozen=True)
class Sides(Generic[Row]):
    """What is compared: the champion's usual answers or conversations, and a window of production.

    `schema` is the workload's output; `vectors` are the embeddings of the inputs of reference and window, if available.
    `looked` is the end of the last judged window, in seconds since 1970; 0 if there was none.
    """

    workload: str
    schema: Mapping[str, Any]
    reference: Sequence[Row]
    window: Window[Row]
    vectors: tuple[np.ndarray, np.ndarray] | None = None
    looked: float = 0.0
    usual: Usual = "data"

    @property
    def fresh(self) -> float:
        """The share of the window's rows that no earlier look has judged."""
        rows = self.window.observations
        return sum(row.at >= self.looked for row in rows) / max(1, len(rows)) if self.looked else 1.0

    def stale(self, params: WatchParams) -> bool:
        """Whether the window has rows enough, and too few that are new."""
        return len(self.window.observations) >= params.min_rows and self.fresh < LEAST_FRESH

    def enough(self, params: WatchParams) -> bool:
        """Whether the window has enough rows to be judged, and enough new ones; so has what was before it."""
        fewest = len(self.reference) if self.usual == "before" else params.min_rows
        return min(fewest, len(self.window.observations)) >= params.min_rows and self.fresh >= LEAST_FRESH


def watch(sides: Sides[Observation], params: WatchParams, page: Path, seed: int = 0) -> Watched:
    """Compare both sides, if the window has enough rows and enough new ones; then writes Evidently's page.

    Raises:
        DataError: The reference is empty.
    """
    look = unjudged(sides, params)
    if not look.judged:
        return look
    rows = sides.window.observations
    table = compare(sides.reference, rows, sides.schema, sides.vectors, params.embedding_columns)
    before, now = (sum(row.score is not None for row in side) >= FEWEST_SCORES for side in (sides.reference, rows))
    return judged(look.model_copy(update={"unscored": now and not before}), table, params, page, seed)


def unjudged(sides: Sides[Any], params: WatchParams) -> Watched:
    """A look before its rows are compared: what it is a look at, and whether that is enough to be judged.

    Looks share the level by what is new to them: over all looks at as many rows as a window has, false alarms are as
    rare as declared, however often one looks.
    """
    window = sides.window
    return Watched(
        workload=sides.workload, version=window.version, since=window.since, until=window.until, total=window.total,
        rows=len(window.observations), judged=sides.enough(params),
        fresh=sides.fresh, looked=sides.looked, usual=sides.usual, unlabelled=window.unlabelled,
    )  # fmt: skip


def judged(look: Watched, table: Columns, params: WatchParams, page: Path, seed: int = 0) -> Watched:
    """A look completed with the results from a table; writes Evidently's page."""
    allowed = limits(table, params.false_alarms * look.fresh, params.resamples, seed)
    measured = distances(table, allowed, page)
    ratios = {name: measured[name] / allowed[name] for name in table.columns}
    beyond = sorted((name for name in ratios if ratios[name] > 1 + ROUNDING), key=lambda name: -ratios[name])
    results = {
        "looked": look.until,
        "columns": len(table.columns),
        "kinds": tuple(kind for kind in KINDS if any(name.startswith(f"{kind}.") for name in beyond)),
        "severity": max(ratios.values(), default=0.0),
        "moved": tuple(_moved(table, name, measured[name], allowed[name]) for name in beyond),
        "slices": _slices(table, beyond),
    }
    return look.model_copy(update=results)


def _moved(table: Columns, name: str, distance: float, limit: float) -> Moved:
    """A drifted column, described before and now: means of numbers, or the label whose share changed most."""
    before, now = table.reference[name], table.current[name]
    if name in table.numbers:
        described = f"mean {before.mean():.3g}", f"mean {now.mean():.3g}"
    else:
        shares, later = before.value_counts(normalize=True), now.value_counts(normalize=True)
        label = later.sub(shares, fill_value=0).abs().idxmax()
        described = f"{label} {shares.get(label, 0):.1%}", f"{label} {later.get(label, 0):.1%}"
    return Moved(column=name, distance=distance, limit=limit, reference=described[0], current=described[1])


def _slices(table: Columns, beyond: Sequence[str]) -> tuple[SliceShift, ...]:
    """The labels of answers where the most drifted column moved most; if it has labels itself, its most moved ones."""
    if not beyond:
        return ()
    column, shifts = beyond[0], list[tuple[float, SliceShift]]()
    for name in table.labels if column in table.numbers else [column]:
        for label, rows in table.current.groupby(name):
            before = table.reference.loc[table.reference[name] == label]
            if min(side[column].count() for side in (before, rows)) >= FEWEST_OF_A_SLICE:
                shift = _slice(table, name, label, column, (before, rows))
                weight = (shift.current_value - shift.reference_value) * len(rows) ** 0.5
                shifts.append((abs(weight), shift))
    return tuple(shift for _, shift in sorted(shifts, key=lambda pair: -pair[0])[:SLICES_TOLD])


def _slice(
    table: Columns, name: str, label: object, column: str, rows: tuple[pd.DataFrame, pd.DataFrame]
) -> SliceShift:
    """A slice before and now: the mean of a number, the share of a label among the rows that have one."""
    before, now = len(rows[0]) / table.reference[name].count(), len(rows[1]) / table.current[name].count()
    means = [float(side[column].mean()) for side in rows] if column in table.numbers else [before, now]
    return SliceShift(
        slice=f"{name.removeprefix('output.')}={label}", reference_share=before, current_share=now, column=column,
        reference_value=means[0], current_value=means[1],
    )  # fmt: skip


def sentence(look: Watched) -> str:
    """The result of a look in a sentence."""
    few = f"too few {'' if look.fresh >= LEAST_FRESH else 'new '}{look.of} to judge"
    state = few if not look.judged else "nothing moved"
    if look.drifted:
        state = f"drift in {' and '.join(look.kinds)}, {look.severity:.1f} times what chance allows"
    quality = f" Quality is not measured: {look.unlabelled:,} answers wait for a label." if look.unlabelled else ""
    if look.unscored:
        quality = " Quality is not compared: too few of the usual answers have a label."
    return f"{look.workload}, version {look.version}: {look.rows:,} of {look.total:,} {look.of}, {state}.{quality}"


def table(look: Watched) -> "Table":
    """A table of drifted columns, and the slices where they moved most, for a terminal."""
    from rich.markup import escape
    from rich.table import Table

    drawn = Table("column", "distance", "limit", "reference", "now")
    for item in look.moved:
        cells = item.column, f"{item.distance:.3f}", f"{item.limit:.3f}", item.reference, item.current
        drawn.add_row(*(escape(visible(cell)) for cell in cells))
    for item in look.slices:
        shares = f"{item.reference_share:.1%} of {look.of}", f"{item.current_share:.1%} of {look.of}"
        drawn.add_row(escape(visible(f"slice {item.slice}")), "", "", *shares)
    return drawn
