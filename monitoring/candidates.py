"""Which answers of production are known to be right: corrected by people, or scored as right by somebody.

Decides what counts; how many are kept, and for which split, is the harvest's business.
"""

from collections.abc import Collection, Mapping
from typing import Any

from components.data.harvest import Candidate
from components.records import Feedback, Scored, Trace, request_id
from components.scorers.answers import NotAnAnswer, read
from monitoring.lake import Lake
from monitoring.windows import best_scores


def candidates(  # noqa: PLR0913, PLR0917 - what counts as right, and in which form it is read, are six things
    lake: Lake,
    workload: str,
    since: float,
    min_score: float,
    moved: Collection[str] = (),
    schema: Mapping[str, Any] | None = None,
) -> list[Candidate]:
    """The right answers since a time, oldest first; `moved` are slices as `field=label`, whose answers are marked.

    Answers to prompts of a caller's own teach nothing about the workload, and are left out; so is a correction that
    is no answer of the schema's form, a JSON object where there is none.
    """
    corrected = {one.trace_id: one.corrected for one in lake.read(Feedback, workload, since) if one.corrected}
    scores = best_scores(lake.read(Scored, workload, since))
    found: list[Candidate] = []
    known = {request_id(name) for name in (*corrected, *scores)}
    for trace in lake.about(workload, known, (since, float("inf")))[0]:
        if not (trace.returned and trace.input):
            continue
        answer = corrected.get(trace.id)
        score = scores.get(trace.id)
        right = answer is None and trace.valid and score is not None and score.value >= min_score
        if (answer is not None and _is_answer(answer, schema)) or right:
            found.append(
                Candidate(
                    trace_id=trace.id,
                    input=trace.input,
                    answer=trace.text if answer is None else answer,
                    source="scored" if answer is None else "corrected",
                    moved=_in_slices(trace, moved, schema),
                )
            )
    return found


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
