"""Who answers a request: the champion, or a canary for a share of the traffic; and who answers it unseen besides.

Decides by a hash of the customer's name (the canary's) or the request's (the shadow's), so that the choice needs no
memory and can be repeated from a trace. A customer stays with one version: were each request drawn, customers who ask
often would be compared with themselves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from components.data.shares import falls_in
from components.engines import Calls
from components.records import Completion, Message, RouteName
from components.serving.champion import Served


@dataclass(frozen=True)
class Answer:
    """What one version answered on one route; `calls` says what it might call, where there were tools."""

    route: RouteName
    served: Served
    messages: Sequence[Message]
    input: Mapping[str, str]
    completions: Sequence[Completion]
    calls: Calls | None = None


def canary_answers(share: float, version: int, unit: str) -> bool:
    """Whether a canary of this version answers a unit, a customer or a request; each version draws its own."""
    return falls_in(share, f"canary {version}", unit)
