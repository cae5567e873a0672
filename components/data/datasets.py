"""Datasets of the `datasets` library as tables: a folder saved by it, or a name on the Hugging Face hub.

Offline unless HF_HUB_OFFLINE=0: a name on the hub then has to be in the local cache.
"""

from pathlib import Path
from typing import Any, Literal

from components.data.reading.columnar import rows_of
from components.data.reading.table import Table
from components.errors import DataError
from components.params import Columns, HuggingFaceSource

Part = Literal["all", "train", "dev", "test", "sealed"]


def read_datasets(source: HuggingFaceSource, folder: Path) -> dict[Part, Table]:
    """The tables of the dataset's splits; a local dataset is sought under `folder`, then as a path of its own.

    Raises:
        DataError: There is no such dataset, or it lacks a split, or a split is empty.
    """
    splits = _open(source, folder)
    tables: dict[Part, Table] = {}
    for part, name in source.splits.items():
        if name not in splits:
            raise DataError(f"expected the split `{name}`, found {', '.join(splits)} ({source.dataset})")
        tables[part] = _table(splits[name], Path(source.dataset) / name, source.columns)
    return tables


def _open(source: HuggingFaceSource, folder: Path) -> dict[str, Any]:
    """The dataset's splits by name; one that was saved without a name is `train`."""
    import datasets

    found: Any
    try:
        for path in (folder / source.dataset, Path(source.dataset)):
            if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
                found = datasets.load_from_disk(str(path))
                break
        else:
            found = datasets.load_dataset(source.dataset, source.config, revision=source.revision)
    except Exception as error:  # datasets raises its own, huggingface_hub's and pyarrow's errors
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise DataError(
            f"expected a dataset in a folder or in the local cache of the hub (HF_HUB_OFFLINE=0 downloads it), "
            f"found none: {reason} ({source.dataset})"
        ) from error
    return dict(found) if isinstance(found, dict) else {str(found.split or "train"): found}


def _table(dataset: Any, path: Path, columns: Columns) -> Table:
    """A split as a table, class numbers as their names; only the columns that are read."""
    import datasets

    wanted = {columns.id, columns.group, *columns.input, *columns.output.values(), *columns.reference.values()}
    wanted |= set(columns.slices)
    names = [str(name) for name in dataset.column_names if name in wanted]
    if not len(dataset):
        raise DataError(f"expected rows, found an empty split ({path})")
    rows: list[dict[str, Any]] = rows_of(dataset.select_columns(names), path) if names else []
    for name in names:
        feature = dataset.features[name]
        if isinstance(feature, datasets.ClassLabel):
            for row in rows:
                label = row[name]
                row[name] = feature.int2str(label) if label is not None and label >= 0 else None
    return Table(path, tuple(dataset.column_names), tuple(rows), tuple(range(1, len(rows) + 1)))
