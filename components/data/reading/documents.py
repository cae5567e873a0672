"""Reads YAML documents with rows: promptfoo's tests."""

from pathlib import Path
from typing import Any

import yaml

from components.data.reading import objects
from components.data.reading.table import Table
from components.errors import DataError
from components.params.loading import UniqueKeysLoader

_MOST_ALIASES = 50  # each may repeat all before it, so a few can fill any memory


class _Loader(UniqueKeysLoader):
    """Loads plain values, with a limited number of references."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._aliases = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            self._aliases += 1
            if self._aliases > _MOST_ALIASES:
                raise yaml.YAMLError(f"more than {_MOST_ALIASES} references")
        return super().compose_node(parent, index)


def parse_yaml(text: str, path: Path) -> Table:
    """The table in a YAML list of mappings, or in the list under `tests`.

    Raises:
        DataError: It is not YAML, or has no such list.
    """
    try:
        value: Any = yaml.load(text, _Loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())[:150]
        raise DataError(f"expected YAML, found {reason} ({path})") from error
    rows = value.get("tests") if isinstance(value, dict) else value
    if (
        not isinstance(rows, list)
        or not all(isinstance(row, dict) for row in rows)
        or objects.depth(rows) > objects.MOST_DEPTH
    ):
        raise DataError(f"expected a list of mappings, or one under `tests`, found {type(rows).__name__} ({path})")
    listed = [{str(name): _plain(item) for name, item in row.items()} for row in rows]
    columns = dict.fromkeys(name for row in listed for name in row)
    return Table(path, tuple(columns), tuple(listed), tuple(range(1, len(listed) + 1)))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
