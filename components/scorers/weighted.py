"""Several scorers as one: the weighted mean of their values, passed only when each passes."""

import math
from collections.abc import Mapping

from components.errors import ScorerError
from components.records import Completion, Example, Score
from components.scorers.protocol import Scorer


class WeightedScorer:
    """A weighted mean in [0, 1], whatever the weights add up to.

    `parts` holds each scorer's value under its name, and the scorers' own parts under theirs; a name that is taken
    is written `scorer.part`.
    """

    def __init__(self, scorers: Mapping[str, tuple[Scorer, float]]) -> None:
        """Name → (scorer, weight above 0), at least one."""
        total = math.fsum(weight for _, weight in scorers.values())
        self._scorers = [(name, scorer, weight / total) for name, (scorer, weight) in scorers.items()]

    def score(self, example: Example, completion: Completion) -> Score:
        parts: dict[str, float] = {}
        value, passed, reasons = 0.0, True, list[str]()
        judged = [(name, share, scorer.score(example, completion)) for name, scorer, share in self._scorers]
        for name, share, score in judged:
            if not 0 <= score.value <= 1:
                raise ScorerError(f"expected a value in [0, 1] from {name}, found {score.value} (example {example.id})")
            value += share * score.value
            passed = passed and score.passed
            parts[name] = score.value
            if score.reason and score.reason not in reasons:
                reasons.append(score.reason)
        for name, _, score in judged:
            for part, found in score.parts.items():
                parts[f"{name}.{part}" if part in parts else part] = found
        return Score(value=min(value, 1.0), passed=passed, reason="; ".join(reasons), parts=parts)
