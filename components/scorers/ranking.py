"""A judge that ranks a group: one call for all distinct answers to a task; as many places as answers, or no verdict.

Equal answers are shown once and have one place. The order in which answers are shown follows from their content; a
ranking that leaves one out or names one twice is asked for once more, in the other order.
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
    """Values in (0, 1] by place: of n distinct answers the best has 1, the worst 1/n."""

    def __init__(self, params: JudgeParams) -> None:
        """Read the rubric.

        Raises:
            ConfigError: There is none.
        """
        self.params, self._rubric = params, rubric_of(params)
        self._by_size: dict[int, Verdicts] = {}

    @property
    def spent(self) -> Spent:
        """What all rankings took."""
        total = Spent()
        for verdicts in self._by_size.values():
            for name, value in vars(verdicts.spent).items():
                setattr(total, name, getattr(total, name) + value)
        return total

    def rank(self, groups: Sequence[Group]) -> list[list[float] | ScorerError]:
        """The value of each answer of each group, or why there is none; who is alone has 1, and nobody is asked."""
        shown = [ordered(texts) for _, texts in groups]
        asked = [place for place, texts in enumerate(shown) if len(texts) > 1]
        found = self._asked([groups[at][0] for at in asked], [shown[at] for at in asked])
        again = [at for at, one in zip(asked, found, strict=True) if isinstance(one, ScorerError)]
        known = dict(zip(asked, found, strict=True))
        if again:
            turned = [tuple(reversed(shown[at])) for at in again]
            known |= dict(zip(again, self._asked([groups[at][0] for at in again], turned), strict=True))
        return [_spread(texts, known.get(at, {text: 1.0 for text in texts})) for at, (_, texts) in enumerate(groups)]

    def _asked(
        self, examples: Sequence[Example], shown: Sequence[Sequence[str]]
    ) -> list[dict[str, float] | ScorerError]:
        """Answer → value for each group, those of one size together."""
        sizes: dict[int, list[int]] = defaultdict(list)
        for place, texts in enumerate(shown):
            sizes[len(texts)].append(place)
        found: dict[int, dict[str, float] | ScorerError] = {}
        for n, places in sizes.items():
            verdicts = self._by_size.setdefault(n, Verdicts(self.params, ranking_schema(n)))
            asks = [self._question(examples[place], shown[place]) for place in places]
            for place, told in zip(places, verdicts.ask(asks), strict=True):
                found[place] = values_of(told, shown[place], examples[place])
        return [found[place] for place in range(len(shown))]

    def _question(self, example: Example, texts: Sequence[str]) -> Any:
        numbered = {f"answer {number}": text for number, text in enumerate(texts, start=1)}
        return question(RANK.format(n=len(texts)), example, numbered, self.params, self._rubric)


def ordered(texts: Sequence[str]) -> tuple[str, ...]:
    """The distinct answers, in an order that follows from their content."""
    return tuple(sorted(set(texts), key=lambda text: hashlib.sha256(text.encode()).hexdigest()))


def ranking_schema(n: int) -> dict[str, Any]:
    """The schema of a ranking of `n`. That no number comes twice, few engines can be held to: it is looked at later."""
    places = {
        "type": "array",
        "items": {"type": "integer", "enum": list(range(1, n + 1))},
        "minItems": n,
        "maxItems": n,
    }
    properties = {"reason": {"type": "string", "maxLength": MOST_REASON}, "ranking": places}
    required = list(properties)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def values_of(
    told: list[Verdict] | ScorerError, texts: Sequence[str], example: Example
) -> dict[str, float] | ScorerError:
    """Answer → its mean value over the votes that name each answer exactly once, which more than half have to do."""
    if isinstance(told, ScorerError):
        return ScorerError(f"{told} (example {example.id})")
    n = len(texts)
    whole = [one["ranking"] for one in told if sorted(one["ranking"]) == list(range(1, n + 1))]
    if 2 * len(whole) <= len(told):
        return ScorerError(
            f"expected a ranking that names each of {n} answers once, found {told[0]['ranking']} (example {example.id})"
        )
    return {text: fmean((n - ranking.index(at)) / n for ranking in whole) for at, text in enumerate(texts, start=1)}


def _spread(texts: Sequence[str], known: dict[str, float] | ScorerError) -> list[float] | ScorerError:
    return known if isinstance(known, ScorerError) else [known[text] for text in texts]
