"""Scores production traces by people's feedback.

Decides which evidence counts: a corrected answer is a reference for the workload's scorer, also for other answers to
the same request, and so is an answer that was confirmed; a person's score counts as it is, and 1 means right. An answer
without feedback gets no score here; its trace says whether it is valid.
"""

import hashlib
import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from components.errors import ScorerError
from components.records import Completion, Example, Feedback, Record, Score, Scored, Trace, request_id
from components.scorers import Outcome, Pair, Scorer, score_all
from monitoring.lake import Lake
from monitoring.spread import share_out
from monitoring.voices import voices

log = logging.getLogger(__name__)
Deed = tuple[str, str, str, bool]
Maker = Callable[[], Scorer]
BATCH = 512  # answers compared between two writes, the most that are lost if it is stopped
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


def score_window(lake: Lake, workload: str, make: Maker, since: float, until: float) -> Scoring:
    """Score the traces of a window [since, until), in seconds since 1970, and store the scores in the lake.

    No trace is scored twice by the same words; later ones are scored again. A scorer's failure is logged and counted,
    and gives no score. The scorer of a large window works where its files are read, on a cluster if there is one;
    `make` makes it there.

    Raises:
        OSError: The lake cannot be reached.
    """
    feedback = lake.read(Feedback, workload, since)
    done = {_deed(score): score.at for score in lake.read(Scored, workload, since)}  # oldest first: the latest stays
    traces, total = lake.about(workload, {request_id(word.trace_id) for word in feedback}, (since, until))
    accepted = voices(feedback, traces)
    texts = {trace.id: trace.text for trace in traces}
    evidence = [Evidence(trace, said) for trace in traces if (said := _said(trace, accepted.counts, texts)) is not None]
    new = [each for each in evidence if each.at > done.get(each.deed, float("-inf"))]
    given = [each for each in new if each.source == "feedback"]
    compared = [each for each in new if each.source == "scorer"]
    batches = [compared[start : start + BATCH] for start in range(0, len(compared), BATCH)]
    scores, failures = [each.scored(_given(each.said.score)) for each in given], list[Evidence]()
    _store(lake, scores)
    for batch, outcomes in zip(batches, share_out(batches, Comparison(make), total), strict=True):
        failures += _failed(batch, outcomes, told=len(failures))
        scores = [each.scored(score) for each, score in zip(batch, outcomes, strict=True) if isinstance(score, Score)]
        _store(lake, scores)

    def count(some: Iterable[Evidence]) -> int:
        """How many do not count as conflicts too."""
        return sum(each.trace.id not in accepted.conflicts for each in some)

    silent = {trace.id for trace in traces} - {each.trace.id for each in evidence} - accepted.conflicts.keys()
    return Scoring(
        scorer=count(compared) - count(failures),
        feedback=count(given),
        before=count(evidence) - count(new),
        silent=total - len(traces) + len(silent),
        failed=count(failures),
        conflicts=len(accepted.conflicts),
        refused=accepted.refused,
    )


@dataclass(frozen=True)
class Evidence:
    """A trace, and what people say by which it is scored."""

    trace: Trace
    said: Feedback

    @property
    def source(self) -> Literal["feedback", "scorer"]:
        """Where its score comes from."""
        return "feedback" if self.said.corrected is None else "scorer"

    @property
    def deed(self) -> Deed:
        """The key of its score."""
        return self.trace.id, self.source, self.said.sender, self.said.reviewer

    @property
    def at(self) -> float:
        """When it was given; not before its trace, even if a clock jumped: both are searched by time."""
        return max(self.trace.at, self.said.at)

    @property
    def pair(self) -> Pair:
        """What a scorer compares: the trace's answer with the corrected one."""
        trace, reference = self.trace, self.said.corrected or ""
        example = Example(id=trace.id, input=trace.input, demonstration="", reference=reference, group="")
        return example, Completion(example_id=trace.id, text=trace.text, usage=trace.usage, latency_ms=trace.latency_ms)

    def scored(self, score: Score) -> Scored:
        """The score as the lake keeps it."""
        return Scored(
            trace_id=self.trace.id,
            at=self.at,
            workload=self.trace.workload,
            source=self.source,
            value=score.value,
            passed=score.passed,
            reason=score.reason,
            sender=self.said.sender,
            reviewer=self.said.reviewer,
        )


class Comparison:
    """A scorer's work on batches of evidence, sent to where it is done: the scorer is made there, once.

    A node of a cluster works in the same project folder if it has that, so that settings' relative paths and a
    project's own classes are found.
    """

    def __init__(self, make: Maker) -> None:
        self._make, self._project = make, Path.cwd()

    def __call__(self, batch: Sequence[Evidence]) -> list[Outcome]:
        """The outcome for each."""
        return score_all(self._scorer, [each.pair for each in batch])

    @cached_property
    def _scorer(self) -> Scorer:
        if self._project.is_dir() and Path.cwd() != self._project:
            os.chdir(self._project)
            sys.path.insert(0, str(self._project))
        return self._make()


def _said(trace: Trace, feedback: Mapping[str, Feedback], texts: Mapping[str, str]) -> Feedback | None:
    """The feedback that a trace's score follows from, of its own or of its request; None without any.

    Where the request's answer in `texts` was confirmed, it is what other answers to the request are compared with.
    """
    own, asked = feedback.get(trace.id), feedback.get(request_id(trace.id))
    if asked is not None and asked is not own and asked.corrected is None and asked.score == 1:
        asked = asked.model_copy(update={"corrected": texts[asked.trace_id]})
    if trace.is_turn:  # a correction of a turn does not say what the right try was
        own, asked = (None if own is None else own.model_copy(update={"corrected": None})), None
    said = next((each for each in (own, asked) if each is not None and each.corrected is not None), own)
    return None if said is None or (said.corrected is None and said.score is None) else said


def _failed(batch: Sequence[Evidence], outcomes: Sequence[Outcome], told: int) -> list[Evidence]:
    """Those that the scorer could not decide; the first few of all are logged."""
    failures = [(each, error) for each, error in zip(batch, outcomes, strict=True) if isinstance(error, ScorerError)]
    for _, error in failures[: max(0, MOST_TOLD - told)]:
        log.warning("%s; it has no score.", error)
    return [each for each, _ in failures]


def _store(lake: Lake, scores: Sequence[Scored]) -> None:
    if scores:
        lake.store(_segment(scores), [each.model_dump_json() for each in scores])


def _deed(score: Scored) -> Deed:
    """The key of a score that is given only once for the same words: trace, source, sender and role."""
    return score.trace_id, score.source, score.sender, score.reviewer


def _given(score: float | None) -> Score:
    """A person's score."""
    assert score is not None
    return Score(value=score, passed=score == 1)


def _segment(scores: Iterable[Scored]) -> str:
    """A segment name by the scores' keys and times, so that storing the same scores again replaces them."""
    named = "\n".join(" ".join(map(str, (*_deed(score), score.at))) for score in scores)
    return f"scores-{hashlib.sha256(named.encode()).hexdigest()[:32]}"
