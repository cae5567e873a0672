"""The command that labels: people review answers that were set aside, one by one."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from flows.production import Profile, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from components.records import Feedback, Trace

label = typer.Typer(add_completion=False)
RIGHT, LATER = "", "?"


@label.command("label", epilog="Example: [bold]gradus label triage --most 50[/]")
def label_drawn(
    workload: Workload,
    profile: Profile = "nano",
    most: Annotated[int, typer.Option(min=1, help="The maximum number of answers to show.")] = 50,
    hours: Annotated[float, typer.Option(min=0, help="Answers of the last HOURS hours.")] = 168,
) -> None:
    """Label randomly drawn answers (serving.labelling), the oldest first: right as they are, or corrected.

    Enter accepts an answer, any other input replaces it, ? leaves it for later. Label all of them, easy and hard: those
    left out may be the wrong ones. Labels count as a reviewer's.
    """
    from components.stages.run import STATE, Run
    from monitoring.labelling import keep, waiting
    from monitoring.lake import Lake
    from monitoring.windows import HOUR_S

    run, lake, now = Run.of(workload, profile), Lake.of(STATE / "lake"), time.time()
    labelling = run.workload.serving.labelling
    if not labelling.share:
        typer.echo(f"No answers of {workload} are drawn for labelling: serving.labelling.share is 0.")
    left = waiting(lake, workload, labelling, (now - hours * HOUR_S, now))
    count = 0
    for number, trace in enumerate(left[:most], start=1):
        typer.echo(f"\n{number} of {min(most, len(left))}  {trace.id}")
        for line in lines(trace):
            typer.echo(line)
        if feedback := ask_person(trace, run.workload.output):
            count += keep(lake, [feedback])
    typer.echo(f"{count:,} labelled, {len(left) - count:,} wait.")


def lines(trace: "Trace") -> "Iterator[str]":
    """What was asked, and the answer; nothing that a customer or a model wrote begins a line as these do."""
    from components.data.texts import visible

    for name, text in trace.input.items():
        yield f"  {visible(name)}: {visible(text)}"
    yield f"  answer: {visible(trace.text)}"


def ask_person(trace: "Trace", schema: "Mapping[str, Any]") -> "Feedback | None":
    """A person's judgement of an answer, repeated until it is valid; None if it is left for later."""
    from components.data.masking import mask
    from components.data.texts import visible
    from components.records import Feedback
    from components.scorers import JsonSchemaScorer
    from monitoring.labelling import LABELLER
    from monitoring.voices import content

    scorer = JsonSchemaScorer(schema)
    while True:
        entry = typer.prompt("right (Enter), the right answer, or ?", default=RIGHT, show_default=False).strip()
        if entry == LATER:
            return None
        text = entry or trace.text
        objection = scorer.objection(text)
        if objection is None:
            right = content(text) == content(trace.text)  # retyping the same answer confirms it
            return Feedback(
                trace_id=trace.id, at=max(time.time(), trace.at), workload=trace.workload, score=float(right),
                corrected=mask(text), sender=LABELLER, reviewer=True,
            )  # fmt: skip
        typer.echo(f"Expected an answer that the workload's schema allows, found: {visible(objection)}")
