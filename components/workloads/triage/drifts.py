"""Drifts: the same business, but other tickets, so that a model meets what it was not trained on.

Gold follows from the same written rules as ever. Each drift is a seeded function of the tickets' numbers; when it
begins is decided by who sends them.
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
    """A share of the tickets comes from another population, or their text from another system."""

    population: Population = USUAL
    share: float = 1.0
    transport: Callable[[str, random.Random], str] = lambda message, rng: message


def as_html(message: str, rng: random.Random) -> str:
    """The text as a mail gateway hands it on after an update: the HTML part with its headers, not the plain one.

    It loses nothing: <br> is a line's end, and what HTML escapes can be read back.
    """
    body = html.escape(message).replace("€", "&euro;").replace("£", "&pound;").replace("\n", "<br>")
    part = f"{rng.randrange(16**12):012x}"
    return f'Content-Type: text/html; charset=utf-8\nContent-ID: <{part}>\n<div dir="ltr"><p>{body}</p></div>'


# Shares are sized by what they cost a champion with 95 % right on usual tickets: about 30 to 40 points each, and
# nothing where only the mix changes.
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
    """One ticket; those that word the same case come from the same population."""
    base = base_index("triage", index, seed)
    case = random.Random(f"triage/{seed}/drift/{base}")
    ticket = make_ticket(index, seed, drift.population if case.random() < drift.share else USUAL)
    return replace(ticket, message=drift.transport(ticket.message, random.Random(f"triage/{seed}/transport/{index}")))
