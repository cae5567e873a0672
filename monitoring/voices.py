"""Whose word counts: people's feedback on an answer, if they may judge it and do not contradict each other.

Whoever asked may judge an answer, and so may reviewers; a reviewer's word takes precedence. From each sender the latest
word counts: who confirms an answer takes back a correction of it. Anonymous senders cannot be told apart: if two of
their corrections differ, or what two reviewers call right, neither counts, and the answer waits for a reviewer.
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
    asked = {trace.id: trace for trace in traces}
    by_trace: dict[str, list[Feedback]] = defaultdict(list)
    refused = 0
    for word in sorted(feedback, key=lambda word: word.at):
        if word.trace_id in asked and (word.reviewer or word.sender == asked[word.trace_id].caller):
            by_trace[word.trace_id].append(word)
        else:
            refused += word.trace_id in asked
    counts, conflicts = dict[str, Feedback](), dict[str, Sequence[Feedback]]()
    for name, words in by_trace.items():
        standing = _standing(words)
        # Of people who cannot be told apart one may have liked what another corrected: only corrections contradict.
        against = [word for word in standing if word.reviewer or word.corrected is not None]
        if len({content(_right(word, asked[name])) for word in against}) > 1:
            conflicts[name] = against
        else:
            counts[name] = _merged(words, [word for word in standing if word.corrected is not None])
    return Voices(counts, conflicts, refused)


def _standing(words: Sequence[Feedback]) -> list[Feedback]:
    """The words on what the right answer is that count: reviewers' if there are any, the latest of each known sender.

    Such a word is a correction or a confirmation, a score of 1; a lower score takes a confirmation back.
    """
    last: dict[str, Feedback] = {}
    for number, word in enumerate(words):
        sender = word.sender or f"anonymous {number}"
        if word.corrected is not None or word.score == 1:
            last[sender] = word
        elif sender in last and last[sender].corrected is None:
            del last[sender]
    latest = sorted(last.values(), key=lambda word: word.at)
    return [word for word in latest if word.reviewer] or latest


def _right(word: Feedback, trace: Trace) -> str:
    """What a word says is right: its correction, or the answer that it confirms."""
    return trace.text if word.corrected is None else word.corrected


def _merged(words: Sequence[Feedback], corrections: Sequence[Feedback]) -> Feedback:
    """The latest correction and the latest score as one word; a reviewer's score takes precedence over others'.

    Beside a reviewer's correction only reviewers' scores count. Its time is that of the correction, if there is one.
    """
    corrected = corrections[-1] if corrections else None
    scores = [word for word in words if word.score is not None]
    reviewed = [word for word in scores if word.reviewer]
    only_reviewed = corrected is not None and corrected.reviewer
    scored = next(reversed(reviewed if only_reviewed else reviewed or scores), None)
    said = corrected or scored or words[-1]
    return said.model_copy(
        update={
            "score": None if scored is None else scored.score,
            "corrected": None if corrected is None else corrected.corrected,
        }
    )


def replaces(word: Feedback, text: str) -> bool:
    """Whether a word corrects an answer to another one, whatever score it had before."""
    return word.corrected is not None and content(word.corrected) != content(text)


def content(text: str) -> str:
    """An answer's content, however it is formatted: JSON with sorted keys, or else the text without outer blanks."""
    try:
        return json.dumps(decoded(text), sort_keys=True)
    except (NotAnAnswer, RecursionError):
        return text.strip()
