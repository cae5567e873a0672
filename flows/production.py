"""Commands of a champion in production: watched, retrained, released."""

import os
from pathlib import Path
from typing import Annotated

import typer

production = typer.Typer(add_completion=False)

Workload = Annotated[str, typer.Argument(help="Name of a workload under params/workloads/.")]
Profile = Annotated[str, typer.Option(help="Name of a profile under params/profiles/.")]


def _prefect_home() -> None:
    """Prefect looks for its folder when it is imported."""
    Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)


@production.command("watch", epilog="Example: [bold]gradus watch triage[/]")
def watch_production(workload: Workload, profile: Profile = "nano") -> None:
    """Compare production's newest window with what the champion was made from: what moved, how far, and where.

    Looks at inputs (texts, the model's embeddings of them), outputs (labels, validity, length, confidence) and scores.
    Limits come from resamples of the reference (params/pipeline.yaml, `watch`). Drift becomes the event drift.detected.
    """
    _prefect_home()
    from rich.console import Console

    from components.stages.run import STATE
    from flows.watch import watch
    from monitoring.watch import table

    found = watch(workload, profile)
    console = Console(width=max(120, Console().width))
    console.print(table(found))
    if found.judged:
        typer.echo(f"Page: {(STATE / 'watch' / workload / 'drift.html').resolve()}")


@production.command("retrain", epilog="Example: [bold]gradus retrain triage[/]")
def retrain_champion(workload: Workload, profile: Profile = "nano") -> None:
    """Climb the ladder with what production taught, and let the winner replace the champion if the gate agrees.

    Corrected answers and those scored as right join the data as a new version: added by DVC and committed on a branch,
    which is checked out under state/retrain/. The project's own files stay as they are.
    """
    _prefect_home()
    from flows.retrain import retrain

    found = retrain(workload, profile)
    typer.echo(found.outcome)
    if found.branch:
        typer.echo(f"Branch: {found.branch} ({found.examples:,} answers of production)")


@production.command("release", epilog="Example: [bold]gradus release triage[/]")
def release_canary(workload: Workload, profile: Profile = "nano") -> None:
    """Judge the version with the alias `canary` beside the champion: it takes its place, or is withdrawn.

    Waits for the canary's answers (params/pipeline.yaml, `retraining.release`), and first for a person's approval in
    Prefect's pages where that is asked for.
    """
    _prefect_home()
    from flows.release import release

    found = release(workload, profile)
    for reason in found.reasons:
        typer.echo(f"{found.decision}: {reason}")
