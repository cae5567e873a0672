"""How many answers a scorer could not decide, and when that is too many."""

import logging
from collections.abc import Mapping, Sequence

from components.errors import ScorerError
from components.records import Score
from components.scorers.protocol import Outcome

log = logging.getLogger(__name__)


class Failures:
    """A count over batches of outcomes; `failed` of `judged` answers had no score."""

    def __init__(self, most: float, of_at_least: int = 1) -> None:
        """`most` is the share in [0, 1] that may fail, of `of_at_least` answers while there are fewer."""
        self.judged = self.failed = 0
        self._most, self._of_at_least = most, of_at_least
        self._first: ScorerError | None = None

    def add(self, outcomes: Sequence[Outcome]) -> int:
        """Count a batch; returns how many of it failed.

        Raises:
            ScorerError: More than the share that may fail have failed; the first cause is named.
        """
        found = [one for one in outcomes if isinstance(one, ScorerError)]
        self.judged, self.failed = self.judged + len(outcomes), self.failed + len(found)
        if found and self._first is None:
            self._first = found[0]
            log.warning("The scorer could not decide on an answer, which is left out: %s.", self._first)
        if self.failed > self._most * max(self.judged, self._of_at_least):
            raise ScorerError(
                f"expected a scorer that fails on at most {self._most:.1%} of answers (scorer.max_failed_share), "
                f"found {self.failed:,} of {self.judged:,}, first: {self._first}"
            ) from self._first
        return len(found)


def scores_of(ids: Sequence[str], outcomes: Sequence[Outcome]) -> Mapping[str, Score]:
    """Example id → score, of those that were decided."""
    return {key: one for key, one in zip(ids, outcomes, strict=True) if isinstance(one, Score)}
