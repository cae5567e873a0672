"""The command that labels: requests that were set aside, one after the other, each with its right answer."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from flows.production import Profile, Workload

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from components.records import Feedback, Trace

label = typer.Typer(add_completion=False)
RIGHT, LATER = "", "?"


@label.command("label", epilog="Example: [bold]gradus label triage --most 50[/]")
def label_drawn(
    workload: Workload,
    profile: Profile = "nano",
    most: Annotated[int, typer.Option(min=1, help="Answers that are shown at most.")] = 50,
    hours: Annotated[float, typer.Option(min=0, help="Answers of the last so many hours.")] = 168,
) -> None:
    """Label answers that were drawn at random (serving.labelling), the oldest first: right as they are, or corrected.

    Enter says that an answer is right, anything else is the right answer in its place, ? leaves it for later. All of
    them are to be labelled, the easy and the hard: what is left out may be what was wrong. They are a reviewer's word.
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
    kept = 0
    for number, trace in enumerate(left[:most], start=1):
        typer.echo(f"\n{number} of {min(most, len(left))}  {trace.id}")
        for name, text in trace.input.items():
            typer.echo(f"  {name}: {text}")
        typer.echo(f"  answer: {trace.text}")
        if word := asked(trace, run.workload.output):
            kept += keep(lake, [word])
    typer.echo(f"{kept:,} labelled, {len(left) - kept:,} wait.")


def asked(trace: "Trace", schema: "Mapping[str, Any]") -> "Feedback | None":
    """What a person says of an answer, asked again while it is no answer; None where it is left for later."""
    from components.data.masking import mask
    from components.records import Feedback
    from components.scorers import JsonSchemaScorer
    from monitoring.labelling import LABELLER
    from monitoring.voices import content

    scorer = JsonSchemaScorer(schema)
    while True:
        said = typer.prompt("right (Enter), the right answer, or ?", default=RIGHT, show_default=False).strip()
        if said == LATER:
            return None
        text = said or trace.text
        objection = scorer.objection(text)
        if objection is None:
            right = content(text) == content(trace.text)  # typed anew, it is right all the same
            return Feedback(
                trace_id=trace.id, at=max(time.time(), trace.at), workload=trace.workload, score=float(right),
                corrected=mask(text), sender=LABELLER, reviewer=True,
            )  # fmt: skip
        typer.echo(f"Expected an answer that the workload's schema allows, found: {objection}")
