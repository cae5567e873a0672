"""What settings name must be there: a slice that no row has, or a file that is gone, is refused before work begins."""

from collections.abc import Sequence
from pathlib import Path

from components.data.harvest import ORIGIN
from components.data.sources import generated
from components.errors import ConfigError
from components.params import GeneratedSource, LauncherParams, Workload


def refuse_slices(workload: Workload, columns: Sequence[str], path: Path) -> None:
    """Refuse a slice, or a column of dates, that no row has; of a generator's rows the first one counts.

    `columns` are the input columns, `path` is the workload's file.

    Raises:
        ConfigError: There is such a name, or no such generator.
        DataError: The generator's rows are not of this workload.
    """
    if not workload.slices and workload.dated_by is None:
        return
    known, where = _slices(workload)
    for name in workload.slices:
        if name not in (*known, ORIGIN):
            raise ConfigError(f"slices: expected some of {where}, found {name} ({path})")
    if workload.dated_by is not None and workload.dated_by not in (*columns, *known):
        inputs = ", ".join(columns)
        raise ConfigError(
            f"dated_by: expected an input ({inputs}) or one of {where}, found {workload.dated_by} ({path})"
        )


def _slices(workload: Workload) -> tuple[tuple[str, ...], str]:
    """The slices that rows of the source have, and what an error calls them."""
    source = workload.source
    if isinstance(source, GeneratedSource):
        known = tuple(next(generated(workload, source, 1)).slices)
        return known, f"the generator's slices ({', '.join(known) or 'none'})"
    return source.columns.slices, f"source.columns.slices ({', '.join(source.columns.slices) or 'none'})"


def refuse_launcher(params: LauncherParams, path: Path) -> None:
    """Refuse settings for accelerate that are in no file; `path` is the profile's file.

    Raises:
        ConfigError: The file is missing.
    """
    if params.config is not None and not Path(params.config).is_file():
        raise ConfigError(f"launcher.config: expected a file of accelerate, found none at {params.config} ({path})")
