"""Commands that advise and account: which rung next, what it costs, do prices hold, can a version be made again."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.production import LadderName, Profile, Workload

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
    ladder: LadderName = None,
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

    run = Run.of(workload, profile, ladder)
    params = run.advice if trial is None else run.advice.model_copy(update={"trial_demonstrations": trial})
    tags = {"run": run.name, "stage": "advise", "git_commit": git_commit()}
    with open_run(run.workload.name, f"{run.name}/advise", tags) as tracker:
        given = advise_run(run, tracker, params)
    _print(advice_table(given))
    _print(ways_table(given))
    typer.echo(given.headline)
    if following := given.evidence.at_hand.ladders.get(given.choice.rung):
        typer.echo(f"  Next: gradus run {workload} --profile {profile} --ladder {following}")
    for line in (*given.define, *given.changes):
        typer.echo(f"  {line}")


@advice.command("economics", epilog="Example: [bold]gradus economics triage --calls 20000000[/]")
def account_for(
    workload: Workload,
    profile: Profile = "nano",
    ladder: LadderName = None,
    calls: Annotated[int | None, typer.Option(min=1, help="Calls a year, in place of the workload's.")] = None,
) -> None:
    """Show each rung's cost for a call, a right call and a year, what was spent on it, and when it has paid back.

    Uses the run's measurements and today's params/prices.yaml; calls no model. Intervals are 95 %.
    """
    from dataclasses import replace

    from components.stages.economics import account
    from components.stages.run import Run

    run = Run.of(workload, profile, ladder)
    if calls is not None:
        traffic = run.workload.traffic.model_copy(update={"calls_per_year": calls})
        run = replace(run, workload=run.workload.model_copy(update={"traffic": traffic}))
    drawn_up = account(run, date.today())
    _print(account_table(drawn_up))
    if drawn_up.rungs[-1].sensitivity:
        _print(sensitivity_table(drawn_up))
    for note in drawn_up.notes:
        typer.echo(f"  {note}")


@advice.command("prices")
def check_prices() -> None:
    """Compare the prices in params/prices.yaml with a library's catalogue; ends with code 1 if any differ."""
    from components.economics import check, load_prices
    from components.stages.run import PRICES

    checked = check(load_prices(PRICES))
    _print(price_table(checked))
    if any(price.verdict == "differs" for price in checked):
        raise typer.Exit(1)


@advice.command("reproduce", epilog="Example: [bold]gradus reproduce triage 3[/]")
def reproduce_version(
    workload: Workload,
    version: Annotated[int, typer.Argument(metavar="VERSION", min=1, help="The registered version to make again.")],
) -> None:
    """Make a registered version again from its commit and data, and compare metrics, answers and weights.

    Runs the stages that the version depends on in a clean folder under state/reproduce/, with as many threads as then.
    Ends with code 1 if anything differs.
    """
    from components.stages.reproduce import reproduce

    reproduced = reproduce(workload, version, Path.cwd())
    _print(reproduced_table(reproduced))
    for note in reproduced.notes:
        typer.echo(f"  {note}")
    typer.echo("identical" if reproduced.identical else "It differs.")
    if not reproduced.identical:
        raise typer.Exit(1)


def advice_table(advice: "Advice") -> "Table":
    """A table of the evidence."""
    from rich.markup import escape
    from rich.table import Table

    title = f"{advice.workload}: {advice.evidence.standing.name} stands"
    shown = Table("question", "what was found", "so", title=title)
    for line in advice.table:
        shown.add_row(*map(escape, (line.question, line.finding, line.reading)))
    return shown


def ways_table(advice: "Advice") -> "Table":
    """All options, the cheapest first: expected gain, what each takes, and why it is advised or not."""
    from rich.markup import escape
    from rich.table import Table

    from components.advice.words import points, taking

    shown = Table(title="What may come next, the cheapest first")
    for name, width in (("way", 25), ("points", 22), ("takes", 15)):
        shown.add_column(name, no_wrap=True, min_width=width)
    shown.add_column("verdict", no_wrap=True, overflow="ellipsis")
    for way in advice.ways:
        advised = way.rung == advice.choice.rung
        verdict = f"advised: {way.speaks}" if advised else way.against or way.speaks
        gain = "–" if way.gain is None else points(way.gain)
        row = map(escape, (way.label, gain, taking(way.takes), verdict))
        shown.add_row(*row, style="bold" if advised else "dim" * bool(way.against))
    return shown


def account_table(drawn_up: "Account") -> "Table":
    """A row for each rung."""
    from rich.table import Table

    from components.report.economics import payback
    from components.report.words import usd

    def interval(bounds: "Interval") -> str:
        return f"{usd(bounds.value)}\n{usd(bounds.low)}–{usd(bounds.high)}"

    shown = Table(title=f"{drawn_up.calls_per_year:,} calls a year, growing by {drawn_up.growth_per_year:.0%}")
    shown.add_column("rung", no_wrap=True)
    for name in ("1,000 calls", "1,000 right ones", "first year", "third year", "once", "pays from", "has paid back"):
        shown.add_column(name, justify="right")
    for rung in drawn_up.rungs:
        paid = rung.payback
        shown.add_row(
            rung.name if rung.measured else f"{rung.name} ≈",
            interval(rung.usd_per_1k_calls),
            interval(rung.usd_per_1k_correct) if rung.usd_per_1k_correct else "–",
            usd(rung.usd_per_year[1].value),
            usd(rung.usd_per_year[3].value),
            usd(sum(rung.spent_usd.values())),
            "–" if paid is None else "never" if paid.calls_to_pay is None else f"{paid.calls_to_pay:,.0f} a year",
            payback(paid),
        )
    shown.caption = f"95 % intervals; ≈ priced, not measured; payback against {drawn_up.incumbent}"
    return shown


def sensitivity_table(drawn_up: "Account") -> "Table":
    """What the last rung's value depends on, the most influential assumption first."""
    from rich.table import Table

    from components.report.words import usd

    rung = drawn_up.rungs[-1]
    shown = Table("assumption", "values", title=f"What is left of {rung.name} after {drawn_up.horizon_years:g} years")
    shown.add_column("left", justify="right")
    for swing in rung.sensitivity:
        ends = (f"{'−' if net < 0 else ''}{usd(abs(net))}" for net in (swing.net_usd_low, swing.net_usd_high))
        shown.add_row(swing.name, f"{swing.low} to {swing.high}", " to ".join(ends))
    return shown


def price_table(checked: "tuple[Checked, ...]") -> "Table":
    """A row for each model."""
    from rich.table import Table

    shown = Table("model", "here, in / out", "catalogue, in / out", "", title="$ a million tokens")
    for price in checked:
        listed = "–" if price.catalogue is None else " / ".join(f"{usd:g}" for usd in price.catalogue)
        shown.add_row(price.model, " / ".join(f"{usd:g}" for usd in price.here), listed, price.verdict)
    return shown


def reproduced_table(reproduced: "Reproduced") -> "Table":
    """A row for each compared value: recorded and now."""
    from rich.table import Table

    title = f"{reproduced.workload} version {reproduced.version} ({reproduced.rung}) from {reproduced.commit[:12]}"
    shown = Table("", "what", "recorded", "now", title=title)
    for line in reproduced.compared:
        shown.add_row("=" if line.same else "≠", line.what, line.recorded, line.found)
    return shown


def _print(table: "Table") -> None:
    from rich.console import Console

    console = Console()
    table.title_justify = table.caption_justify = "left"
    (console if console.width >= WIDTH else Console(width=WIDTH)).print(table)
