"""`gradus run --dry-run`: forecasts what each stage takes."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from components.stages.foretold import Forecast
    from components.stages.run import Run

MB = 1e6


def tell_ahead(run: "Run") -> None:
    """Print what a run would do and take; ends with code 1 if memory or disk is too small.

    Raises:
        GradusError: The data or the model is wrong, or a training on a little of the data fails.
    """
    from rich.console import Console

    from components.stages.foretold import forecast
    from components.stages.graph import nodes, write_graph
    from flows.reproduce import stale

    _ = run.base_model
    write_graph(run)
    forecasted = forecast(run, stale(run, nodes(run)))
    Console(width=max(100, Console().width)).print(forecast_table(forecasted))
    typer.echo(in_words(forecasted))
    if forecasted.refused:
        typer.echo(f"It does not fit: {forecasted.refused}")
        raise typer.Exit(1)


def forecast_table(forecast: "Forecast") -> "Table":
    """A row for each stage."""
    from rich.table import Table

    shown = Table("stage", "", title=f"{forecast.run}, before it starts")
    shown.add_column("seconds", justify="right")
    shown.add_column("memory, MB", justify="right")
    for stage in forecast.stages:
        seconds = "not foretold" if stage.seconds is None else f"{stage.seconds:,.0f}"
        peak = "" if stage.peak_bytes is None else f"{stage.peak_bytes / MB:,.0f}"
        row = ("to do", seconds, peak) if stage.to_do else ("nothing changed", "", "")
        shown.add_row(stage.stage, *row)
    return shown


def in_words(forecast: "Forecast") -> str:
    """The forecast in a sentence."""
    unknown = [stage.stage for stage in forecast.stages if stage.to_do and stage.seconds is None]
    beside = f", beside {', '.join(unknown)}" if unknown else ""
    peak = max((stage.peak_bytes or 0 for stage in forecast.stages if stage.to_do), default=0)
    return (
        f"{forecast.seconds / 60:,.1f} minutes in all{beside}; "
        f"at most {peak / MB:,.0f} of {forecast.memory_bytes / MB:,.0f} MB "
        f"memory and {forecast.disk_bytes / MB:,.0f} MB disk ({forecast.free_bytes / MB:,.0f} are free)."
    )
