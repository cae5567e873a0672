"""The labelling sample: a random share of requests, drawn independently of how they are answered.

Customers' feedback depends on the answers: wrong ones are corrected, right ones rarely confirmed. So quality is
measured, and models are judged, only by this sample, and only when nearly all of it is labelled. A label is a
reviewer's word; a failure counts as wrong. If people label only a random share of the sample (`checked`), a judge reads
all of it and is corrected by people's labels on that share; a judge that is not shown to be accurate enough is ignored.
Decides which answers are drawn and what counts as a label; the consequences are decided elsewhere.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from components.data.shares import falls_in
from components.evaluation.read_twice import misread, worth
from components.params import LabellingParams
from components.records import Feedback, Interval, Scored, Trace
from monitoring.lake import Lake

PURPOSE, CHECK = "label", "check"
REPLACED = ("~champion", "~canary")  # behind a request's id: a version's own answer, which a second model's replaced
LABELLER = "gradus label"  # the sender of labels that are given on this machine


def is_drawn(trace_id: str, share: float) -> bool:
    """Whether an answer is in the labelling sample, by the id that its caller got, or would have got."""
    name = _name(trace_id)
    return "~" not in name and falls_in(share, PURPOSE, name)


def is_checked(trace_id: str, params: LabellingParams) -> bool:
    """Whether people label an answer: it is in the sample, and in the share of it that people read."""
    return is_drawn(trace_id, params.share) and falls_in(params.checked, CHECK, _name(trace_id))


def _name(trace_id: str) -> str:
    """The id that a version's answer has, or would have if a second model's had not replaced it."""
    return next((trace_id.removesuffix(end) for end in REPLACED if trace_id.endswith(end)), trace_id)


def drawn(
    lake: Lake, workload: str, share: float, window: tuple[float, float], *, replaced: bool = False
) -> list[Trace]:
    """The answers of a window [since, until) in the labelling sample, without those to callers' own prompts.

    With `replaced` also versions' own answers that a second model's replaced.
    """
    if not share:
        return []
    chosen = lake.chosen(workload, lambda name: is_drawn(name, share), window, replaced=replaced)
    return [trace for trace in chosen if trace.input]


@dataclass(frozen=True)
class Sample:
    """The labelling sample of a window up to its last labelled answer: how many were `drawn`, and which were right.

    If a judge reads the whole sample, `read` has the corrected value of each of its `of` answers, and `weight` how many
    answers a person's label counts for; `silent` says why the judge is ignored.
    """

    drawn: int
    right: Mapping[str, bool]
    read: Mapping[str, float] = field(default_factory=dict)
    of: int = 0
    weight: float = 1.0
    silent: str = ""

    def complete(self, share: float) -> bool:
        """Whether at least `share` of the sample is labelled."""
        return bool(self.right) and len(self.right) >= share * self.drawn


def sample(traces: Sequence[Trace], scores: Mapping[str, Scored]) -> Sample:
    """The sample among drawn answers, by their labels. Answers after the last label are not counted yet."""
    labelled = [trace for trace in traces if not trace.failed and _is_label(scores.get(trace.id))]
    last = max((trace.at for trace in labelled), default=float("-inf"))
    reached = [trace for trace in traces if trace.at <= last]
    right = {trace.id: False for trace in reached if trace.failed}
    right |= {trace.id: scores[trace.id].passed for trace in labelled}
    return Sample(len(reached), right)


def sample_read(
    traces: Sequence[Trace], scores: Mapping[str, Scored], verdicts: Mapping[str, bool], params: LabellingParams
) -> Sample:
    """The sample by people's labels on a random share and a judge's `verdicts` on all, up to the last label."""
    checked = [trace for trace in traces if is_checked(trace.id, params)]
    people = sample(checked, scores)
    last = max((trace.at for trace in checked if trace.id in people.right), default=float("-inf"))
    reached = [trace for trace in traces if trace.at <= last]
    failed = {trace.id for trace in reached if trace.failed}
    read_by_judge = {
        trace.id: verdicts[trace.id] for trace in reached if trace.id in verdicts and trace.id not in failed
    }
    truths = {name: right for name, right in people.right.items() if name in read_by_judge}
    customers = {trace.id: trace.customer for trace in reached}
    if silent := _unheard(people, misread(read_by_judge, truths, customers), len(truths), params):
        return replace(people, silent=silent)
    share = len(truths) / len(read_by_judge)  # the realised share, which gives less variance than the nominal one
    read = worth(read_by_judge, truths, share) | dict.fromkeys(failed, 0.0)
    return replace(people, read=read, of=len(reached), weight=1 / share)


def _unheard(people: Sample, errs: Interval | None, both: int, params: LabellingParams) -> str:
    """Why a judge is ignored; empty if it is not."""
    if not people.complete(params.complete):
        return (
            f"Of the {people.drawn:,} answers that people check {len(people.right):,} have a label: waiting for "
            f"{params.complete:.0%} of them (gradus label)."
        )
    if errs is None or both < params.least_checked:
        return f"People and the judge have both read {both:,} answers: waiting for {params.least_checked:,}."
    if errs.high > params.most_misread:
        return (
            f"The judge reads up to {errs.high:.0%} of {both:,} answers differently from people, where "
            f"{params.most_misread:.0%} are allowed: it is ignored."
        )
    return ""


def _is_label(score: Scored | None) -> bool:
    return score is not None and score.reviewer and score.source != "judge"


def waiting(lake: Lake, workload: str, params: LabellingParams, window: tuple[float, float]) -> list[Trace]:
    """The answers that reviewers should label next, oldest first."""
    labelled = {
        feedback.trace_id
        for feedback in lake.read(Feedback, workload, window[0])
        if feedback.reviewer and _labels(feedback)
    }
    traces = drawn(lake, workload, params.share, window)
    return [t for t in traces if t.id not in labelled and not t.failed and is_checked(t.id, params)]


def _labels(feedback: Feedback) -> bool:
    """Whether feedback says what the right answer is: a correction, or that the given one is right."""
    return feedback.corrected is not None or feedback.score == 1


def keep(lake: Lake, labels: Iterable[Feedback]) -> int:
    """Store labels in the lake; returns how many there were."""
    lines = [label.model_dump_json() for label in labels]
    if lines:
        lake.store(f"labels-{hashlib.sha256(''.join(lines).encode()).hexdigest()[:32]}", lines)
    return len(lines)
