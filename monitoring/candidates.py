"""Which answers of production are known to be right: corrected by people, or scored as right by somebody.

Decides what counts; how many are kept, and for which split, is the harvest's business.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from components.data.harvest import Candidate
from components.records import Completion, Example, Feedback, Scored, Trace, request_id
from components.scorers import JsonSchemaScorer
from components.scorers.answers import NotAnAnswer, read_object
from monitoring.lake import Lake
from monitoring.voices import voices
from monitoring.windows import best_scores

_NOBODY = Example(id="", input={}, demonstration="", reference="", group="")


def candidates(
    lake: Lake, workload: str, since: float, min_score: float, moved: Collection[str] = ()
) -> list[Candidate]:
    """The right answers since a time, oldest first; `moved` are slices as `field=label`, whose answers are marked.

    Answers to prompts of a caller's own teach nothing about the workload, and are left out; so is a correction that is
    no JSON object, and an answer whose corrections contradict each other.
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
        if said is not None and answer is not None and _is_object(answer):
            found.append(_candidate(trace, answer, said, moved))
        elif answer is None and trace.valid and score is not None and score.value >= min_score:
            found.append(_candidate(trace, None, score, moved))
    return found


def _candidate(trace: Trace, answer: str | None, word: Feedback | Scored, moved: Collection[str]) -> Candidate:
    """An answer that is right by somebody's word: as it was corrected, or as it was given (None)."""
    return Candidate(
        trace_id=trace.id,
        input=trace.input,
        answer=trace.text if answer is None else answer,
        source="scored" if answer is None else "corrected",
        moved=_in_slices(trace, moved),
        sender=word.sender,
        reviewed=word.reviewer,
    )


def obeying(found: Sequence[Candidate], schema: Mapping[str, Any]) -> list[Candidate]:
    """Those whose answer a workload's schema allows; what is kept of an answer is masked, and may break it by that."""
    scorer = JsonSchemaScorer(schema)
    return [one for one in found if scorer.score(_NOBODY, Completion.of_text(one.trace_id, one.answer)).passed]


def _is_object(text: str) -> bool:
    try:
        read_object(text)
    except NotAnAnswer:
        return False
    return True


def _in_slices(trace: Trace, slices: Collection[str]) -> bool:
    try:
        answer = read_object(trace.text)
    except NotAnAnswer:
        return "valid=invalid" in slices
    return any(f"{field}={value}" in slices for field, value in answer.items())
