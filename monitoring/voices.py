"""Whose word counts: what people said of an answer, as far as they may speak of it and do not contradict each other.

An answer is the business of whoever asked for it, and of reviewers; a reviewer's word stands above the asker's. Of one
sender the latest word counts. The anonymous cannot be told apart: where two of their corrections differ, or two
reviewers' do, neither counts, and the answer waits for a reviewer.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from components.records import Feedback, Trace
from components.scorers.answers import NotAnAnswer, decoded


@dataclass(frozen=True)
class Voices:
    """What counts, by trace; what contradicts itself, by trace; and how many words were not their sender's to say."""

    counts: Mapping[str, Feedback]
    conflicts: Mapping[str, Sequence[Feedback]]
    refused: int


def voices(told: Iterable[Feedback], traces: Iterable[Trace]) -> Voices:
    """Sort out what was said of these traces; what was said of others is left out."""
    askers = {trace.id: trace.caller for trace in traces}
    by_trace: dict[str, list[Feedback]] = defaultdict(list)
    refused = 0
    for one in sorted(told, key=lambda one: one.at):
        if one.trace_id in askers and (one.reviewer or one.sender == askers[one.trace_id]):
            by_trace[one.trace_id].append(one)
        else:
            refused += one.trace_id in askers
    counts, conflicts = dict[str, Feedback](), dict[str, Sequence[Feedback]]()
    for name, words in by_trace.items():
        corrections = _corrections(words)
        if len({content(one.corrected or "") for one in corrections}) > 1:
            conflicts[name] = corrections
        else:
            counts[name] = _merged(words, corrections)
    return Voices(counts, conflicts, refused)


def _corrections(words: Sequence[Feedback]) -> list[Feedback]:
    """Those that stand: reviewers' where there are any, of each known sender the latest."""
    every = [one for one in words if one.corrected is not None]
    stands = [one for one in every if one.reviewer] or every
    latest = {one.sender or f"anonymous {number}": one for number, one in enumerate(stands)}
    return list(latest.values())


def _merged(words: Sequence[Feedback], corrections: Sequence[Feedback]) -> Feedback:
    """The correction with the score that belongs to it: of several the latest, a reviewer's above others'."""
    scores = [one for one in words if one.score is not None]
    scored = next(reversed([one for one in scores if one.reviewer] or scores), None)
    corrected = corrections[-1] if corrections else None
    said = corrected or scored
    assert said is not None  # every word is a score, a correction, or both
    return said.model_copy(
        update={
            "score": None if scored is None else scored.score,
            "corrected": None if corrected is None else corrected.corrected,
            "at": max(one.at for one in words),
        }
    )


def content(text: str) -> str:
    """What an answer says, however it is written: JSON whatever its blanks and its keys' order, else the text."""
    try:
        return json.dumps(decoded(text), sort_keys=True)
    except (NotAnAnswer, RecursionError):
        return text.strip()
