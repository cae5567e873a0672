"""The command that compares base models before one is chosen."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.production import Workload

if TYPE_CHECKING:
    from components.stages.bases import Base, Tried

bases = typer.Typer(add_completion=False)
GB = 1e9


@bases.command("bases", epilog="Example: [bold]gradus bases triage --try[/]")
def show_bases(
    workload: Workload,
    tried: Annotated[
        bool, typer.Option("--try", help="Train each model that is here and fits on a few examples, and measure it.")
    ] = False,
    examples: Annotated[int, typer.Option(min=16, help="Demonstrations that each of these trainings uses.")] = 256,
) -> None:
    """Show which base model fits: which are here, what this machine can train, what their machines cost an hour.

    With [bold]--try[/] also what each learns from a few examples of the workload, and what training and serving would
    take on this machine. Writes nothing to the project.
    """
    from rich.console import Console
    from rich.table import Table

    from components.stages import bases as stage_bases

    here = stage_bases.memory()
    listed = stage_bases.bases(workload)
    table = Table("profile", "model", "here", "weights", "in training, at least", "fits", "its machine")
    for base in listed:
        table.add_row(*_row(base, here.size))
    console = Console(width=max(120, Console().width))
    console.print(table)
    typer.echo(f"{here.kind}: {here.size / GB:.1f} GB. What a batch takes comes on top of the weights in training.")
    if tried:
        console.print(_tried(workload, [base for base in listed if base.fits(here.size)], examples))
        typer.echo("Seconds are this machine's, dollars are these seconds at the price of the profile's machine.")


def _row(base: "Base", memory: int) -> tuple[str, ...]:
    price = f"{base.machine}, ${base.usd_per_hour:.2f} an hour"
    if base.parameters is None or base.train_bytes is None:
        return base.profile, base.model, f"no: {base.get}", "", "", "", price
    size, fits = f"{base.parameters / 1e6:.1f} M", "yes" if base.fits(memory) else "no"
    return base.profile, base.model, "yes", size, f"{base.train_bytes / GB:.2f} GB", fits, price


def _tried(workload: str, listed: list["Base"], examples: int) -> object:
    from rich.table import Table

    from components.stages.bases import try_out
    from components.stages.run import STANDARD, Run

    table = Table("profile", "trained on", "seconds", "right after it", "valid", "whole training", "1,000 answers")
    for base in listed:
        with tempfile.TemporaryDirectory() as folder:
            trial = try_out(Run.of(workload, base.profile, STANDARD), examples, Path(folder))
        table.add_row(*_measured(trial, base.usd_per_hour))
    return table


def _measured(trial: "Tried", usd_per_hour: float) -> tuple[str, ...]:
    def cost(seconds: float) -> str:
        return f"{seconds:,.0f} s, ${seconds / 3600 * usd_per_hour:.3f}"

    return (
        trial.profile, f"{trial.examples:,} of {trial.rows:,}", f"{trial.seconds:.0f}", f"{trial.right:.0%}",
        f"{trial.valid:.0%} of {trial.dev_examples}", cost(trial.train_seconds), cost(trial.serve_seconds_1k),
    )  # fmt: skip
