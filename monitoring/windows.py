"""The two sides of a watch: what the champion answered lately, and what it answered before it was let out.

Decides which answers belong to a window and which score counts; how they are compared is decided elsewhere.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from components.records import Observation, Scored, Trace
from monitoring.lake import Lake

HOUR_S = 3600.0
SOURCES = ("judge", "scorer", "feedback")  # of scores, the most trusted last: a scorer has a corrected answer


@dataclass(frozen=True)
class Window:
    """Answers of a version in a stretch of time [since, until), in seconds since 1970; `total` before sampling."""

    version: int
    since: float
    until: float
    total: int
    observations: tuple[Observation, ...]


def current_window(lake: Lake, workload: str, version: int, window: tuple[float, float], most: int) -> Window:
    """What callers got from a version, at most so many answers, with scores; those to their own prompts left out."""
    traces, total = lake.sample(workload, version, window, most)
    scores = best_scores(lake.read(Scored, workload, window[0]))
    observations = tuple(observed(trace, scores.get(trace.id)) for trace in traces if trace.input)
    return Window(version, *window, total, observations)


def observed(trace: Trace, score: Scored | None) -> Observation:
    """A trace as the watch sees it; its score is 1 where nothing was wrong, else 0."""
    return Observation(
        input=trace.input,
        text=trace.text,
        output_tokens=trace.usage.output_tokens,
        valid=trace.valid,
        confidence=trace.confidence,
        score=None if score is None else float(score.passed),
    )


def best_scores(found: Iterable[Scored]) -> dict[str, Scored]:
    """The score of each trace: of several the most trusted one, of equals a reviewer's, then the latest."""
    trust = sorted(found, key=lambda one: (SOURCES.index(one.source), one.reviewer, one.at))
    return {one.trace_id: one for one in trust}
