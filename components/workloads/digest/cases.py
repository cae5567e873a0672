"""The content of a thread, before its wording: the facts that a digest must have, and those that only look like them.

A case determines the facts of each section, and what would be false there.
"""

import random
from dataclasses import dataclass

from components.workloads.digest import phrases

OTHER_ORDER_SHARE = 0.055
WISH_SHARE = 0.06
CHANGED_SHARE = 0.06
NOT_TRIED_SHARE = 0.055


@dataclass(frozen=True, slots=True)
class Promise:
    """What will happen (a key of `phrases.PROMISES`), and when."""

    step: str
    day: str


@dataclass(frozen=True, slots=True)
class Case:
    """A ticket; the optional fields are what tempts a hurried reader.

    `other_order` is settled, `wished_day` is the customer's wish, `dropped` was promised and withdrawn, `asked` was
    requested and not done. `tried` and `arranged` were done.
    """

    product: str
    fault: str
    order: str
    tried: str | None
    arranged: str | None
    promise: Promise
    other_order: str | None
    wished_day: str | None
    dropped: Promise | None
    asked: str | None

    @property
    def done(self) -> str:
        """What was done, in a digest's words."""
        return ", ".join(part for part in (self.tried, self.arranged) if part) or phrases.NOTHING

    @property
    def trap(self) -> str:
        """The thread's temptation, or "plain"."""
        named = {
            "other_order": self.other_order,
            "wished_day": self.wished_day,
            "dropped_promise": self.dropped,
            "asked_not_done": self.asked,
        }
        return next((name for name, value in named.items() if value), "plain")


def draw_case(rng: random.Random) -> Case:
    """Draw a case with at most one temptation, so that a reader who resists it gets everything right."""
    trap = rng.random()
    cuts = [OTHER_ORDER_SHARE, WISH_SHARE, CHANGED_SHARE, NOT_TRIED_SHARE]
    which = next((i for i in range(4) if trap < sum(cuts[: i + 1])), None)
    day, other_day = rng.sample([draw_day(rng, weekday=True), draw_day(rng, weekday=False)], 2)
    step, other_step = rng.sample(tuple(phrases.PROMISES), 2)
    requested = rng.choice(tuple(phrases.REQUESTS)) if which == 3 else None
    product = rng.choice(phrases.PRODUCTS)
    return Case(
        product=product,
        fault=draw_fault(product, rng),
        order=draw_order(rng),
        tried=None if requested or rng.random() < 0.45 else rng.choice(tuple(phrases.TRIED)),
        arranged=None if requested or rng.random() < 0.6 else rng.choice(tuple(phrases.ARRANGED)),
        promise=Promise(step, day),
        other_order=draw_order(rng) if which == 0 else None,
        wished_day=other_day if which == 1 else None,
        dropped=Promise(other_step, other_day) if which == 2 else None,
        asked=requested,
    )


def draw_fault(product: str, rng: random.Random) -> str:
    """Draw one of the product's possible faults."""
    own = phrases.WATER_FAULTS if product in phrases.WATER else {}
    own = phrases.SIGNAL_FAULTS if product in phrases.SIGNAL else own
    return rng.choice((*own, *phrases.COMMON_FAULTS))


def draw_order(rng: random.Random) -> str:
    """Draw an order number: two letters, a dash, four digits."""
    letters = "ABCDEFGHJKLMNPRSTUVWXYZ"
    return f"{rng.choice(letters)}{rng.choice(letters)}-{rng.randrange(1000, 10_000)}"


def draw_day(rng: random.Random, *, weekday: bool) -> str:
    """Draw a weekday, or a day of a month."""
    if weekday:
        return rng.choice(phrases.WEEKDAYS)
    return f"{rng.randrange(3, 29)} {rng.choice(phrases.MONTHS)}"
