"""The command that labels: people review answers that were set aside, one by one."""

import os
import select
import sys
import termios
import time
from typing import TYPE_CHECKING, Annotated

import typer

from flows.production import Profile, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from components.records import Feedback, Trace
    from components.scorers import JsonSchemaScorer

label = typer.Typer(add_completion=False)
RIGHT, LATER = "=", "?"
ASKED = f"right (Enter), the right answer, or {LATER}"
ASKED_AGAIN = f"the right answer, {RIGHT} if it is right as it is, or {LATER}"  # Enter may be the end of a paste
_PASTE_S = 0.1  # between the pieces of a paste, at most; nobody reads the next answer sooner


@label.command("label", epilog="Example: [bold]gradus label triage --most 50[/]")
def label_drawn(
    workload: Workload,
    profile: Profile = "nano",
    most: Annotated[int, typer.Option(min=1, help="The maximum number of answers to show.")] = 50,
    hours: Annotated[float, typer.Option(min=0, help="Answers of the last HOURS hours.")] = 168,
) -> None:
    """Label randomly drawn answers (serving.labelling), the oldest first: right as they are, or corrected.

    Enter accepts an answer (after a refused input only = does), any other input replaces it, ? leaves it for later.
    Lines that are pasted together are one answer. Label all of them, easy and hard: those left out may be the wrong
    ones. Labels count as a reviewer's.
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
    """A person's judgement of an answer; None if it is left for later."""
    from components.data.masking import mask
    from components.records import Feedback
    from components.scorers import JsonSchemaScorer
    from monitoring.labelling import LABELLER
    from monitoring.voices import content

    text = right_answer(trace.text, JsonSchemaScorer(schema))
    if text is None:
        return None
    right = content(text) == content(trace.text)  # retyping the same answer confirms it
    return Feedback(
        trace_id=trace.id, at=max(time.time(), trace.at), workload=trace.workload, score=float(right),
        corrected=mask(text), sender=LABELLER, reviewer=True,
    )  # fmt: skip


def right_answer(given: str, scorer: "JsonSchemaScorer") -> str | None:
    """What a person calls the right answer, asked for until it is valid; None if it is left for later."""
    from components.data.texts import visible

    question = ASKED
    while True:
        entry = entered(question)
        if entry == LATER:
            return None
        if not entry and question == ASKED_AGAIN:
            continue
        text = given if entry in ("", RIGHT) else entry
        objection = scorer.objection(text)
        if objection is None:
            return text
        lines = entry.count("\n") + 1
        found = objection if lines == 1 else f"{lines} lines, none of which was taken: {objection}"
        typer.echo(f"Expected an answer that the workload's schema allows, found: {visible(found)}")
        question = ASKED_AGAIN


def entered(question: str) -> str:
    """What a person enters: a line and, on a terminal, the lines that were pasted with it, the last up to its Enter.

    What the terminal received before the question was shown, such as the end of a slow paste, answers nothing.
    """
    if sys.stdin is None or not sys.stdin.isatty():  # None is one that was closed
        return str(typer.prompt(question, default="", show_default=False)).strip()
    termios.tcflush(sys.stdin, termios.TCIFLUSH)
    text = typer.prompt(question, default="", show_default=False) + "\n"
    while rest := _received(sys.stdin.fileno()):
        text += rest if rest.endswith("\n") else f"{rest}{input()}\n"
    return text.strip()


def _received(terminal: int) -> str:
    """What a terminal has received, with a last line that no Enter follows yet."""
    before, received = termios.tcgetattr(terminal), b""
    unbuffered = before.copy()
    unbuffered[3] &= ~termios.ICANON  # which keeps back a line until its Enter
    termios.tcsetattr(terminal, termios.TCSANOW, unbuffered)
    try:
        while select.select([terminal], [], [], _PASTE_S)[0] and (piece := os.read(terminal, 4096)):
            received += piece
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)
    received = received.replace(b"\r", b"\n")  # an Enter, as it is while readline edits a line
    return received.decode(sys.stdin.encoding, sys.stdin.errors or "strict")
