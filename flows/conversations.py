"""Commands for agents in production: take conversations from the server's own lake as tries."""

import time
from pathlib import Path
from typing import Annotated

import typer

Workload = Annotated[str, typer.Argument(help="Name of a workload that is served.")]


def harvest(
    workload: Workload,
    to: Annotated[Path, typer.Option("--to", help="File to write: one trajectory a line.")],
    hours: Annotated[float, typer.Option(min=0.0, help="How far back conversations are read.")] = 168.0,
    least: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Only those whose last known score is at least this.")
    ] = None,
) -> None:
    """Export production's conversations with tools from the lake: requests joined to tries, with their scores.

    A try that calls a tool whose schema its requests did not have is left out and reported.
    """
    from components.data.joining import refusal
    from components.data.texts import visible
    from components.records import Trajectory, write_jsonl
    from components.stages.run import STATE
    from monitoring.conversations import conversations
    from monitoring.lake import Lake
    from monitoring.windows import HOUR_S

    now = time.time()
    tries = [
        attempt.trajectory for attempt in conversations(Lake.of(STATE / "lake"), workload, (now - hours * HOUR_S, now))
    ]
    kept: list[Trajectory] = []
    for attempt in tries:
        if why := refusal(attempt):
            typer.echo(f"Left out: {visible(why)}", err=True)
        elif attempt.error is None and (least is None or (attempt.reward is not None and attempt.reward >= least)):
            kept.append(attempt)
    write_jsonl(to, kept)
    turns = sum(attempt.turns for attempt in kept)
    typer.echo(f"{len(kept):,} of {len(tries):,} conversations with {turns:,} turns of {workload}: {to}")
