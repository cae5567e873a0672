"""Commands to check scorer and demonstrations before training: the certificate and the label audit."""

from typing import TYPE_CHECKING

import typer

from flows.production import LadderName, Profile, Workload, prefect_home

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from components.evaluation.certificate import Certificate
    from components.evaluation.label_audit import Suspect
    from components.stages.run import Run

trust = typer.Typer(add_completion=False)
SHOWN = 10  # suspects


@trust.command("certify", epilog="Example: [bold]gradus certify triage[/]")
def certify_scorer(workload: Workload, profile: Profile = "nano", ladder: LadderName = None) -> None:
    """Test the workload's scorer: how often it errs, what it overlooks, which cheap tricks it rewards.

    People's labels in data/WORKLOAD/labels.jsonl come first ({"example_id" or "input", "answer", "right", "annotator"}
    a line); without them answers are made from dev. Floors are in params/pipeline.yaml under `certificate`; RL does not
    start below them. Ends with code 1 below the floor.
    """
    from components.evaluation.certificate import Certificate
    from components.records import read_record
    from components.stages.certified import certificate_file, verdict
    from components.stages.certify import tried_on
    from components.stages.run import Run

    run = Run.of(workload, profile, ladder)
    _make(run, "certify", tried_on(run))
    certificate = read_record(certificate_file(run), Certificate)
    _show(certificate)
    typer.echo(f"{verdict(certificate).capitalize()}. Record: {certificate_file(run)}")
    if not certificate.passed:
        raise typer.Exit(1)


@trust.command("audit", epilog="Example: [bold]gradus audit triage[/]")
def audit_demonstrations(workload: Workload, profile: Profile = "nano", ladder: LadderName = None) -> None:
    """Find demonstrations that look wrong, and list them for people to review.

    Models that have not seen a demonstration say how likely its values are; no reference is read.
    """
    from rich.console import Console

    from components.evaluation.label_audit import Audit, Suspect
    from components.records import read_jsonl, read_record
    from components.stages.audit import audit_folder, in_words
    from components.stages.run import Run

    run = Run.of(workload, profile, ladder)
    _make(run, "audit", [])
    folder = audit_folder(run)
    table = suspects_table(read_jsonl(folder / "suspects.jsonl", Suspect)[:SHOWN])
    Console(width=max(120, Console().width)).print(table)
    typer.echo(in_words(read_record(folder / "audit.json", Audit)))
    typer.echo(f"For review: {folder / 'suspects.csv'}")


def suspects_table(suspects: "Sequence[Suspect]") -> "Table":
    """A row for each demonstration that looks wrong."""
    from rich.markup import escape
    from rich.table import Table

    from components.data.texts import visible

    table = Table("example", "field", "demonstration", "likelier", "wrong")
    for suspect in suspects:
        words = (suspect.example_id, suspect.field, suspect.value, suspect.suggested, f"{suspect.probability:.0%}")
        table.add_row(*(escape(visible(word)) for word in words))
    return table


def _make(run: "Run", stage: str, rungs: list[str]) -> None:
    """Reproduce a stage and the data; if a rung that it may use was not made yet, run it without."""
    prefect_home()
    from components.stages.graph import write_graph
    from flows.reproduce import reproduce

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


def _show(certificate: "Certificate") -> None:
    """Print a certificate as a table."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    title = f"{certificate.workload}: labels {certificate.source}"
    table = Table("what", "share", "95 % interval", "answers", title=title)
    shares = {"wrong answers that pass": certificate.false_positive}
    shares |= {"right answers refused": certificate.false_negative}
    shares |= {"the same when scored again": certificate.repeatable}
    shares |= {f"the same with {kind}": share for kind, share in certificate.indifferent.items()}
    shares |= {f"lower with {field} wrong": share for field, share in certificate.sensitive.items()}
    for name, share in shares.items():
        if share is not None:
            table.add_row(escape(name), f"{share.value:.1%}", f"{share.low:.1%} to {share.high:.1%}", f"{share.n:,}")
    for name, trick in certificate.exploits.items():
        passed = trick.passed
        row = (f"trick {name}: mean value", f"{trick.value:.2f}", f"{passed.value:.0%} pass", f"{passed.n:,}")
        table.add_row(*map(escape, row))
    console = Console(width=max(120, Console().width))
    console.print(table)
    if certificate.kappa is not None:
        console.print(f"Cohen's kappa with the labels {certificate.kappa:.2f}.")
    for reason in certificate.reasons:
        console.print(f"Below the floor: {escape(reason)}.")
