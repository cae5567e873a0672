"""Several scorers combined: the weighted mean of their values, passed only if each passes.

Gates come first: an answer that does not pass them gets only their shares, and other scorers are not called.
"""

import math
from collections.abc import Collection, Mapping, Sequence

from components.errors import ScorerError
from components.records import Completion, Example, Score
from components.scorers.protocol import Outcome, Pair, Scorer, decided, score_all


class WeightedScorer:
    """A weighted mean in [0, 1], whatever the sum of the weights.

    `parts` has each scorer's value under its name, and the scorers' own parts under theirs; if a name is taken, it is
    `scorer.part`. A scorer after a gate that did not pass has the value 0.
    """

    def __init__(self, scorers: Mapping[str, tuple[Scorer, float]], gates: Collection[str] = ()) -> None:
        """Combine scorers, given as name → (scorer, weight above 0); `gates` are some of the names."""
        total = math.fsum(weight for _, weight in scorers.values())
        self._shares = {name: weight / total for name, (_, weight) in scorers.items()}
        order = sorted(scorers, key=lambda name: name not in gates)  # stable: gates first, in the given order
        self._scorers = [(name, scorers[name][0], name in gates) for name in order]

    def score(self, example: Example, completion: Completion) -> Score:
        return decided(self.score_many([(example, completion)])[0])

    def score_many(self, pairs: Sequence[Pair]) -> list[Outcome]:
        """The weighted score of each pair; if any scorer cannot decide, the error."""
        scores: list[dict[str, Score]] = [{} for _ in pairs]
        failed: dict[int, ScorerError] = {}
        left = list(range(len(pairs)))
        for name, scorer, gate in self._scorers:
            selected = [pairs[index] for index in left]
            for index, (example, _), outcome in zip(left, selected, score_all(scorer, selected), strict=True):
                if isinstance(outcome, ScorerError):
                    failed[index] = outcome
                elif not 0 <= outcome.value <= 1:
                    failed[index] = _beyond(name, outcome, example)
                else:
                    scores[index][name] = outcome
            left = [index for index in left if index not in failed and (not gate or scores[index][name].passed)]
        return [failed.get(index) or self._together(scores[index]) for index in range(len(pairs))]

    def _together(self, scores: Mapping[str, Score]) -> Score:
        """The combined score; scorers that were not called are missing in `scores`."""
        judged = {name: scores[name] for name in self._shares if name in scores}
        parts = {name: scores[name].value if name in scores else 0.0 for name in self._shares}
        for name, score in judged.items():
            for part, value in score.parts.items():
                parts[f"{name}.{part}" if part in parts else part] = value
        reasons = dict.fromkeys(score.reason for score in judged.values() if score.reason)
        return Score(
            value=min(sum(self._shares[name] * score.value for name, score in judged.items()), 1.0),
            passed=len(judged) == len(self._shares) and all(score.passed for score in judged.values()),
            reason="; ".join(reasons),
            parts=parts,
        )


def _beyond(name: str, score: Score, example: Example) -> ScorerError:
    return ScorerError(f"expected a value in [0, 1] from {name}, found {score.value} (example {example.id})")
