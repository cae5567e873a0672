"""Requests set aside for labelling in full: a random share, drawn before anybody knows how they were answered.

What customers say of answers depends on how these were: a wrong answer is corrected, a right one rarely confirmed. So
quality is told, and models are judged, by this sample alone, and only where nearly all of it is labelled. A label is a
reviewer's word, or a failure, which is not right. Decides who is drawn and what counts; what follows is decided
elsewhere.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from components.data.shares import falls_in
from components.params import LabellingParams
from components.records import Feedback, Scored, Trace
from monitoring.lake import Lake

PURPOSE = "label"
LABELLER = "gradus label"  # who labels on this machine, as feedback names senders


def is_drawn(trace_id: str, share: float) -> bool:
    """Whether an answer is set aside, by the id that its caller got."""
    return "~" not in trace_id and falls_in(share, PURPOSE, trace_id)


def drawn(lake: Lake, workload: str, share: float, window: tuple[float, float]) -> list[Trace]:
    """The answers of a window [since, until) that were set aside; those to prompts of a caller's own are none."""
    if not share:
        return []
    return [trace for trace in lake.chosen(workload, lambda name: is_drawn(name, share), window) if trace.input]


@dataclass(frozen=True)
class Sample:
    """The answers of a stretch that were drawn, up to the last one that has a label, and which of them were right."""

    drawn: int
    right: Mapping[str, bool]

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


def _is_label(score: Scored | None) -> bool:
    return score is not None and score.reviewer and score.source != "judge"


def waiting(lake: Lake, workload: str, params: LabellingParams, window: tuple[float, float]) -> list[Trace]:
    """The drawn answers that nobody with the right to has labelled, oldest first: what is labelled next."""
    told = {one.trace_id for one in lake.read(Feedback, workload, window[0]) if one.reviewer and _labels(one)}
    traces = drawn(lake, workload, params.share, window)
    return [trace for trace in traces if trace.id not in told and not trace.failed]


def _labels(one: Feedback) -> bool:
    """Whether a word says what the right answer is: another one, or the one that was given."""
    return one.corrected is not None or one.score == 1


def keep(lake: Lake, labels: Iterable[Feedback]) -> int:
    """Keep labels in the lake; how many there were."""
    lines = [one.model_dump_json() for one in labels]
    if lines:
        lake.store(f"labels-{hashlib.sha256(''.join(lines).encode()).hexdigest()[:32]}", lines)
    return len(lines)
