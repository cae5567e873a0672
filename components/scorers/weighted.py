"""Several scorers as one: the weighted mean of their values, passed only when each passes.

Gates come first: what does not pass them is worth their own shares, and nobody else is asked about it.
"""

import math
from collections.abc import Collection, Mapping, Sequence

from components.errors import ScorerError
from components.records import Completion, Example, Score
from components.scorers.protocol import Outcome, Pair, Scorer, decided, score_all


class WeightedScorer:
    """A weighted mean in [0, 1], whatever the weights add up to.

    `parts` holds each scorer's value under its name, and the scorers' own parts under theirs; a name that is taken
    is written `scorer.part`. A scorer behind a gate that did not pass has the value 0.
    """

    def __init__(self, scorers: Mapping[str, tuple[Scorer, float]], gates: Collection[str] = ()) -> None:
        """Name → (scorer, weight above 0), at least one; `gates` are some of the names."""
        total = math.fsum(weight for _, weight in scorers.values())
        self._shares = {name: weight / total for name, (_, weight) in scorers.items()}
        order = sorted(scorers, key=lambda name: name not in gates)  # stable: gates first, as they are listed
        self._scorers = [(name, scorers[name][0], name in gates) for name in order]

    def score(self, example: Example, completion: Completion) -> Score:
        return decided(self.score_many([(example, completion)])[0])

    def score_many(self, pairs: Sequence[Pair]) -> list[Outcome]:
        """The weighted score of each pair; one that a scorer cannot decide is not decided."""
        found: list[dict[str, Score]] = [{} for _ in pairs]
        failed: dict[int, ScorerError] = {}
        left = list(range(len(pairs)))
        for name, scorer, gate in self._scorers:
            asked = [pairs[place] for place in left]
            for place, (example, _), outcome in zip(left, asked, score_all(scorer, asked), strict=True):
                if isinstance(outcome, ScorerError):
                    failed[place] = outcome
                elif not 0 <= outcome.value <= 1:
                    failed[place] = _beyond(name, outcome, example)
                else:
                    found[place][name] = outcome
            left = [place for place in left if place not in failed and (not gate or found[place][name].passed)]
        return [failed.get(place) or self._together(found[place]) for place in range(len(pairs))]

    def _together(self, found: Mapping[str, Score]) -> Score:
        """One score of several; those that were not asked are missing in `found`."""
        judged = {name: found[name] for name in self._shares if name in found}
        parts = {name: found[name].value if name in found else 0.0 for name in self._shares}
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
