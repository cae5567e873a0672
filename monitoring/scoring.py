"""Scores for traces of production, from what people said of them.

Decides which evidence counts: a corrected answer is a reference for the workload's scorers, and holds for whatever
else answered the same request; a score that somebody gave stands for itself, and at 1 nothing was wrong. An answer of
which nobody said anything gets no score here: whether it is valid stands on its trace.
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
MOST_TOLD = 5  # of a scorer's failures, one by one


class Scoring(Record):
    """What became of the traces of a window: `scorer` and `feedback` count new scores by their source.

    `before` were scored earlier, of `silent` ones nobody spoke, and of `failed` ones the scorer could not decide. Of
    `conflicts` corrections contradict each other; `refused` counts words that were not their sender's to say.
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
    """Score the traces of a window [since, until), in seconds since 1970, and keep the scores in the lake.

    None is scored twice from the same source. A scorer's failure is told and counted, and is no score.

    Raises:
        OSError: The lake is away.
    """
    told = lake.read(Feedback, workload, since)
    done = {_deed(one) for one in lake.read(Scored, workload, since)}
    counts, found = dict.fromkeys(Scoring.model_fields, 0), list[Scored]()
    traces, total = lake.about(workload, {request_id(one.trace_id) for one in told}, (since, until))
    heard = voices(told, traces)
    counts["silent"] = total - len(traces)
    counts["conflicts"], counts["refused"] = len(heard.conflicts), heard.refused
    for trace in traces:
        try:
            outcome, score = scored(trace, heard.counts, done, scorer)
        except ScorerError as error:
            outcome, score = "failed", None
            if counts["failed"] < MOST_TOLD:
                log.warning("%s; it has no score.", error)
        counts[outcome] += trace.id not in heard.conflicts
        found += [score] if score else []
    if found:
        lake.store(_segment(found), [one.model_dump_json() for one in found])
    return Scoring(**counts)


def scored(trace: Trace, told: Mapping[str, Feedback], done: set[Deed], scorer: Scorer) -> tuple[str, Scored | None]:
    """What becomes of a trace, by the names of `Scoring`, and its score if it has a new one.

    Raises:
        ScorerError: The scorer cannot decide.
    """
    own, asked = told.get(trace.id), told.get(request_id(trace.id))
    if trace.is_turn:  # what was right of a try, no correction of a turn says
        own, asked = (None if own is None else own.model_copy(update={"corrected": None})), None
    said = next((one for one in (own, asked) if one is not None and one.corrected is not None), own)
    if said is None or (said.corrected is None and said.score is None):
        return "silent", None
    source = "feedback" if said.corrected is None else "scorer"
    if (trace.id, source, said.sender, said.reviewer) in done:
        return "before", None
    score = _given(said.score) if said.corrected is None else _against(said.corrected, trace, scorer)
    return source, Scored(
        trace_id=trace.id,
        at=max(trace.at, said.at),  # no earlier than its trace, where a clock jumped: they are looked for together
        workload=trace.workload,
        source=source,
        value=score.value,
        passed=score.passed,
        reason=score.reason,
        sender=said.sender,
        reviewer=said.reviewer,
    )


def _against(reference: str, trace: Trace, scorer: Scorer) -> Score:
    """The scorer's word on an answer, compared with the right one."""
    example = Example(id=trace.id, input=trace.input, demonstration="", reference=reference, group="")
    completion = Completion(example_id=trace.id, text=trace.text, usage=trace.usage, latency_ms=trace.latency_ms)
    return scorer.score(example, completion)


def _deed(score: Scored) -> Deed:
    """What is done once: a trace, scored from a source by the word of a sender."""
    return score.trace_id, score.source, score.sender, score.reviewer


def _given(score: float | None) -> Score:
    """What somebody gave."""
    assert score is not None
    return Score(value=score, passed=score == 1)


def _segment(found: Iterable[Scored]) -> str:
    """A name that follows from what is scored: the same scores, stored again, replace themselves."""
    named = "\n".join(" ".join(map(str, _deed(one))) for one in found)
    return f"scores-{hashlib.sha256(named.encode()).hexdigest()[:32]}"
