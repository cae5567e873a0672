"""The command that lays base models side by side before one is chosen."""

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
        bool, typer.Option("--try", help="Train each that is here and fits on a few examples, and measure it.")
    ] = False,
    examples: Annotated[int, typer.Option(min=16, help="Demonstrations of such a training.")] = 256,
) -> None:
    """Show which base model fits: what is here, what this machine can train, what its machine costs an hour.

    With [bold]--try[/] also what each learns of a few examples of the workload, and what training and serving would
    take on this machine. Writes nothing into the project.
    """
    from rich.console import Console
    from rich.table import Table

    from components.stages import bases as found

    here = found.memory()
    known = found.bases(workload)
    table = Table("profile", "model", "here", "weights", "in training, at least", "fits", "its machine")
    for one in known:
        table.add_row(*_row(one, here.size))
    console = Console(width=max(120, Console().width))
    console.print(table)
    typer.echo(f"{here.kind}: {here.size / GB:.1f} GB. What a batch takes comes on top of the weights in training.")
    if tried:
        console.print(_tried(workload, [one for one in known if one.fits(here.size)], examples))
        typer.echo("Seconds are this machine's, dollars are these seconds at the price of the profile's machine.")


def _row(one: "Base", memory: int) -> tuple[str, ...]:
    price = f"{one.machine}, ${one.usd_per_hour:.2f} an hour"
    if one.parameters is None or one.train_bytes is None:
        return one.profile, one.model, f"no: {one.get}", "", "", "", price
    size, fits = f"{one.parameters / 1e6:.1f} M", "yes" if one.fits(memory) else "no"
    return one.profile, one.model, "yes", size, f"{one.train_bytes / GB:.2f} GB", fits, price


def _tried(workload: str, some: list["Base"], examples: int) -> object:
    from rich.table import Table

    from components.stages.bases import try_out
    from components.stages.run import STANDARD, Run

    table = Table("profile", "trained on", "seconds", "right after it", "valid", "whole training", "1,000 answers")
    for one in some:
        with tempfile.TemporaryDirectory() as folder:
            found = try_out(Run.of(workload, one.profile, STANDARD), examples, Path(folder))
        table.add_row(*_measured(found, one.usd_per_hour))
    return table


def _measured(found: "Tried", usd_per_hour: float) -> tuple[str, ...]:
    def cost(seconds: float) -> str:
        return f"{seconds:,.0f} s, ${seconds / 3600 * usd_per_hour:.3f}"

    return (
        found.profile, f"{found.examples:,} of {found.rows:,}", f"{found.seconds:.0f}", f"{found.right:.0%}",
        f"{found.valid:.0%} of {found.dev_examples}", cost(found.train_seconds), cost(found.serve_seconds_1k),
    )  # fmt: skip
