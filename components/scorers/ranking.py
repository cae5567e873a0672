"""A judge that ranks groups: a single call for all distinct answers to a task gives a complete ranking, or none.

Equal answers are shown once and share a rank. Answers are shown in an order that depends on their content; an
incomplete ranking, or one that repeats an answer, is requested once more, in reverse order.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from components.errors import ScorerError
from components.params import JudgeParams
from components.records import Example
from components.scorers.judge import question, rubric_of
from components.scorers.verdicts import Spent, Verdict, Verdicts

RANK = """You rank {n} answers to the same task by a rubric. {{guard}}
Say in a sentence or two what decides, then the ranking: the numbers of all {n} answers, the best first, each exactly
once. Their order means nothing.

Rubric:
{{rubric}}"""
MOST_REASON = 240  # characters
Group = tuple[Example, Sequence[str]]


class RankingJudge:
    """Values in (0, 1] by rank: of n distinct answers, the best has 1 and the worst 1/n."""

    def __init__(self, params: JudgeParams) -> None:
        """Read the rubric.

        Raises:
            ConfigError: There is no rubric.
        """
        self.params, self._rubric = params, rubric_of(params)
        self._by_size: dict[int, Verdicts] = {}

    @property
    def spent(self) -> Spent:
        """What all rankings have used."""
        total = Spent()
        for verdicts in self._by_size.values():
            for name, value in vars(verdicts.spent).items():
                setattr(total, name, getattr(total, name) + value)
        return total

    def rank(self, groups: Sequence[Group]) -> list[list[float] | ScorerError]:
        """The value of each answer in each group, or the error in its place; a single answer has 1 without a call."""
        shown = [ordered(texts) for _, texts in groups]
        to_rank = [index for index, texts in enumerate(shown) if len(texts) > 1]
        rankings = self._asked([groups[index][0] for index in to_rank], [shown[index] for index in to_rank])
        again = [index for index, ranking in zip(to_rank, rankings, strict=True) if isinstance(ranking, ScorerError)]
        values = dict(zip(to_rank, rankings, strict=True))
        if again:
            turned = [tuple(reversed(shown[index])) for index in again]
            values |= dict(zip(again, self._asked([groups[index][0] for index in again], turned), strict=True))
        return [
            _spread(texts, values.get(index, {text: 1.0 for text in texts})) for index, (_, texts) in enumerate(groups)
        ]

    def _asked(
        self, examples: Sequence[Example], shown: Sequence[Sequence[str]]
    ) -> list[dict[str, float] | ScorerError]:
        """Answer → value for each group; groups of the same size are judged together."""
        sizes: dict[int, list[int]] = defaultdict(list)
        for index, texts in enumerate(shown):
            sizes[len(texts)].append(index)
        by_index: dict[int, dict[str, float] | ScorerError] = {}
        for n, indices in sizes.items():
            verdicts = self._by_size.setdefault(n, Verdicts(self.params, ranking_schema(n)))
            asks = [self._question(examples[index], shown[index]) for index in indices]
            for index, outcome in zip(indices, verdicts.ask(asks), strict=True):
                by_index[index] = values_of(outcome, shown[index], examples[index])
        return [by_index[index] for index in range(len(shown))]

    def _question(self, example: Example, texts: Sequence[str]) -> Any:
        numbered = {f"answer {number}": text for number, text in enumerate(texts, start=1)}
        return question(RANK.format(n=len(texts)), example, numbered, self.params, self._rubric)


def ordered(texts: Sequence[str]) -> tuple[str, ...]:
    """The distinct answers, in an order that depends on their content."""
    return tuple(sorted(set(texts), key=lambda text: hashlib.sha256(text.encode()).hexdigest()))


def ranking_schema(n: int) -> dict[str, Any]:
    """The schema of a ranking of `n`. Few engines can enforce that numbers are unique; that is checked later."""
    ranking = {
        "type": "array",
        "items": {"type": "integer", "enum": list(range(1, n + 1))},
        "minItems": n,
        "maxItems": n,
    }
    properties = {"reason": {"type": "string", "maxLength": MOST_REASON}, "ranking": ranking}
    required = list(properties)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def values_of(
    outcome: list[Verdict] | ScorerError, texts: Sequence[str], example: Example
) -> dict[str, float] | ScorerError:
    """Answer → mean value over the votes with a complete ranking, which must be more than half."""
    if isinstance(outcome, ScorerError):
        return ScorerError(f"{outcome} (example {example.id})")
    n = len(texts)
    whole = [verdict["ranking"] for verdict in outcome if sorted(verdict["ranking"]) == list(range(1, n + 1))]
    if 2 * len(whole) <= len(outcome):
        return ScorerError(
            f"expected a ranking that names each of {n} answers once, found {outcome[0]['ranking']} "
            f"(example {example.id})"
        )
    return {text: fmean((n - ranking.index(i)) / n for ranking in whole) for i, text in enumerate(texts, start=1)}


def _spread(texts: Sequence[str], values: dict[str, float] | ScorerError) -> list[float] | ScorerError:
    return values if isinstance(values, ScorerError) else [values[text] for text in texts]
