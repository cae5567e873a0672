"""Datasets of the `datasets` library as tables, from a saved folder or by name from the Hugging Face hub.

Offline unless HF_HUB_OFFLINE=0: datasets from the hub must then be in the local cache.
"""

from pathlib import Path
from typing import Any, Literal

from components.data.reading.columnar import of_dataset
from components.data.reading.table import Table
from components.errors import DataError
from components.params import Columns, HuggingFaceSource

Part = Literal["all", "train", "dev", "test", "sealed"]


def read_datasets(source: HuggingFaceSource, folder: Path) -> dict[Part, Table]:
    """The tables of the dataset's splits; a local dataset is looked up under `folder`, then as a path.

    Raises:
        DataError: There is no such dataset, it lacks a split, or a split is empty.
    """
    splits = _open(source, folder)
    tables: dict[Part, Table] = {}
    for part, name in source.splits.items():
        if name not in splits:
            raise DataError(f"expected the split `{name}`, found {', '.join(splits)} ({source.dataset})")
        tables[part] = _table(splits[name], Path(source.dataset) / name, source.columns)
    return tables


def _open(source: HuggingFaceSource, folder: Path) -> dict[str, Any]:
    """The dataset's splits by name; an unnamed one is `train`."""
    import datasets

    dataset: Any
    try:
        for path in (folder / source.dataset, Path(source.dataset)):
            if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
                dataset = datasets.load_from_disk(str(path))
                break
        else:
            dataset = datasets.load_dataset(source.dataset, source.config, revision=source.revision)
    except Exception as error:  # datasets raises its own, huggingface_hub's and pyarrow's errors
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise DataError(
            f"expected a dataset in a folder or in the local cache of the hub (HF_HUB_OFFLINE=0 downloads it), "
            f"found none: {reason} ({source.dataset})"
        ) from error
    return dict(dataset) if isinstance(dataset, dict) else {str(dataset.split or "train"): dataset}


def _table(dataset: Any, path: Path, columns: Columns) -> Table:
    """A split as a table with only the used columns."""
    used = {columns.id, columns.group, *columns.input, *columns.output.values(), *columns.reference.values()}
    used |= set(columns.slices)
    names = [str(name) for name in dataset.column_names if name in used]
    if not len(dataset):
        raise DataError(f"expected rows, found an empty split ({path})")
    rows = of_dataset(dataset.select_columns(names), path).rows if names else ()
    lines = tuple(range(1, len(rows) + 1))
    return Table(path, tuple(map(str, dataset.column_names)), rows, lines)
