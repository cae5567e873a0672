"""The two sides of a watch: what the champion answered lately, and what it answered before.

Decides which answers belong to a window and which score counts; how they are compared is decided elsewhere. Before is
what a version answered on the data that it was judged by; once it has been in service for a week, what it answered at
the same hours and on the same weekdays of its first weeks. Quality is told by answers that were drawn for labelling,
where nearly all of them are labelled: of what people say by themselves, too much is about wrong answers.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from zlib import crc32

from components.params import LabellingParams
from components.records import Observation, Scored, Trace
from monitoring.columns import Placed
from monitoring.labelling import Sample, drawn, is_checked, sample, sample_read
from monitoring.lake import Lake

HOUR_S = 3600.0
WEEK_S = 168 * HOUR_S
MOST_WEEKS_BACK = 12  # that a version's first weeks are looked for
Row = TypeVar("Row", bound=Placed)
SOURCES = ("judge", "scorer", "feedback")  # of scores, the most trusted last: a scorer has a corrected answer


@dataclass(frozen=True)
class Window(Generic[Row]):
    """Answers or conversations of a version in a stretch of time [since, until), in seconds since 1970.

    `total` counts them before sampling.

    `unlabelled` counts those that were drawn for labelling and wait for it, where they keep quality from being told.
    """

    version: int
    since: float
    until: float
    total: int
    observations: tuple[Row, ...]
    unlabelled: int = 0


@dataclass(frozen=True)
class Stream:
    """Where the answers of a version lie, and which of them are drawn for labelling."""

    lake: Lake
    workload: str
    version: int
    labelling: LabellingParams = field(default_factory=LabellingParams)


def current_window(stream: Stream, window: tuple[float, float], most: int) -> Window[Observation]:
    """What callers got from a version, at most so many answers at random; those to their own prompts left out.

    Those that were drawn for labelling come first, and have scores where nearly all of them are labelled.
    """
    traces, total = stream.lake.sample(stream.workload, stream.version, window, most)
    aside, labels = labelled(stream, window)
    chosen = {trace.id: trace for trace in (*aside, *traces) if trace.input}
    known = labels.right if labels.complete(stream.labelling.complete) else {}
    first = {trace.id for trace in aside if is_checked(trace.id, stream.labelling)}
    labels_missing = len(first) - len(labels.right)
    ranked = sorted(chosen.values(), key=lambda trace: (trace.id not in first, crc32(trace.id.encode())))
    rows = sorted(ranked[:most], key=lambda trace: trace.at)
    observations = tuple(observed(trace, known.get(trace.id)) for trace in rows)
    return Window(stream.version, *window, total, observations, 0 if known else labels_missing)


def labelled(stream: Stream, window: tuple[float, float]) -> tuple[Sequence[Trace], Sample]:
    """The answers of a version that were drawn for labelling, and what reviewers said of them."""
    aside = drawn(stream.lake, stream.workload, stream.labelling.share, window)
    aside = [trace for trace in aside if trace.version == stream.version]
    found = list(stream.lake.read(Scored, stream.workload, window[0])) if aside else []
    scores = by_reviewers(found)
    if stream.labelling.checked == 1:
        return aside, sample(aside, scores)
    verdicts = {one.trace_id: one.passed for one in found if one.source == "judge"}
    return aside, sample_read(aside, scores, verdicts, stream.labelling)


def usual_window(stream: Stream, window: tuple[float, float], most: int, weeks: int) -> tuple[Observation, ...]:
    """What a version answered at the hours and on the weekdays of a window, in its first `weeks` whole weeks.

    Empty where it is too young.
    """
    return first_weeks(window, weeks, lambda earlier: current_window(stream, earlier, most).observations)


def first_weeks(
    window: tuple[float, float], weeks: int, read: Callable[[tuple[float, float]], Sequence[Row]]
) -> tuple[Row, ...]:
    """What there was at the hours and on the weekdays of a window in the first `weeks` weeks that had anything.

    The first weeks and not the last: what moves slowly would take the last ones along.
    """
    found: list[Row] = []
    taken = 0
    for back in range(MOST_WEEKS_BACK, 0, -1):
        if taken == weeks:
            break
        if rows := read((window[0] - back * WEEK_S, window[1] - back * WEEK_S)):
            found, taken = [*found, *rows], taken + 1
    return tuple(found)


def observed(trace: Trace, right: bool | None) -> Observation:
    """A trace as the watch sees it; its score is 1 where it was right, else 0, where that is known."""
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


def by_reviewers(found: Iterable[Scored]) -> Mapping[str, Scored]:
    """The best score that reviewers gave of each trace."""
    return best_scores(one for one in found if one.reviewer)


def best_scores(found: Iterable[Scored]) -> dict[str, Scored]:
    """The score of each trace: of several the most trusted one, of equals a reviewer's, then the latest."""
    trust = sorted(found, key=lambda one: (SOURCES.index(one.source), one.reviewer, one.at))
    return {one.trace_id: one for one in trust}
