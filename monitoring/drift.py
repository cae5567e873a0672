"""Drift by Evidently: each column's distance against its limit, and the page that shows both sides.

The only module that imports evidently. Decides how it is called; limits and columns are passed in.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from components.data.pages import shielded
from monitoring.columns import Table

NUMBERS, LABELS = "wasserstein", "jensenshannon"


def distances(table: Table, limits: Mapping[str, float], page: Path) -> dict[str, float]:
    """The distance of every column; writes a self-contained HTML page (about 4 MB)."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    bounded = table.bounded()
    shown = _names(table.columns)
    numbers, labels = [shown[name] for name in table.numbers], [shown[name] for name in table.labels]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=labels)
    current, reference = (
        Dataset.from_pandas(_shown(side, shown, table.labels), data_definition=definition)
        for side in (bounded.current, bounded.reference)
    )
    methods = {**dict.fromkeys(table.numbers, NUMBERS), **dict.fromkeys(table.labels, LABELS)}
    metrics = [
        ValueDrift(column=shown[name], method=method, threshold=limits[name]) for name, method in methods.items()
    ]
    snapshot = Report(metrics).run(current, reference)
    page.parent.mkdir(parents=True, exist_ok=True)
    snapshot.save_html(str(page))
    measured = {metric["config"]["column"]: float(metric["value"]) for metric in snapshot.dict()["metrics"]}
    return {name: measured[shown[name]] for name in methods}


def _names(columns: Sequence[str]) -> dict[str, str]:
    """The columns' names on the page: Evidently writes them unescaped. Those that would be the same are numbered."""
    shown: dict[str, str] = {}
    for name in columns:
        text, number = shielded(name), 1
        while text in shown.values():
            number += 1
            text = f"{shielded(name)} ({number})"
        shown[name] = text
    return shown


def _shown(side: pd.DataFrame, shown: Mapping[str, str], labels: Sequence[str]) -> pd.DataFrame:
    """One side with names and labels that are safe on a page."""
    return side.assign(**{name: side[name].map(shielded) for name in labels}).rename(columns=shown)
