"""The two sides of a watch: the champion's recent answers, and its usual ones.

Decides which answers belong to a window and which score counts; how they are compared is decided elsewhere. The usual
answers are those to the data that the version was evaluated on; once it has been in service for a week, those at the
same hours and weekdays of its first weeks with answers enough. Quality is measured on the labelling sample, when nearly
all of it is labelled: unprompted feedback is mostly about wrong answers.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from zlib import crc32

from components.params import LabellingParams, WatchParams
from components.records import Feedback, Observation, Scored, Trace, request_id
from monitoring.columns import Placed
from monitoring.labelling import Sample, drawn, is_checked, sample, sample_read
from monitoring.lake import Lake
from monitoring.voices import voices

HOUR_S = 3600.0
WEEK_S = 168 * HOUR_S
LABELLED_S = 12 * WEEK_S  # after a window, in which words on its answers are looked for
Row = TypeVar("Row", bound=Placed)


@dataclass(frozen=True)
class Window(Generic[Row]):
    """Answers or conversations of a version in a time window [since, until), in seconds since 1970.

    `total` is before sampling. Answers to callers' own prompts count in it only where they are too rare to be drawn.

    `unlabelled` counts the labelling sample's answers without a label, if too many are missing to measure quality.
    """

    version: int
    since: float
    until: float
    total: int
    observations: tuple[Row, ...]
    unlabelled: int = 0


@dataclass(frozen=True)
class Stream:
    """Where a version's answers are stored, which of them are drawn for labelling, and when it gave the first one.

    `began` is in seconds since 1970 (`Lake.first_answer`); without it a version has no first weeks.
    """

    lake: Lake
    workload: str
    version: int
    labelling: LabellingParams = field(default_factory=LabellingParams)
    began: float | None = None


def current_window(stream: Stream, window: tuple[float, float], most: int) -> Window[Observation]:
    """At most `most` random answers of a version to callers, without those to callers' own prompts.

    An answer that a second model's replaced counts as the version gave it. Answers drawn for labelling come first, and
    have scores if nearly all of them are labelled.
    """
    traces, total = stream.lake.sample(stream.workload, stream.version, window, most)
    if not all(trace.input for trace in traces):  # only then are inputs worth decoding before the draw
        traces, total = stream.lake.sample(stream.workload, stream.version, window, most, own=False)
    aside, labels = labelled(stream, window)
    chosen = {trace.id: trace for trace in (*aside, *traces) if trace.input}
    right = labels.right if labels.complete(stream.labelling.complete) else {}
    first = {trace.id for trace in aside if is_checked(trace.id, stream.labelling)}
    labels_missing = len(first) - len(labels.right)
    ranked = sorted(chosen.values(), key=lambda trace: (trace.id not in first, crc32(trace.id.encode())))
    rows = sorted(ranked[:most], key=lambda trace: trace.at)
    observations = tuple(observed(trace, right.get(trace.id)) for trace in rows)
    return Window(stream.version, *window, total, observations, 0 if right else labels_missing)


def labelled(stream: Stream, window: tuple[float, float]) -> tuple[Sequence[Trace], Sample]:
    """A version's answers that were drawn for labelling, and their labels.

    An answer that a second model's replaced counts as the version gave it. Answers whose corrections contradict each
    other have no label.
    """
    said = window[0], window[1] + LABELLED_S
    aside = drawn(stream.lake, stream.workload, stream.labelling.share, window, replaced=True)
    aside = [trace for trace in aside if trace.version == stream.version]
    given = list(stream.lake.read(Scored, stream.workload, *said)) if aside else []
    if given:
        replaced = {request_id(trace.id) for trace in aside} - {trace.id for trace in aside}
        returned = stream.lake.about(stream.workload, replaced, window)[0] if replaced else []
        words = stream.lake.read(Feedback, stream.workload, *said)
        disputed = voices(words, [*aside, *returned]).conflicts
        given = [score for score in given if request_id(score.trace_id) not in disputed]
    reviewed = by_reviewers(given)
    if stream.labelling.checked == 1:
        return aside, sample(aside, reviewed)
    verdicts = {score.trace_id: score.passed for score in given if score.source == "judge"}
    return aside, sample_read(aside, reviewed, verdicts, stream.labelling)


def usual_window(stream: Stream, window: tuple[float, float], params: WatchParams) -> tuple[Observation, ...]:
    """A version's answers at the hours and weekdays of a window in its first weeks; empty if it is too young."""
    most = params.window_rows
    return first_weeks(stream, window, params, lambda earlier: current_window(stream, earlier, most).observations)


def first_weeks(
    stream: Stream,
    window: tuple[float, float],
    params: WatchParams,
    read: Callable[[tuple[float, float]], Sequence[Row]],
) -> tuple[Row, ...]:
    """Rows at the hours and weekdays of a window in the first `params.weeks` weeks that count.

    The first weeks, because the last ones would follow a slow drift. A week counts if the version had answered before
    these hours, and if it has its part of the rows without which nothing is judged. Of a window that is longer than a
    week each earlier one is as many weeks long, so that no row counts twice.
    """
    rows: list[Row] = []
    taken, since = 0, window[0] if stream.began is None else stream.began
    apart = WEEK_S * math.ceil((window[1] - window[0]) / WEEK_S)
    for back in range(int((window[0] - since) // apart), 0, -1):
        if taken == params.weeks:
            break
        week = read((window[0] - back * apart, window[1] - back * apart))
        if len(week) * params.weeks >= params.min_rows:
            rows, taken = [*rows, *week], taken + 1
    return tuple(rows)


def observed(trace: Trace, right: bool | None) -> Observation:
    """A trace as an observation; its score is 1 if it was right, 0 if wrong, None if unknown."""
    return Observation(
        input=trace.input,
        text="" if trace.failed else trace.text,
        output_tokens=trace.usage.output_tokens,
        valid=trace.valid,
        confidence=trace.confidence,
        score=None if right is None else float(right),
        customer=trace.customer,
        at=trace.at,
    )


def by_reviewers(scores: Iterable[Scored]) -> Mapping[str, Scored]:
    """The most trusted score by reviewers of each trace."""
    return best_scores(score for score in scores if score.reviewer)


def best_scores(scores: Iterable[Scored]) -> dict[str, Scored]:
    """The most trusted score of each trace: people's words before a judge's, reviewers' first, the latest of them."""
    by_trust = sorted(scores, key=lambda score: (score.source != "judge", score.reviewer, score.at))
    return {score.trace_id: score for score in by_trust}
