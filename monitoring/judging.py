"""A judge's scores of production's answers, with or without other feedback.

Decides which answers a judge is shown: a share of those that callers got, the same ones at every call, so that none is
paid for twice. It sees no reference, because production has none; its scores are the least trusted.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from components.errors import ScorerError
from components.records import Completion, Example, Record, Scored, Trace
from components.scorers import Outcome, Pair, Scorer, score_all
from monitoring.labelling import drawn
from monitoring.lake import Lake

BATCH = 64  # verdicts between two writes, the most that are lost if it is stopped
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bench:
    """A workload's judge, and the share in [0, 1] of answers that it is shown.

    It is also shown all answers of the labelling sample, which is the share `drawn`; 0 if it does not read that.
    """

    workload: str
    judge: Scorer
    share: float
    drawn: float = 0.0


class Judged(Record):
    """How many of the shown answers were `judged` now or `before`, and how many `failed` to get a verdict."""

    judged: int = 0
    before: int = 0
    failed: int = 0

    def __str__(self) -> str:
        """The counts in words."""
        return f"{self.judged:,} judged, {self.before:,} judged before, {self.failed:,} without a verdict"


def judge_window(lake: Lake, bench: Bench, since: float, until: float) -> Judged:
    """Judge the share of a window [since, until), in seconds since 1970, and store the scores in the lake.

    Raises:
        OSError: The lake cannot be reached.
    """
    window = since, until
    shown = (*lake.share(bench.workload, bench.share, window), *_aside(lake, bench, window))
    traces = list({trace.id: trace for trace in shown}.values())
    done = {score.trace_id for score in lake.read(Scored, bench.workload, since) if score.source == "judge"}
    new = [trace for trace in traces if trace.id not in done and not trace.failed]
    failed = 0
    for start in range(0, len(new), BATCH):
        batch = new[start : start + BATCH]
        outcomes = score_all(bench.judge, [_pair(trace) for trace in batch])
        failed += _logged([score for score in outcomes if isinstance(score, ScorerError)])
        _keep(lake, batch, outcomes)
    return Judged(judged=len(new) - failed, before=sum(trace.id in done for trace in traces), failed=failed)


def _aside(lake: Lake, bench: Bench, window: tuple[float, float]) -> list[Trace]:
    """The labelling sample's answers by which versions are judged: each as its version gave it."""
    return drawn(lake, bench.workload, bench.drawn, window, replaced=True)


def _pair(trace: Trace) -> Pair:
    """A trace as an (example, completion) pair, without a reference."""
    asked = trace.input or {message.role: message.content for message in trace.messages[-1:]}
    example = Example(id=trace.id, input=asked, demonstration="", reference="", group="")
    return example, Completion(example_id=trace.id, text=trace.text, usage=trace.usage, latency_ms=trace.latency_ms)


def _logged(errors: Sequence[ScorerError]) -> int:
    if errors:
        log.warning("%s; %s answers have no verdict.", errors[0], f"{len(errors):,}")
    return len(errors)


def _keep(lake: Lake, traces: Sequence[Trace], outcomes: Sequence[Outcome]) -> None:
    """Store the scores in a segment named by what is judged, so that storing them again replaces them."""
    scores = [
        Scored(
            trace_id=trace.id,
            at=trace.at,
            workload=trace.workload,
            source="judge",
            value=outcome.value,
            passed=outcome.passed,
            reason=outcome.reason,
        )
        for trace, outcome in zip(traces, outcomes, strict=True)
        if not isinstance(outcome, ScorerError)
    ]
    if scores:
        named = "\n".join(score.trace_id for score in scores)
        segment = f"verdicts-{hashlib.sha256(named.encode()).hexdigest()[:32]}"
        lake.store(segment, [score.model_dump_json() for score in scores])
