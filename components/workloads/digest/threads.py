"""Words a case as two to four short messages between a customer and an agent, by chat or mail."""

import random
from typing import Literal

from components.workloads.asking import misspelt
from components.workloads.digest import phrases
from components.workloads.digest.cases import Case, Promise

Channel = Literal["chat", "mail"]
FILLER_SHARE = 0.35
LOWER_SHARE = 0.1
TYPO_RATES = (0.0, 0.0, 0.02, 0.05)


def write_thread(case: Case, channel: Channel, rng: random.Random) -> str:
    """Word a case, a message per line, after the channel."""
    agent = [rng.choice(phrases.GREETINGS)]
    if case.arranged:
        agent.append(_sentence(rng.choice(phrases.ARRANGED[case.arranged])))
    messages = [("Customer", _statement(case, rng))]
    if case.asked:
        reply = [rng.choice(phrases.NOT_TRIED), *_filler(rng)]
        messages += [("Agent", [*agent, rng.choice(phrases.REQUESTS[case.asked])]), ("Customer", reply)]
        agent = []
    elif case.dropped:
        messages.append(("Agent", [*agent, _promise(case.dropped, rng)]))
        agent = [rng.choice(phrases.CHANGES)]
        if rng.random() < 0.6:
            messages.append(("Customer", [rng.choice(phrases.OBJECTIONS)]))
    elif rng.random() < 0.25:
        messages += [("Agent", agent if any(agent) else [phrases.ANSWER]), ("Customer", [rng.choice(phrases.FILLERS)])]
        agent = []
    messages.append(("Agent", [*agent, _promise(case.promise, rng), rng.choice(phrases.CLOSINGS)]))
    lines = [f"{who}: {' '.join(part for part in parts if part)}" for who, parts in messages if any(parts)]
    return "\n".join([f"[{channel}]", *lines])


def _statement(case: Case, rng: random.Random) -> list[str]:
    """The customer's first message."""
    fault = rng.choice(phrases.FAULTS[case.fault])
    first = rng.choice(phrases.OPENINGS) + rng.choice(phrases.STATEMENTS).format(product=case.product, fault=fault)
    rest = [rng.choice(phrases.ORDERS).format(order=case.order)]
    if case.tried:
        rest.append(_sentence(rng.choice(phrases.TRIED[case.tried])))
    if case.wished_day:
        rest.append(rng.choice(phrases.WISHES).format(day=case.wished_day))
    if case.other_order:
        rest.append(rng.choice(phrases.OTHER_ORDERS).format(other=case.other_order))
    rng.shuffle(rest)
    text = " ".join([_sentence(first), *rest, *_filler(rng)])
    text = misspelt(text, rng.choice(TYPO_RATES), case.product.lower().split(), rng)
    return [text.lower() if rng.random() < LOWER_SHARE else text]


def _promise(promise: Promise, rng: random.Random) -> str:
    return _sentence(rng.choice(phrases.PROMISES[promise.step]).format(day=promise.day))


def _filler(rng: random.Random) -> list[str]:
    return [rng.choice(phrases.FILLERS)] if rng.random() < FILLER_SHARE else []


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
