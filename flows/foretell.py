"""`gradus run --dry-run`: what each stage would take, before anything is done."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from components.stages.foretold import Forecast
    from components.stages.run import Run

MB = 1e6


def tell_ahead(run: "Run") -> None:
    """Print what a run would do and take; ends with code 1 where memory or disk do not suffice.

    Raises:
        GradusError: The data, the model or a training on a little of the data is not as it should be.
    """
    from rich.console import Console

    from components.stages.foretold import forecast
    from components.stages.graph import nodes, write_graph
    from flows.tasks import stale

    _ = run.base_model
    write_graph(run)
    found = forecast(run, stale(run, nodes(run)))
    Console(width=max(100, Console().width)).print(forecast_table(found))
    typer.echo(in_words(found))
    if found.refused:
        typer.echo(f"It does not fit: {found.refused}")
        raise typer.Exit(1)


def forecast_table(found: "Forecast") -> "Table":
    """A row for each stage."""
    from rich.table import Table

    shown = Table("stage", "", title=f"{found.run}, before it starts")
    shown.add_column("seconds", justify="right")
    shown.add_column("memory, MB", justify="right")
    for one in found.stages:
        seconds = "not foretold" if one.seconds is None else f"{one.seconds:,.0f}"
        peak = "" if one.peak_bytes is None else f"{one.peak_bytes / MB:,.0f}"
        row = ("to do", seconds, peak) if one.to_do else ("nothing changed", "", "")
        shown.add_row(one.stage, *row)
    return shown


def in_words(found: "Forecast") -> str:
    """The run in a sentence or two."""
    unknown = [one.stage for one in found.stages if one.to_do and one.seconds is None]
    beside = f", beside {', '.join(unknown)}" if unknown else ""
    peak = max((one.peak_bytes or 0 for one in found.stages if one.to_do), default=0)
    return (
        f"{found.seconds / 60:,.1f} minutes in all{beside}; "
        f"at most {peak / MB:,.0f} of {found.memory_bytes / MB:,.0f} MB "
        f"memory and {found.disk_bytes / MB:,.0f} MB disk ({found.free_bytes / MB:,.0f} are free)."
    )
