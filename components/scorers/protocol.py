"""The protocol of scorers, and scoring of many answers."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from components.errors import ScorerError
from components.records import Completion, Example, Score

Pair = tuple[Example, Completion]
Outcome = Score | ScorerError


class Scorer(Protocol):
    """The object that evaluates rungs, rewards RL and scores production traffic."""

    def score(self, example: Example, completion: Completion) -> Score:
        """Judge a completion: a value in [0, 1], passed if nothing is wrong.

        Raises:
            ScorerError: It cannot decide; its own failure must never be a zero.
        """
        ...


@runtime_checkable
class BatchScorer(Scorer, Protocol):
    """A scorer that is faster with many completions at once, because it is parallel or remote."""

    def score_many(self, pairs: Sequence[Pair]) -> list[Outcome]:
        """Judge completions, in order; an error takes the place of a score that it cannot decide."""
        ...


def score_all(scorer: Scorer, pairs: Sequence[Pair]) -> list[Outcome]:
    """The score of each pair, or the error in its place; in batches if the scorer supports them.

    A call that failed because the engine was away says nothing about the model: no scorer is asked, nothing decided.
    """
    if any(completion.away for _, completion in pairs):
        given = [pair for pair in pairs if not pair[1].away]
        outcomes = iter(score_all(scorer, given) if given else ())
        return [_away(completion) if completion.away else next(outcomes) for _, completion in pairs]
    if isinstance(scorer, BatchScorer):
        return scorer.score_many(pairs)
    return [_outcome(scorer, pair) for pair in pairs]


def decided(outcome: Outcome) -> Score:
    """The outcome as a score.

    Raises:
        ScorerError: The outcome is this error.
    """
    if isinstance(outcome, ScorerError):
        raise outcome
    return outcome


def _away(completion: Completion) -> ScorerError:
    return ScorerError(f"expected an answer, found none (example {completion.example_id}): {completion.error}")


def _outcome(scorer: Scorer, pair: Pair) -> Outcome:
    try:
        return scorer.score(*pair)
    except ScorerError as error:
        return error
