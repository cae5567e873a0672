"""Which answers of production are known to be right: corrected by people, or scored as right by somebody.

Decides what counts; how many are kept, and for which split, is the harvest's business. Of requests that were set aside
(`labelling`) reviewers' words alone count, and only where nearly all of them have one: until then they wait, since
those that nobody has labelled yet may be the ones that were wrong.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.data.harvest import Candidate
from components.params import LabellingParams
from components.records import Feedback, Scored, Trace, request_id
from components.scorers import JsonSchemaScorer
from components.scorers.answers import NotAnAnswer, read
from monitoring.labelling import drawn, is_checked, is_drawn
from monitoring.lake import Lake
from monitoring.voices import voices
from monitoring.windows import best_scores


@dataclass(frozen=True)
class Terms:
    """What counts as right, in which form it is read, and which requests were set aside for labelling.

    `moved` are slices as `field=label`, whose answers are marked.
    """

    min_score: float
    moved: Collection[str] = ()
    schema: Mapping[str, Any] | None = None
    labelling: LabellingParams = field(default_factory=LabellingParams)


def candidates(lake: Lake, workload: str, since: float, terms: Terms) -> list[Candidate]:
    """The right answers since a time, oldest first.

    Answers to prompts of a caller's own teach nothing about the workload, and are left out; so is a correction that is
    no answer of the schema's form (a JSON object where there is none), and an answer whose corrections contradict each
    other.
    """
    told, scores = lake.read(Feedback, workload, since), best_scores(lake.read(Scored, workload, since))
    known = {request_id(name) for name in (*(one.trace_id for one in told), *scores)}
    traces = lake.about(workload, known, (since, float("inf")))[0]
    heard = voices(told, traces)
    free, judging = list[Candidate](), list[Candidate]()
    for trace in traces:
        if not (trace.returned and trace.input) or trace.id in heard.conflicts:
            continue
        aside = is_drawn(trace.id, terms.labelling.share)
        if right := _right(trace, heard.counts.get(trace.id), scores.get(trace.id), terms):
            if not aside:
                free.append(right)
            elif right.reviewed and is_checked(trace.id, terms.labelling):
                judging.append(right.model_copy(update={"drawn": True}))
    return [*free, *_labelled_in_full(lake, workload, since, judging, terms.labelling)]


def _right(trace: Trace, said: Feedback | None, score: Scored | None, terms: Terms) -> Candidate | None:
    """The right answer to what a trace was asked, if somebody knows it."""
    answer = None if said is None else said.corrected
    if said is not None and answer is not None:
        return _candidate(trace, answer, said, terms) if _is_answer(answer, terms.schema) else None
    if trace.valid and score is not None and score.value >= terms.min_score:
        return _candidate(trace, None, score, terms)
    return None


def _labelled_in_full(
    lake: Lake, workload: str, since: float, judging: Sequence[Candidate], labelling: LabellingParams
) -> Sequence[Candidate]:
    """Those that were drawn, up to the last label; none where too many before that have none.

    A failure is no answer that somebody could label, and is not waited for.
    """
    if not judging:
        return ()
    labelled, reached = {one.trace_id for one in judging}, 0
    traces = drawn(lake, workload, labelling.share, (since, float("inf")))
    traces = [trace for trace in traces if is_checked(trace.id, labelling)]
    answers = [trace for trace in traces if trace.id in labelled or not trace.failed]
    for place, trace in enumerate(answers, start=1):
        reached = place if trace.id in labelled else reached
    return judging if len(judging) >= labelling.complete * reached else ()


def _candidate(trace: Trace, answer: str | None, word: Feedback | Scored, terms: Terms) -> Candidate:
    """An answer that is right by somebody's word: as it was corrected, or as it was given (None)."""
    return Candidate(
        trace_id=trace.id,
        input=trace.input,
        answer=trace.text if answer is None else answer,
        source="scored" if answer is None else "corrected",
        moved=_in_slices(trace, terms.moved, terms.schema),
        sender=word.sender,
        reviewed=word.reviewer,
    )


def obeying(found: Sequence[Candidate], schema: Mapping[str, Any]) -> list[Candidate]:
    """Those whose answer a workload's schema allows; what is kept of an answer is masked, and may break it by that."""
    scorer = JsonSchemaScorer(schema)
    return [one for one in found if scorer.allows(one.answer)]


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
