"""Counts the answers that a scorer could not decide, and refuses too many."""

import logging
from collections.abc import Mapping, Sequence

from components.errors import ScorerError
from components.records import Score
from components.scorers.protocol import Outcome

log = logging.getLogger(__name__)


class Failures:
    """A count over batches of outcomes; `failed` of `judged` answers have no score."""

    def __init__(self, most: float, of_at_least: int = 1, of: str = "scorer") -> None:
        """`most` is the share in [0, 1] that may fail; fewer than `of_at_least` answers count as that many.

        `of` is the scorer's name in the settings.
        """
        self.judged = self.failed = 0
        self._most, self._of_at_least, self._of = most, of_at_least, of
        self._first: ScorerError | None = None

    def add(self, outcomes: Sequence[Outcome]) -> int:
        """Count a batch; return its number of failures.

        Raises:
            ScorerError: More than the allowed share has failed; the message has the first cause.
        """
        errors = [outcome for outcome in outcomes if isinstance(outcome, ScorerError)]
        self.judged, self.failed = self.judged + len(outcomes), self.failed + len(errors)
        if errors and self._first is None:
            self._first = errors[0]
            log.warning("The scorer could not decide on an answer, which is left out: %s.", self._first)
        if self.failed > self._most * max(self.judged, self._of_at_least):
            raise ScorerError(
                f"expected a scorer that fails on at most {self._most:.1%} of answers ({self._of}.max_failed_share), "
                f"found {self.failed:,} of {self.judged:,}, first: {self._first}"
            ) from self._first
        return len(errors)


def scores_of(ids: Sequence[str], outcomes: Sequence[Outcome]) -> Mapping[str, Score]:
    """Example id → score, for the decided answers."""
    return {key: outcome for key, outcome in zip(ids, outcomes, strict=True) if isinstance(outcome, Score)}
