"""Commands about verdicts: what a version changed against another, and whether a kept decision can be reproduced."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.production import LadderName, Profile, Workload

if TYPE_CHECKING:
    from rich.table import Table

    from components.records import Verdict
    from components.stages.versions import ChangedAnswer, VersionComparison

verdicts = typer.Typer(add_completion=False)
MOST_CHARACTERS = 400  # of an input or an answer


@verdicts.command("compare", epilog="Example: [bold]gradus compare triage sft grpo[/]")
def compare_two(
    workload: Workload,
    before: Annotated[str, typer.Argument(help="A rung, a prompt, a version's number, or an alias.")],
    after: Annotated[str, typer.Argument(help="Another one, whose changes are shown.")],
    profile: Profile = "nano",
    ladder: LadderName = None,
    split: Annotated[Literal["dev", "test"], typer.Option(help="The split whose examples are compared.")] = "test",
    examples: Annotated[int, typer.Option(min=0, help="How many fixed and how many broken examples are shown.")] = 3,
    json_out: Annotated[Path | None, typer.Option(help="Also write everything, all examples, to this file.")] = None,
) -> None:
    """Show what a version fixed and broke against another, on which slices, with examples.

    Uses the evaluation's answers; a version without them answers now. The sealed split is not read. Also names
    must-pass cases that the second version fails.
    """
    from rich.console import Console

    from components.records import write_record
    from components.stages.run import Run
    from components.stages.versions import compare_versions

    comparison = compare_versions(Run.of(workload, profile, ladder), (before, after), split)
    console = Console(width=max(120, Console().width))
    typer.echo(sentence(comparison))
    if comparison.slices:
        console.print(slice_table(comparison))
    for title, changed in (("Fixed", comparison.fixed), ("Broken", comparison.broken)):
        for answer in changed[:examples]:
            typer.echo(f"\n{title}: {as_text(answer)}")
    if json_out is not None:
        write_record(json_out, comparison)
        typer.echo(f"\nWritten: {json_out}")


@verdicts.command("replay", epilog="Example: [bold]gradus replay triage[/]")
def replay_gate(
    workload: Workload,
    profile: Profile = "nano",
    ladder: LadderName = None,
    file: Annotated[Path | None, typer.Option(help="A gate.json; by default that of the run's last climb.")] = None,
) -> None:
    """Make the gate's decisions again from their stored numbers and settings; ends with code 1 if one differs.

    A decision stores all that it was made from: counts, intervals, p-values, slices, the look and the level. What stays
    sealed while the split is in use lies in `sealed.json` beside it, is read, and is not shown.
    """
    from rich.console import Console

    from components.stages.gate import replayed
    from components.stages.run import Run

    path = file or Run.of(workload, profile, ladder).folder / "gate" / "gate.json"
    pairs = replayed(path)
    Console(width=max(120, Console().width)).print(replay_table(pairs))
    if any(kept != again for kept, again in pairs):
        raise typer.Exit(1)


def sentence(comparison: "VersionComparison") -> str:
    """The comparison in words."""
    overall, (was, now) = comparison.overall, comparison.accuracy
    before, after, cases = comparison.before, comparison.after, ", ".join(comparison.failed_cases)
    failed = f" {after} fails what it must pass: {cases}." if cases else ""
    return (
        f"{after} is right on {now:.1%} of {comparison.n:,} {comparison.split} examples, {before} on {was:.1%}: "
        f"{100 * overall.delta:+.1f} points (95 % interval {100 * overall.low:+.1f} to {100 * overall.high:+.1f}, "
        f"p = {overall.p_value:.2g}), {overall.fixed:,} fixed and {overall.broken:,} broken.{failed}"
    )


def slice_table(comparison: "VersionComparison") -> "Table":
    """A row for each slice, the worst change first."""
    from rich.markup import escape
    from rich.table import Table

    from components.data.texts import visible

    table = Table(title="By slice, the worst first", title_justify="left")
    table.add_column("slice")
    for heading in ("examples", "fixed", "broken", "points", "95 % interval", "p (Holm)"):
        table.add_column(heading, justify="right", no_wrap=True)
    for part in sorted(comparison.slices, key=lambda slice_: slice_.delta):
        worse = part.delta < 0 and part.adjusted_p < 0.05
        table.add_row(
            escape(visible(part.name)), f"{part.n:,}", str(part.fixed), str(part.broken), f"{100 * part.delta:+.1f}",
            f"{100 * part.low:+.1f} to {100 * part.high:+.1f}", f"{part.adjusted_p:.2g}",
            style="bold red" if worse else None,
        )  # fmt: skip
    return table


def as_text(answer: "ChangedAnswer") -> str:
    """A fixed or broken example as text."""
    from components.data.texts import visible

    lines = ["\n".join(answer.input.values()), f"before:    {answer.before}", f"after:     {answer.after}"]
    lines = [*lines, f"reference: {answer.reference}"]
    return f"{visible(answer.example_id)}\n" + "\n".join(f"  {_short(line)}" for line in lines)


def replay_table(pairs: "list[tuple[Verdict, Verdict]]") -> "Table":
    """A row for each decision, with today's result."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="Decisions, made again from their numbers", title_justify="left")
    for heading in ("challenger", "against", "look", "alpha", "p", "kept decision", "again", ""):
        table.add_column(heading, no_wrap=True)
    for kept, again in pairs:
        p = kept.numbers.p_value if kept.numbers else None
        table.add_row(
            escape(kept.challenger), escape(kept.champion), str(kept.look), _number(kept.alpha), _number(p),
            kept.decision, again.decision, "the same" if kept == again else "[bold red]differs[/]",
        )  # fmt: skip
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}"


def _short(text: str) -> str:
    from components.data.texts import visible

    flat = visible(text)
    return flat if len(flat) <= MOST_CHARACTERS else flat[:MOST_CHARACTERS].rstrip() + " …"
