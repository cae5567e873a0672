"""Commands of trust before training: a scorer's certificate, and the audit of demonstrations."""

from typing import TYPE_CHECKING

import typer

from flows.production import Profile, Workload, prefect_home

if TYPE_CHECKING:
    from components.evaluation.certificate import Certificate
    from components.stages.run import Run

trust = typer.Typer(add_completion=False)
SHOWN = 10  # suspects


@trust.command("certify", epilog="Example: [bold]gradus certify triage[/]")
def certify_scorer(workload: Workload, profile: Profile = "nano") -> None:
    """Try the workload's scorer: how often it errs, what it overlooks, which cheap tricks it pays for.

    People's labels in data/WORKLOAD/labels.jsonl come first ({"example_id" or "input", "answer", "right", "annotator"}
    a line); without them answers are made from dev. Floors are in params/pipeline.yaml under `certificate`; RL does not
    start below them. Ends with code 1 below the floor.
    """
    from components.evaluation.certificate import Certificate
    from components.records import read_record
    from components.stages.certified import certificate_file, verdict
    from components.stages.certify import tried_on
    from components.stages.run import Run

    run = Run.of(workload, profile)
    _make(run, "certify", tried_on(run))
    found = read_record(certificate_file(run), Certificate)
    _show(found)
    typer.echo(f"{verdict(found).capitalize()}. Record: {certificate_file(run)}")
    if not found.passed:
        raise typer.Exit(1)


@trust.command("audit", epilog="Example: [bold]gradus audit triage[/]")
def audit_demonstrations(workload: Workload, profile: Profile = "nano") -> None:
    """Find demonstrations that look wrong, and write them down for people to look at.

    Models that have not seen a demonstration say how likely its values are; no reference is read.
    """
    from rich.console import Console
    from rich.table import Table

    from components.evaluation.label_audit import Audit, Suspect
    from components.records import read_jsonl, read_record
    from components.stages.audit import audit_folder, in_words
    from components.stages.run import Run

    run = Run.of(workload, profile)
    _make(run, "audit", [])
    folder = audit_folder(run)
    table = Table("example", "field", "demonstration", "likelier", "wrong")
    for one in read_jsonl(folder / "suspects.jsonl", Suspect)[:SHOWN]:
        table.add_row(one.example_id, one.field, one.value, one.suggested, f"{one.probability:.0%}")
    Console(width=max(120, Console().width)).print(table)
    typer.echo(in_words(read_record(folder / "audit.json", Audit)))
    typer.echo(f"For review: {folder / 'suspects.csv'}")


def _make(run: "Run", stage: str, rungs: list[str]) -> None:
    """Reproduce a stage and the data; where a rung that it may use is not there yet, run it without."""
    prefect_home()
    from components.stages.graph import write_graph
    from flows.tasks import reproduce

    write_graph(run)
    reproduce(run, "data")
    missing = [name for name in rungs if not run.is_made(name)]
    if not missing:
        reproduce(run, stage)
        return
    from components.stages import call
    from components.tracking import NullTracker

    typer.echo(f"There is no rung {missing[0]} yet: known-wrong answers are made without it.", err=True)
    call(stage, run, NullTracker())


def _show(found: "Certificate") -> None:
    """Print a certificate as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "share", "95 % interval", "answers", title=f"{found.workload}: labels {found.source}")
    shares = {"wrong answers that pass": found.false_positive, "right answers refused": found.false_negative}
    shares |= {"the same when scored again": found.repeatable}
    shares |= {f"the same with {kind}": one for kind, one in found.indifferent.items()}
    shares |= {f"lower with {field} wrong": one for field, one in found.sensitive.items()}
    for name, one in shares.items():
        if one is not None:
            table.add_row(name, f"{one.value:.1%}", f"{one.low:.1%} to {one.high:.1%}", f"{one.n:,}")
    for name, trick in found.exploits.items():
        passed = trick.passed
        table.add_row(f"trick {name}: mean value", f"{trick.value:.2f}", f"{passed.value:.0%} pass", f"{passed.n:,}")
    console = Console(width=max(120, Console().width))
    console.print(table)
    if found.kappa is not None:
        console.print(f"Cohen's kappa with the labels {found.kappa:.2f}.")
    for reason in found.reasons:
        console.print(f"Below the floor: {reason}.")
