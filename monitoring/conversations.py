"""Conversations with tools in the lake, and the two sides of a watch of them.

Decides whose word counts for a conversation, and what a window of them is compared with: the same version's
conversations at the same hours of its first weeks or, while it is younger, those of the week before the window.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

from components.data.joining import Joined, join
from components.params import WatchParams
from components.records import Feedback, Scored
from monitoring.lake import Lake
from monitoring.voices import Voices, replaces, voices
from monitoring.watch import Sides
from monitoring.windows import LABELLED_S, WEEK_S, Stream, Window, best_scores, first_weeks

Span = tuple[float, float]


@dataclass(frozen=True)
class Word:
    """Somebody's score of an answer, in [0, 1]."""

    value: float
    sender: str | None
    reviewer: bool


@dataclass(frozen=True)
class Heard:
    """Conversations of a window, oldest first, and what is known of their turns, by trace.

    `replaced` are the turns that somebody corrected to another text.
    """

    conversations: Sequence[Joined]
    words: Mapping[str, Word]
    voices: Voices
    replaced: frozenset[str]

    def word(self, conversation: Joined) -> Word | None:
        """The word on a conversation's latest turn that has one; its value is the conversation's reward."""
        return next((self.words[trace] for trace in reversed(conversation.traces) if trace in self.words), None)


def heard(lake: Lake, workload: str, window: Span) -> Heard:
    """The conversations of a window [since, until); people's words take precedence over scores.

    A turn that somebody corrected to another text was not right, whatever score it had before.
    """
    traces, until = lake.with_tools(workload, window), window[1] + LABELLED_S
    said = voices(lake.read(Feedback, workload, window[0], until), traces)
    scores = best_scores(lake.read(Scored, workload, window[0], until))
    words = {name: Word(score.value, score.person, score.reviewer) for name, score in scores.items()}
    given = {trace.id: trace.text for trace in traces}
    replaced = frozenset(name for name, word in said.counts.items() if replaces(word, given[name]))
    for name, word in said.counts.items():
        score = 0.0 if word.score in (None, 1.0) and name in replaced else word.score
        if score is not None:
            words[name] = Word(score, word.sender, word.reviewer)
    return Heard(join(traces, {name: word.value for name, word in words.items()}), words, said, replaced)


def conversations(lake: Lake, workload: str, window: Span) -> list[Joined]:
    """The conversations with tools of a window of time [since, until), with their rewards by people or scorers."""
    return list(heard(lake, workload, window).conversations)


def sides(stream: Stream, window: Span, params: WatchParams) -> Sides[Joined]:
    """The two sides of a watch: a version's conversations of a window, and its usual ones."""
    current, total = _of_version(stream, window, params.window_rows)
    weeks = first_weeks(stream, window, params, lambda earlier: _of_version(stream, earlier, params.window_rows)[0])
    usual = weeks
    if len(weeks) < params.min_rows:
        usual, _ = _of_version(stream, (window[0] - WEEK_S, window[0]), params.window_rows)
    return Sides(
        stream.workload, {}, usual, Window(stream.version, *window, total, tuple(current)),
        usual="weeks" if usual is weeks else "before",
    )  # fmt: skip


def _of_version(stream: Stream, window: Span, most: int) -> tuple[list[Joined], int]:
    """At most `most` conversations that one version alone answered, the same ones at every call; and of how many."""
    own = [
        conversation
        for conversation in conversations(stream.lake, stream.workload, window)
        if conversation.trajectory.policy_version == str(stream.version)
    ]
    kept = sorted(own, key=lambda conversation: crc32(conversation.trajectory.id.encode()))[:most]
    return sorted(kept, key=lambda conversation: conversation.at), len(own)
