"""What a scorer is; how good a completion is, each of them decides for itself."""

from typing import Protocol

from components.records import Completion, Example, Score


class Scorer(Protocol):
    """The one object that evaluates rungs, rewards RL and scores production traffic."""

    def score(self, example: Example, completion: Completion) -> Score:
        """Judge one completion: value in [0, 1], passed when nothing is wrong.

        Raises:
            ScorerError: It cannot decide; its own failure is never a zero.
        """
        ...
