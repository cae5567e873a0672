"""Whose word counts: people's feedback on an answer, if they may judge it and do not contradict each other.

Whoever asked may judge an answer, and so may reviewers; a reviewer's word takes precedence. From each sender the latest
word counts. Anonymous senders cannot be told apart: if two of their corrections differ, or two reviewers' do, neither
counts, and the answer waits for a reviewer.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from components.records import Feedback, Trace
from components.scorers.answers import NotAnAnswer, decoded


@dataclass(frozen=True)
class Voices:
    """The feedback that counts and contradictory corrections, by trace; and how many words senders were not allowed."""

    counts: Mapping[str, Feedback]
    conflicts: Mapping[str, Sequence[Feedback]]
    refused: int


def voices(feedback: Iterable[Feedback], traces: Iterable[Trace]) -> Voices:
    """Sort the feedback on these traces; feedback on others is ignored."""
    askers = {trace.id: trace.caller for trace in traces}
    by_trace: dict[str, list[Feedback]] = defaultdict(list)
    refused = 0
    for word in sorted(feedback, key=lambda word: word.at):
        if word.trace_id in askers and (word.reviewer or word.sender == askers[word.trace_id]):
            by_trace[word.trace_id].append(word)
        else:
            refused += word.trace_id in askers
    counts, conflicts = dict[str, Feedback](), dict[str, Sequence[Feedback]]()
    for name, words in by_trace.items():
        corrections = _corrections(words)
        if len({content(word.corrected or "") for word in corrections}) > 1:
            conflicts[name] = corrections
        else:
            counts[name] = _merged(words, corrections)
    return Voices(counts, conflicts, refused)


def _corrections(words: Sequence[Feedback]) -> list[Feedback]:
    """The corrections that count: reviewers' if there are any, and only the latest of each known sender."""
    every = [word for word in words if word.corrected is not None]
    scores = [word.score for word in words if word.reviewer and word.score is not None]
    confirmed = bool(scores) and scores[-1] == 1  # so that nobody else's correction counts
    stands = [word for word in every if word.reviewer] or ([] if confirmed else every)
    latest = {word.sender or f"anonymous {number}": word for number, word in enumerate(stands)}
    return list(latest.values())


def _merged(words: Sequence[Feedback], corrections: Sequence[Feedback]) -> Feedback:
    """The latest correction and the latest score as one word; a reviewer's score takes precedence over others'.

    Beside a reviewer's correction only reviewers' scores count.
    """
    corrected = corrections[-1] if corrections else None
    scores = [word for word in words if word.score is not None]
    reviewed = [word for word in scores if word.reviewer]
    only_reviewed = corrected is not None and corrected.reviewer
    scored = next(reversed(reviewed if only_reviewed else reviewed or scores), None)
    said = corrected or scored
    assert said is not None  # every word is a score, a correction, or both
    return said.model_copy(
        update={
            "score": None if scored is None else scored.score,
            "corrected": None if corrected is None else corrected.corrected,
            "at": max(word.at for word in words),
        }
    )


def content(text: str) -> str:
    """An answer's content, however it is formatted: JSON with sorted keys, or else the text without outer blanks."""
    try:
        return json.dumps(decoded(text), sort_keys=True)
    except (NotAnAnswer, RecursionError):
        return text.strip()
