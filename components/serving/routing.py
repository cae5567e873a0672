"""Which version answers a request: the champion or, for a share of the traffic, a canary.

Decides by a hash of the customer's name or the request's, so that the choice needs no memory and can be repeated from
a trace. By customer, everyone stays with one version: if each request were drawn, customers who ask often would be
compared with themselves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from components.data.shares import falls_in
from components.engines import Calls
from components.records import Completion, Message, RouteName
from components.serving.champion import Served
from components.serving.refusals import RequestError


@dataclass(frozen=True)
class Answer:
    """What one version answered on one route; `calls` says what it might call, where there were tools."""

    route: RouteName
    served: Served
    messages: Sequence[Message]
    input: Mapping[str, str]
    completions: Sequence[Completion]
    calls: Calls | None = None


@dataclass(frozen=True)
class Tried:
    """What became of asking a version. With an `error` there is no answer, and its only completion says why."""

    answer: Answer
    error: Exception | None = None

    @property
    def asked(self) -> bool:
        """Whether the version was asked at all, and so answers for what became of it: not where too many waited."""
        return not self._is("overloaded")

    @property
    def away(self) -> bool:
        """Whether the version's engine did not answer, or not in time, though the request is not to blame."""
        return self._is("unavailable", "timeout")

    def _is(self, *codes: str) -> bool:
        return isinstance(self.error, RequestError) and self.error.code in codes


def canary_answers(share: float, version: int, unit: str) -> bool:
    """Whether a canary of this version answers a unit, a customer or a request; each version draws its own."""
    return falls_in(share, f"canary {version}", unit)
