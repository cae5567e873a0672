"""Commands that advise and account: which rung next, what it costs, do prices hold, can a version be made again."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.production import Profile, Workload

if TYPE_CHECKING:
    from rich.table import Table

    from components.advice import Advice
    from components.economics import Account, Checked
    from components.records import Interval
    from components.stages.reproduce import Reproduced

advice = typer.Typer(add_completion=False)
WIDTH = 120


@advice.command("advise", epilog="Example: [bold]gradus advise triage[/]")
def advise_workload(
    workload: Workload,
    profile: Profile = "nano",
    trial: Annotated[
        int | None, typer.Option(min=0, help="Demonstrations of the largest trial training; 0 trains nothing.")
    ] = None,
) -> None:
    """Say which rung comes next, by how much it is expected to gain, and why; at any point of a climb.

    Measures what is missing: the scorer on right and wrong answers, several answers to one prompt, short trainings on
    some of the demonstrations (minutes, once), what volume pays for. Kept with the run; the report shows it, and says
    after the next climb whether it was right.
    """
    from components.registry import open_run
    from components.stages.advise import advise_run
    from components.stages.run import Run, git_commit

    run = Run.of(workload, profile)
    params = run.advice if trial is None else run.advice.model_copy(update={"trial_demonstrations": trial})
    tags = {"run": run.name, "stage": "advise", "git_commit": git_commit()}
    with open_run(run.workload.name, f"{run.name}/advise", tags) as tracker:
        found = advise_run(run, tracker, params)
    _print(advice_table(found))
    typer.echo(found.headline)
    for line in (*found.define, *found.changes):
        typer.echo(f"  {line}")


@advice.command("economics", epilog="Example: [bold]gradus economics triage --calls 20000000[/]")
def account_for(
    workload: Workload,
    profile: Profile = "nano",
    calls: Annotated[int | None, typer.Option(min=1, help="Calls a year, in place of the workload's.")] = None,
) -> None:
    """Show what each rung costs a call, a right call and a year, what was spent on it, and when it has paid back.

    Reads what the run measured and today's params/prices.yaml; asks no model again. Intervals are 95 %.
    """
    from dataclasses import replace

    from components.stages.economics import account
    from components.stages.run import Run

    run = Run.of(workload, profile)
    if calls is not None:
        traffic = run.workload.traffic.model_copy(update={"calls_per_year": calls})
        run = replace(run, workload=run.workload.model_copy(update={"traffic": traffic}))
    found = account(run, date.today())
    _print(account_table(found))
    if found.rungs[-1].sensitivity:
        _print(sensitivity_table(found))
    for note in found.notes:
        typer.echo(f"  {note}")


@advice.command("prices")
def check_prices() -> None:
    """Show the prices of params/prices.yaml beside a kept library's catalogue; ends with code 1 if any differ."""
    from components.economics import check, load_prices
    from components.stages.run import PRICES

    found = check(load_prices(PRICES))
    _print(price_table(found))
    if any(one.verdict == "differs" for one in found):
        raise typer.Exit(1)


@advice.command("reproduce", epilog="Example: [bold]gradus reproduce triage 3[/]")
def reproduce_version(
    workload: Workload,
    version: Annotated[int, typer.Argument(metavar="VERSION", min=1, help="The registered version to make again.")],
) -> None:
    """Make a registered version again from its commit and data, and compare metrics, answers and weights.

    Runs all stages up to the evaluation in a clean folder under state/reproduce/, with as many threads as then. Ends
    with code 1 if anything differs.
    """
    from components.stages.reproduce import reproduce

    found = reproduce(workload, version, Path.cwd())
    _print(reproduced_table(found))
    for note in found.notes:
        typer.echo(f"  {note}")
    typer.echo("identical" if found.identical else "It differs.")
    if not found.identical:
        raise typer.Exit(1)


def advice_table(found: "Advice") -> "Table":
    """The evidence, and then the options with their gains."""
    from rich.table import Table

    shown = Table("question", "what was found", "so", title=f"{found.workload}: {found.evidence.standing.name} stands")
    for line in found.table:
        shown.add_row(line.question, line.finding, line.reading)
    shown.add_section()
    for option in found.choice.options:
        gain = option.gain
        points = "–" if gain is None else f"{100 * gain.value:+.1f} ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
        chosen = "advised" if option.rung == found.choice.rung else option.out or "gains less than what is advised"
        shown.add_row(f"Next rung: {option.rung}?", f"{points} points", chosen)
    return shown


def account_table(found: "Account") -> "Table":
    """A row for each rung."""
    from rich.table import Table

    from components.report.economics import payback
    from components.report.words import usd

    def interval(found: "Interval") -> str:
        return f"{usd(found.value)}\n{usd(found.low)}–{usd(found.high)}"

    shown = Table(title=f"{found.calls_per_year:,} calls a year, growing by {found.growth_per_year:.0%}")
    shown.add_column("rung", no_wrap=True)
    for name in ("1,000 calls", "1,000 right ones", "first year", "third year", "once", "pays from", "has paid back"):
        shown.add_column(name, justify="right")
    for one in found.rungs:
        paid = one.payback
        shown.add_row(
            one.name if one.measured else f"{one.name} ≈",
            interval(one.usd_per_1k_calls),
            interval(one.usd_per_1k_correct) if one.usd_per_1k_correct else "–",
            usd(one.usd_per_year[1].value),
            usd(one.usd_per_year[3].value),
            usd(sum(one.spent_usd.values())),
            "–" if paid is None else "never" if paid.calls_to_pay is None else f"{paid.calls_to_pay:,.0f} a year",
            payback(paid),
        )
    shown.caption = f"95 % intervals; ≈ priced, not measured; payback against {found.incumbent}"
    return shown


def sensitivity_table(found: "Account") -> "Table":
    """What the last rung's worth hangs on, the assumption that moves most first."""
    from rich.table import Table

    from components.report.words import usd

    rung = found.rungs[-1]
    shown = Table("assumption", "values", title=f"What is left of {rung.name} after {found.horizon_years:g} years")
    shown.add_column("left", justify="right")
    for swing in rung.sensitivity:
        ends = (f"{'−' if net < 0 else ''}{usd(abs(net))}" for net in (swing.net_usd_low, swing.net_usd_high))
        shown.add_row(swing.name, f"{swing.low} to {swing.high}", " to ".join(ends))
    return shown


def price_table(found: "tuple[Checked, ...]") -> "Table":
    """A row for each model."""
    from rich.table import Table

    shown = Table("model", "here, in / out", "catalogue, in / out", "", title="$ a million tokens")
    for one in found:
        listed = "–" if one.catalogue is None else " / ".join(f"{price:g}" for price in one.catalogue)
        shown.add_row(one.model, " / ".join(f"{price:g}" for price in one.here), listed, one.verdict)
    return shown


def reproduced_table(found: "Reproduced") -> "Table":
    """What was recorded, and what came out now."""
    from rich.table import Table

    title = f"{found.workload} version {found.version} ({found.rung}) from {found.commit[:12]}"
    shown = Table("", "what", "recorded", "now", title=title)
    for one in found.compared:
        shown.add_row("=" if one.same else "≠", one.what, one.recorded, one.found)
    return shown


def _print(table: "Table") -> None:
    from rich.console import Console

    console = Console()
    table.title_justify = table.caption_justify = "left"
    (console if console.width >= WIDTH else Console(width=WIDTH)).print(table)
