"""Requests set aside for labelling in full: a random share, drawn before anybody knows how they were answered.

What customers say of answers depends on how these were: a wrong answer is corrected, a right one rarely confirmed. So
quality is told, and models are judged, by this sample alone, and only where nearly all of it is labelled. A label is a
reviewer's word, or a failure, which is not right. Where people label a share of those that are drawn alone (`checked`),
again a random one, a judge reads all of them, and is corrected by what people say of that share; a judge who is not
shown to misread few is not heard. Decides who is drawn and what counts; what follows is decided elsewhere.
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
LABELLER = "gradus label"  # who labels on this machine, as feedback names senders


def is_drawn(trace_id: str, share: float) -> bool:
    """Whether an answer is set aside, by the id that its caller got."""
    return "~" not in trace_id and falls_in(share, PURPOSE, trace_id)


def is_checked(trace_id: str, params: LabellingParams) -> bool:
    """Whether people label an answer: it is set aside, and of the share of those that they read."""
    return is_drawn(trace_id, params.share) and falls_in(params.checked, CHECK, trace_id)


def drawn(lake: Lake, workload: str, share: float, window: tuple[float, float]) -> list[Trace]:
    """The answers of a window [since, until) that were set aside; those to prompts of a caller's own are none."""
    if not share:
        return []
    return [trace for trace in lake.chosen(workload, lambda name: is_drawn(name, share), window) if trace.input]


@dataclass(frozen=True)
class Sample:
    """The answers of a stretch that people are to label, up to the last one that has a label, and which were right.

    Where a judge reads all that were drawn, `read` has what each is worth, of `of` that there are, and `weight` what
    one word of people's counts there; `silent` says why the judge is not heard.
    """

    drawn: int
    right: Mapping[str, bool]
    read: Mapping[str, float] = field(default_factory=dict)
    of: int = 0
    weight: float = 1.0
    silent: str = ""

    def complete(self, share: float) -> bool:
        """Whether so large a share of it is labelled that the rest cannot say much else."""
        return bool(self.right) and len(self.right) >= share * self.drawn


def sample(traces: Sequence[Trace], scores: Mapping[str, Scored]) -> Sample:
    """What labels say of drawn answers. Those after the last label are not reached yet, and say nothing."""
    labelled = [trace for trace in traces if not trace.failed and _is_label(scores.get(trace.id))]
    last = max((trace.at for trace in labelled), default=float("-inf"))
    reached = [trace for trace in traces if trace.at <= last]
    right = {trace.id: False for trace in reached if trace.failed}
    right |= {trace.id: scores[trace.id].passed for trace in labelled}
    return Sample(len(reached), right)


def sample_read(
    traces: Sequence[Trace], scores: Mapping[str, Scored], verdicts: Mapping[str, bool], params: LabellingParams
) -> Sample:
    """What labels of a random share and a judge's `verdicts` on all say of drawn answers, up to the last label."""
    checked = [trace for trace in traces if is_checked(trace.id, params)]
    people = sample(checked, scores)
    last = max((trace.at for trace in checked if trace.id in people.right), default=float("-inf"))
    reached = [trace for trace in traces if trace.at <= last]
    failed = {trace.id for trace in reached if trace.failed}
    known = {trace.id: verdicts[trace.id] for trace in reached if trace.id in verdicts and trace.id not in failed}
    truths = {name: right for name, right in people.right.items() if name in known}
    if silent := _unheard(people, misread(known, truths), len(truths), params):
        return replace(people, silent=silent)
    share = len(truths) / len(known)  # as it came out, which varies less than the share that was drawn by
    read = worth(known, truths, share) | dict.fromkeys(failed, 0.0)
    return replace(people, read=read, of=len(reached), weight=1 / share)


def _unheard(people: Sample, errs: Interval | None, both: int, params: LabellingParams) -> str:
    """Why a judge is not heard; empty where it is."""
    if not people.complete(params.complete):
        return (
            f"Of the {people.drawn:,} answers that people check {len(people.right):,} have a label: waiting for "
            f"{params.complete:.0%} of them (gradus label)."
        )
    if errs is None or both < params.least_checked:
        return f"People and the judge have both read {both:,} answers: waiting for {params.least_checked:,}."
    if errs.high > params.most_misread:
        return (
            f"The judge reads up to {errs.high:.0%} of {both:,} answers otherwise than people, where "
            f"{params.most_misread:.0%} are allowed: it is not heard."
        )
    return ""


def _is_label(score: Scored | None) -> bool:
    return score is not None and score.reviewer and score.source != "judge"


def waiting(lake: Lake, workload: str, params: LabellingParams, window: tuple[float, float]) -> list[Trace]:
    """The drawn answers that nobody with the right to has labelled, oldest first: what is labelled next."""
    told = {one.trace_id for one in lake.read(Feedback, workload, window[0]) if one.reviewer and _labels(one)}
    traces = drawn(lake, workload, params.share, window)
    return [t for t in traces if t.id not in told and not t.failed and is_checked(t.id, params)]


def _labels(one: Feedback) -> bool:
    """Whether a word says what the right answer is: another one, or the one that was given."""
    return one.corrected is not None or one.score == 1


def keep(lake: Lake, labels: Iterable[Feedback]) -> int:
    """Keep labels in the lake; how many there were."""
    lines = [one.model_dump_json() for one in labels]
    if lines:
        lake.store(f"labels-{hashlib.sha256(''.join(lines).encode()).hexdigest()[:32]}", lines)
    return len(lines)
