"""Which answers of production are known to be right: corrected by people, or scored as right by somebody.

Decides what counts; how many are kept, and for which split, is the harvest's business.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from components.data.harvest import Candidate
from components.records import Completion, Example, Feedback, Scored, Trace, request_id
from components.scorers import JsonSchemaScorer
from components.scorers.answers import NotAnAnswer, read
from monitoring.lake import Lake
from monitoring.voices import voices
from monitoring.windows import best_scores

_NOBODY = Example(id="", input={}, demonstration="", reference="", group="")


def candidates(  # noqa: PLR0913, PLR0917 - what counts as right, and in which form it is read, are six things
    lake: Lake,
    workload: str,
    since: float,
    min_score: float,
    moved: Collection[str] = (),
    schema: Mapping[str, Any] | None = None,
) -> list[Candidate]:
    """The right answers since a time, oldest first; `moved` are slices as `field=label`, whose answers are marked.

    Answers to prompts of a caller's own teach nothing about the workload, and are left out; so is a correction that is
    no answer of the schema's form (a JSON object where there is none), and an answer whose corrections contradict each
    other.
    """
    told, scores = lake.read(Feedback, workload, since), best_scores(lake.read(Scored, workload, since))
    known = {request_id(name) for name in (*(one.trace_id for one in told), *scores)}
    traces = lake.about(workload, known, (since, float("inf")))[0]
    heard = voices(told, traces)
    found: list[Candidate] = []
    for trace in traces:
        if not (trace.returned and trace.input) or trace.id in heard.conflicts:
            continue
        said, score = heard.counts.get(trace.id), scores.get(trace.id)
        answer = None if said is None else said.corrected
        if said is not None and answer is not None and _is_answer(answer, schema):
            found.append(_candidate(trace, answer, said, moved, schema))
        elif answer is None and trace.valid and score is not None and score.value >= min_score:
            found.append(_candidate(trace, None, score, moved, schema))
    return found


def _candidate(
    trace: Trace,
    answer: str | None,
    word: Feedback | Scored,
    moved: Collection[str],
    schema: Mapping[str, Any] | None,
) -> Candidate:
    """An answer that is right by somebody's word: as it was corrected, or as it was given (None)."""
    return Candidate(
        trace_id=trace.id,
        input=trace.input,
        answer=trace.text if answer is None else answer,
        source="scored" if answer is None else "corrected",
        moved=_in_slices(trace, moved, schema),
        sender=word.sender,
        reviewed=word.reviewer,
    )


def obeying(found: Sequence[Candidate], schema: Mapping[str, Any]) -> list[Candidate]:
    """Those whose answer a workload's schema allows; what is kept of an answer is masked, and may break it by that."""
    scorer = JsonSchemaScorer(schema)
    return [one for one in found if scorer.score(_NOBODY, Completion.of_text(one.trace_id, one.answer)).passed]


def _is_answer(text: str, schema: Mapping[str, Any] | None) -> bool:
    try:
        read(text, schema)
    except NotAnAnswer:
        return False
    return True


def _in_slices(trace: Trace, slices: Collection[str], schema: Mapping[str, Any] | None) -> bool:
    try:
        answer = read(trace.text, schema)
    except NotAnAnswer:
        return "valid=invalid" in slices
    return any(f"{field}={value}" in slices for field, value in answer.items())
