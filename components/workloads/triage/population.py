"""The population from which tickets are drawn: who writes, about what, in which words.

The usual one is that of the training data. A drift has a different one (`drifts.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from components.workloads.triage import phrases
from components.workloads.triage.rules import INTENTS, PRODUCTS, Signal
from components.workloads.triage.wording import STATEMENTS, IntentWording

SIGNAL_SHARES: dict[Signal, float] = {
    "threat": 0.04,
    "deadline": 0.12,
    "repeat": 0.10,
    "no_hurry": 0.10,
}


@dataclass(frozen=True)
class Population:
    """What each part of a ticket is drawn from; items listed twice are drawn twice as often.

    `surfaces` are the customers' names for each product.
    """

    intents: tuple[str, ...] = tuple(INTENTS)
    products: tuple[str, ...] = tuple(PRODUCTS)
    signal_shares: Mapping[Signal, float] = field(default_factory=lambda: SIGNAL_SHARES)
    surfaces: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: phrases.SURFACES)
    statements: Mapping[str, IntentWording] = field(default_factory=lambda: STATEMENTS)
    signals: Mapping[Signal, tuple[str, ...]] = field(default_factory=lambda: phrases.SIGNALS)
    wishes: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: phrases.WISHES)


USUAL = Population()
