"""What a scorer is, and how many answers are scored; how good one is, each scorer decides for itself."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from components.errors import ScorerError
from components.records import Completion, Example, Score

Pair = tuple[Example, Completion]
Outcome = Score | ScorerError


class Scorer(Protocol):
    """The one object that evaluates rungs, rewards RL and scores production traffic."""

    def score(self, example: Example, completion: Completion) -> Score:
        """Judge one completion: value in [0, 1], passed when nothing is wrong.

        Raises:
            ScorerError: It cannot decide; its own failure is never a zero.
        """
        ...


@runtime_checkable
class BatchScorer(Scorer, Protocol):
    """A scorer that is faster with many at a time: it works in parallel, or far away."""

    def score_many(self, pairs: Sequence[Pair]) -> list[Outcome]:
        """Judge completions, in order; where it cannot decide, the error stands in the score's place."""
        ...


def score_all(scorer: Scorer, pairs: Sequence[Pair]) -> list[Outcome]:
    """The score of each pair, or the error that kept the scorer from one: in batches where the scorer takes them."""
    if isinstance(scorer, BatchScorer):
        return scorer.score_many(pairs)
    return [_outcome(scorer, pair) for pair in pairs]


def decided(outcome: Outcome) -> Score:
    """The score that an outcome is.

    Raises:
        ScorerError: It is none.
    """
    if isinstance(outcome, ScorerError):
        raise outcome
    return outcome


def _outcome(scorer: Scorer, pair: Pair) -> Outcome:
    try:
        return scorer.score(*pair)
    except ScorerError as error:
        return error
