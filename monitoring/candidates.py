"""Which answers of production are known to be right: corrected by people, or scored as right by somebody.

Decides what counts; the harvest decides how many are kept, and for which split. In the labelling sample (`labelling`)
only reviewers' labels count, and only once nearly all of it is labelled: answers that nobody has labelled yet may be
the wrong ones.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.data.harvest import Candidate
from components.params import LabellingParams
from components.records import Feedback, Scored, Trace, request_id
from components.scorers import JsonSchemaScorer
from components.scorers.answers import NotAnAnswer, read
from monitoring.columns import whole
from monitoring.labelling import drawn, is_checked, is_drawn
from monitoring.lake import Lake
from monitoring.voices import voices
from monitoring.windows import best_scores


@dataclass(frozen=True)
class Terms:
    """What counts as right, in which form it is read, and which requests are in the labelling sample.

    `moved` are slices as `field=label`, whose answers are marked.
    """

    min_score: float
    moved: Collection[str] = ()
    schema: Mapping[str, Any] | None = None
    labelling: LabellingParams = field(default_factory=LabellingParams)


def candidates(lake: Lake, workload: str, since: float, terms: Terms) -> list[Candidate]:
    """The right answers since a time, oldest first.

    Answers to callers' own prompts are left out, because they teach nothing about the workload; so are corrections
    without the schema's form (a JSON object if there is no schema), and answers with contradictory corrections. Of an
    answer that was cut only a correction is learnt from: training would take its last words for its end.
    """
    feedback, scores = lake.read(Feedback, workload, since), best_scores(lake.read(Scored, workload, since))
    known = {request_id(name) for name in (*(word.trace_id for word in feedback), *scores)}
    traces = lake.about(workload, known, (since, float("inf")))[0]
    heard = voices(feedback, traces)
    free, judging = list[Candidate](), list[Candidate]()
    for trace in traces:
        if not (trace.returned and trace.input) or trace.id in heard.conflicts:
            continue
        aside = is_drawn(trace.id, terms.labelling.share)
        if right := _right(trace, heard.counts.get(trace.id), scores.get(trace.id), terms):
            if not aside:
                free += [right] if right.source == "corrected" or not trace.cut else []
            elif right.reviewed and is_checked(trace.id, terms.labelling):
                judging.append(right.model_copy(update={"drawn": True}))
    return [*free, *_labelled_in_full(lake, workload, since, judging, terms.labelling)]


def _right(trace: Trace, said: Feedback | None, score: Scored | None, terms: Terms) -> Candidate | None:
    """The right answer to a trace's request, if somebody knows it."""
    answer = None if said is None else said.corrected
    if said is not None and answer is not None:
        return _candidate(trace, answer, said, terms) if _is_answer(answer, terms.schema) else None
    if said is not None and said.score is not None:  # a stored score may be of an earlier word
        return _candidate(trace, None, said, terms) if trace.valid and said.score >= terms.min_score else None
    if trace.valid and score is not None and score.value >= terms.min_score:
        return _candidate(trace, None, score, terms)
    return None


def _labelled_in_full(
    lake: Lake, workload: str, since: float, judging: Sequence[Candidate], labelling: LabellingParams
) -> Sequence[Candidate]:
    """The labelled answers of the sample; none if too many of it, up to the last label, have no label.

    A failure is not an answer that somebody could label, and is not waited for.
    """
    if not judging:
        return ()
    labelled, reached = {candidate.trace_id for candidate in judging}, 0
    traces = drawn(lake, workload, labelling.share, (since, float("inf")))
    traces = [trace for trace in traces if is_checked(trace.id, labelling)]
    answers = [trace for trace in traces if trace.id in labelled or not trace.failed]
    for place, trace in enumerate(answers, start=1):
        reached = place if trace.id in labelled else reached
    return judging if len(judging) >= labelling.complete * reached else ()


def _candidate(trace: Trace, answer: str | None, word: Feedback | Scored, terms: Terms) -> Candidate:
    """An answer that is right by somebody's word: corrected to `answer`, or as it was given (None)."""
    return Candidate(
        trace_id=trace.id,
        input=trace.input,
        answer=trace.text if answer is None else answer,
        source="scored" if answer is None else "corrected",
        moved=_in_slices(trace, terms.moved, terms.schema),
        sender=word.person,
        reviewed=word.reviewer,
    )


def obeying(right: Sequence[Candidate], schema: Mapping[str, Any]) -> list[Candidate]:
    """The candidates whose answer the workload's schema allows; masking may have broken some."""
    scorer = JsonSchemaScorer(schema)
    return [candidate for candidate in right if scorer.allows(candidate.answer)]


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
        return f"{whole('valid', schema or {})}=invalid" in slices
    return any(f"{field}={value}" in slices for field, value in answer.items())
