"""Scores production traces by people's feedback.

Decides which evidence counts: a corrected answer is a reference for the workload's scorer, also for other answers to
the same request; a person's score counts as it is, and 1 means right. An answer without feedback gets no score here;
its trace says whether it is valid.
"""

import hashlib
import logging
from collections.abc import Iterable, Mapping

from components.errors import ScorerError
from components.records import Completion, Example, Feedback, Record, Score, Scored, Trace, request_id
from components.scorers import Scorer
from monitoring.lake import Lake
from monitoring.voices import voices

log = logging.getLogger(__name__)
Deed = tuple[str, str, str, bool]
MOST_TOLD = 5  # failures of a scorer that are logged one by one


class Scoring(Record):
    """How the traces of a window were scored: `scorer` and `feedback` count new scores by their source.

    `before` were scored earlier, `silent` ones have no feedback, on `failed` ones the scorer failed. `conflicts` have
    contradictory corrections; `refused` counts feedback that its sender was not allowed to give.
    """

    scorer: int = 0
    feedback: int = 0
    before: int = 0
    silent: int = 0
    failed: int = 0
    conflicts: int = 0
    refused: int = 0

    def __str__(self) -> str:
        """The counts in words."""
        disputed = {
            f"{self.conflicts:,} with corrections that contradict each other (gradus review)": self.conflicts,
            f"{self.refused:,} words that were not their sender's to say": self.refused,
        }
        return ", ".join([
            f"{self.scorer:,} scored against a corrected answer", f"{self.feedback:,} as people scored them",
            f"{self.before:,} scored before", f"{self.silent:,} without feedback",
            f"{self.failed:,} that the scorer could not decide", *(words for words, count in disputed.items() if count),
        ])  # fmt: skip


def score_window(lake: Lake, workload: str, scorer: Scorer, since: float, until: float) -> Scoring:
    """Score the traces of a window [since, until), in seconds since 1970, and store the scores in the lake.

    No trace is scored twice from the same source. A scorer's failure is logged and counted, and gives no score.

    Raises:
        OSError: The lake cannot be reached.
    """
    feedback = lake.read(Feedback, workload, since)
    done = {_deed(score) for score in lake.read(Scored, workload, since)}
    counts, new = dict.fromkeys(Scoring.model_fields, 0), list[Scored]()
    traces, total = lake.about(workload, {request_id(word.trace_id) for word in feedback}, (since, until))
    accepted = voices(feedback, traces)
    counts["silent"] = total - len(traces)
    counts["conflicts"], counts["refused"] = len(accepted.conflicts), accepted.refused
    for trace in traces:
        try:
            outcome, score = scored(trace, accepted.counts, done, scorer)
        except ScorerError as error:
            outcome, score = "failed", None
            if counts["failed"] < MOST_TOLD:
                log.warning("%s; it has no score.", error)
        counts[outcome] += trace.id not in accepted.conflicts
        new += [score] if score else []
    if new:
        lake.store(_segment(new), [each.model_dump_json() for each in new])
    return Scoring(**counts)


def scored(
    trace: Trace, feedback: Mapping[str, Feedback], done: set[Deed], scorer: Scorer
) -> tuple[str, Scored | None]:
    """The outcome for a trace, as a field of `Scoring`, and its new score, if any.

    Raises:
        ScorerError: The scorer fails.
    """
    own, asked = feedback.get(trace.id), feedback.get(request_id(trace.id))
    if trace.is_turn:  # a correction of a turn does not say what the right try was
        own, asked = (None if own is None else own.model_copy(update={"corrected": None})), None
    said = next((each for each in (own, asked) if each is not None and each.corrected is not None), own)
    if said is None or (said.corrected is None and said.score is None):
        return "silent", None
    source = "feedback" if said.corrected is None else "scorer"
    if (trace.id, source, said.sender, said.reviewer) in done:
        return "before", None
    score = _given(said.score) if said.corrected is None else _against(said.corrected, trace, scorer)
    return source, Scored(
        trace_id=trace.id,
        at=max(trace.at, said.at),  # not before its trace, even if a clock jumped: both are searched by time
        workload=trace.workload,
        source=source,
        value=score.value,
        passed=score.passed,
        reason=score.reason,
        sender=said.sender,
        reviewer=said.reviewer,
    )


def _against(reference: str, trace: Trace, scorer: Scorer) -> Score:
    """The scorer's score of an answer against the right one."""
    example = Example(id=trace.id, input=trace.input, demonstration="", reference=reference, group="")
    completion = Completion(example_id=trace.id, text=trace.text, usage=trace.usage, latency_ms=trace.latency_ms)
    return scorer.score(example, completion)


def _deed(score: Scored) -> Deed:
    """The key of a score that is given only once: trace, source, sender and role."""
    return score.trace_id, score.source, score.sender, score.reviewer


def _given(score: float | None) -> Score:
    """A person's score."""
    assert score is not None
    return Score(value=score, passed=score == 1)


def _segment(scores: Iterable[Scored]) -> str:
    """A segment name by the scores' keys, so that storing the same scores again replaces them."""
    named = "\n".join(" ".join(map(str, _deed(score))) for score in scores)
    return f"scores-{hashlib.sha256(named.encode()).hexdigest()[:32]}"
