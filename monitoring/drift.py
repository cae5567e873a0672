"""Drift by Evidently: each column's distance against its limit, and the page that shows both sides.

The only module that imports evidently. Decides how it is called; limits and columns come from elsewhere.
"""

from collections.abc import Mapping
from pathlib import Path

from monitoring.columns import Table

NUMBERS, LABELS = "wasserstein", "jensenshannon"


def distances(table: Table, limits: Mapping[str, float], page: Path) -> dict[str, float]:
    """The distance of every column; writes the self-contained HTML page (some 4 MB)."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    bounded = table.bounded()
    definition = DataDefinition(numerical_columns=list(table.numbers), categorical_columns=list(table.labels))
    current, reference = (
        Dataset.from_pandas(side.copy(), data_definition=definition) for side in (bounded.current, bounded.reference)
    )
    methods = {**dict.fromkeys(table.numbers, NUMBERS), **dict.fromkeys(table.labels, LABELS)}
    metrics = [ValueDrift(column=name, method=method, threshold=limits[name]) for name, method in methods.items()]
    snapshot = Report(metrics).run(current, reference)
    page.parent.mkdir(parents=True, exist_ok=True)
    snapshot.save_html(str(page))
    return {one["config"]["column"]: float(one["value"]) for one in snapshot.dict()["metrics"]}
