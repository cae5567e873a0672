"""Who answers a request: the champion, or a canary for a share of the traffic; and who answers it unseen besides.

Decides by a hash of the request's name, so that the choice needs no memory and can be repeated from a trace.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from components.records import Completion, Message, RouteName
from components.serving.champion import Served


@dataclass(frozen=True)
class Answer:
    """What one version answered on one route."""

    route: RouteName
    served: Served
    messages: Sequence[Message]
    input: Mapping[str, str]
    completions: Sequence[Completion]


def falls_in(share: float, purpose: str, name: str) -> bool:
    """Whether a request belongs to a share, in [0, 1]; routes and stores draw independently of each other."""
    drawn = int.from_bytes(hashlib.sha256(f"{purpose} {name}".encode()).digest()[:8])
    return drawn < share * 2**64
