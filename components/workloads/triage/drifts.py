"""Drifts: the same business with different tickets, for which a model was not trained.

Gold still follows from the same written rules. Each drift is a seeded function of the tickets' numbers; the sender
decides when it begins.
"""

import html
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from components.workloads.asking import base_index
from components.workloads.triage import phrases
from components.workloads.triage.drift_wording import APP_SIGNALS, APP_STATEMENTS, APP_WISHES, LAUNCHED
from components.workloads.triage.population import SIGNAL_SHARES, USUAL, Population
from components.workloads.triage.rules import INTENTS
from components.workloads.triage.tickets import Ticket, make_ticket


@dataclass(frozen=True)
class Drift:
    """A share of tickets from another population, or with text from another system."""

    population: Population = USUAL
    share: float = 1.0
    transport: Callable[[str, random.Random], str] = lambda message, rng: message


def as_html(message: str, rng: random.Random) -> str:
    """The text as forwarded by an updated mail gateway: the HTML part with its headers, not the plain text.

    Nothing is lost: <br> is a line end, and HTML's escapes can be decoded.
    """
    body = html.escape(message).replace("€", "&euro;").replace("£", "&pound;").replace("\n", "<br>")
    part = f"{rng.randrange(16**12):012x}"
    return f'Content-Type: text/html; charset=utf-8\nContent-ID: <{part}>\n<div dir="ltr"><p>{body}</p></div>'


# Shares are chosen by their cost to a champion with 95 % right on usual tickets: about 30 to 40 points each, and none
# if only the mix changes.
DRIFTS: dict[str, Drift] = {
    "none": Drift(),
    "new-wording": Drift(Population(statements=APP_STATEMENTS, signals=APP_SIGNALS, wishes=APP_WISHES), share=0.5),
    "new-product": Drift(Population(products=tuple(LAUNCHED), surfaces=phrases.SURFACES | LAUNCHED), share=0.4),
    "shifted-mix": Drift(
        Population(
            intents=(*INTENTS, *("billing_error",) * 6),  # 7 of 16
            signal_shares={**SIGNAL_SHARES, "threat": 0.12, "deadline": 0.25, "repeat": 0.25},
        )
    ),
    "broken-field": Drift(transport=as_html),
}


def drifted(n: int, seed: int, drift: str) -> Iterator[Ticket]:
    """Yield tickets 0 to n - 1 of a seed under a drift; under "none" those of `generate`.

    Raises:
        ValueError: if `n` is negative, or there is no such drift.
    """
    if n < 0:
        raise ValueError(f"n must be ≥ 0, found {n}")
    if drift not in DRIFTS:
        raise ValueError(f"drift must be one of {', '.join(DRIFTS)}, found {drift}")
    return (_ticket(index, seed, DRIFTS[drift]) for index in range(n))


def _ticket(index: int, seed: int, drift: Drift) -> Ticket:
    """A ticket; tickets with the same case come from the same population."""
    base = base_index("triage", index, seed)
    case = random.Random(f"triage/{seed}/drift/{base}")
    ticket = make_ticket(index, seed, drift.population if case.random() < drift.share else USUAL)
    return replace(ticket, message=drift.transport(ticket.message, random.Random(f"triage/{seed}/transport/{index}")))
