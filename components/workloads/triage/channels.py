"""Words a scenario for each channel: order of sentences, greetings, labels, quotes, typos.

Typos and abbreviations never affect tokens with a digit, so ids and amounts can be copied.
"""

import random

from components.workloads.triage import phrases
from components.workloads.triage.population import Population
from components.workloads.triage.rules import Channel
from components.workloads.triage.scenario import Scenario, fill

CHANNELS: tuple[Channel, ...] = ("mail", "mail", "chat", "chat", "web_form")
MIN_WORDS, MAX_WORDS = 15, 90
FILLER_COUNTS = (0, 0, 0, 1, 1, 2)
DISTRACTOR_SHARE = 0.07
TYPO_RATES = (0.0, 0.0, 0.01, 0.02, 0.05)


def write_message(scenario: Scenario, channel: Channel, population: Population, rng: random.Random) -> str:
    """Word a scenario for a channel: 15 to 90 words, with the writer's own rate of typos."""
    labelled = channel == "web_form" and rng.random() < 0.7
    quoted = channel == "mail" and scenario.other_order is not None and rng.random() < 0.3
    dress = {"mail": _mail, "chat": _chat, "web_form": _web_form}[channel]
    typo_rate = rng.choice(TYPO_RATES)
    fillers = rng.choice(FILLER_COUNTS)
    while True:
        sentences = _case(scenario, labelled, quoted, rng) + _remarks(scenario, population, fillers, rng)
        body = add_typos(" ".join(sentences), typo_rate, rng)
        message = dress(scenario, body, labelled or quoted, rng)
        words = len(message.split())
        if MIN_WORDS <= words <= MAX_WORDS:
            return message
        fillers = fillers + 1 if words < MIN_WORDS else max(0, fillers - 1)


def add_typos(text: str, rate: float, rng: random.Random) -> str:
    """Misspell a share `rate` of the words: a letter dropped, doubled or swapped with the next."""
    if rate == 0.0:
        return text
    words = text.split(" ")
    for index, word in enumerate(words):
        if len(word) > 4 and rng.random() < rate and word.isalpha():
            position = rng.randrange(1, len(word) - 2)
            words[index] = rng.choice((
                word[:position] + word[position + 1 :],
                word[:position] + word[position] + word[position:],
                word[:position] + word[position + 1] + word[position] + word[position + 2 :],
            ))  # fmt: skip
    return " ".join(words)


def _say(scenario: Scenario, templates: tuple[str, ...], rng: random.Random) -> str:
    """Return one of the templates, filled with the scenario's values."""
    return fill(rng.choice(templates), scenario.slots)


def _case(scenario: Scenario, labelled: bool, quoted: bool, rng: random.Random) -> list[str]:
    """Return the sentences with the fields' values, in an unambiguous order."""
    case = [scenario.statement]
    if scenario.order_id is None and rng.random() < 0.3:
        case.append(_say(scenario, phrases.NO_ORDER_SENTENCES, rng))
    if scenario.order_id and not (scenario.order_inline or labelled):
        case.insert(rng.randrange(2), _say(scenario, phrases.ORDER_SENTENCES, rng))
    if scenario.amount is not None and not scenario.amount_inline:
        case.append(_say(scenario, phrases.AMOUNT_SENTENCES, rng))
    if scenario.other_order and not quoted:
        if rng.random() < 0.6:
            case.insert(0, _say(scenario, phrases.OTHER_ORDER_FIRST, rng))
        else:
            case.append(_say(scenario, phrases.OTHER_ORDER_AFTER, rng))
    return case


def _remarks(scenario: Scenario, population: Population, fillers: int, rng: random.Random) -> list[str]:
    """Return signals, wish and irrelevant remarks, in any order."""
    remarks = [_say(scenario, population.signals[signal], rng) for signal in scenario.signals]
    if scenario.wish != "none":
        remarks.append(_say(scenario, population.wishes[scenario.wish], rng))
    for templates in (phrases.OTHER_AMOUNTS, phrases.OTHER_PRODUCTS):
        if rng.random() < DISTRACTOR_SHARE:
            remarks.append(_say(scenario, templates, rng))
    chosen = rng.sample(phrases.FILLERS, min(fillers, len(phrases.FILLERS)))
    remarks += [fill(text, scenario.slots) for text in chosen]
    rng.shuffle(remarks)
    return remarks


def _mail(scenario: Scenario, body: str, quoted: bool, rng: random.Random) -> str:
    """Format a body as mail: subject, greeting, closing, sometimes an address or a quoted notice."""
    slots = scenario.slots
    name = f"{rng.choice(phrases.FIRST_NAMES)} {rng.choice(phrases.LAST_NAMES)}"
    lines = [f"Subject: {fill(rng.choice(phrases.SUBJECTS), slots)}"] if rng.random() < 0.8 else []
    lines += [f"{rng.choice(phrases.GREETINGS)},", body, f"{rng.choice(phrases.CLOSINGS)}, {name}"]
    extra = rng.random()
    if extra < 0.2:
        lines.append(f"{slots['town']} {slots['postcode']}, tel. {slots['phone']}")
    elif extra < 0.35:
        lines.append(rng.choice(phrases.SENT_FROM))
    if quoted or rng.random() < 0.12:
        notice = rng.choice(phrases.OTHER_ORDER_QUOTES if quoted else phrases.QUOTES)
        header = rng.choice(phrases.QUOTE_HEADERS)
        lines += [header.format_map(slots), f"> {notice.format_map(slots)}"]
    return "\n".join(lines)


def _chat(scenario: Scenario, body: str, _: bool, rng: random.Random) -> str:
    """Format a body as chat: lower case, abbreviations, few apostrophes and full stops."""
    words = [word if any(map(str.isdigit, word)) else word.lower() for word in body.split(" ")]
    if rng.random() < 0.6:
        words = [phrases.ABBREVIATIONS.get(word, word) for word in words]
    text = " ".join(words)
    if rng.random() < 0.5:
        stop = rng.choice((" ", ", ", "... ", "\n"))
        text = text.replace("'", "").replace(". ", stop).rstrip(".")
    if rng.random() < 0.6:
        text = f"{rng.choice(phrases.CHAT_OPENERS)}{rng.choice((' ', ', ', '! '))}{text}"
    if rng.random() < 0.4:
        text = f"{text} {rng.choice(phrases.CHAT_CLOSERS)}"
    return text


def _web_form(scenario: Scenario, body: str, labelled: bool, rng: random.Random) -> str:
    """Format a body as a form; if `labelled`, the order has its own line."""
    slots = scenario.slots
    lines = [f"Name: {rng.choice(phrases.FIRST_NAMES)} {rng.choice(phrases.LAST_NAMES)}"]
    lines.append(f"Topic: {rng.choice(phrases.FORM_TOPICS)}")
    if labelled:
        lines.append(f"Order: {scenario.order_id or rng.choice(('-', 'unknown', 'n/a'))}")
    if rng.random() < 0.4:
        label, slot = rng.choice((("Phone", "phone"), ("Postcode", "postcode"), ("City", "town")))
        lines.append(f"{label}: {slots[slot]}")
    return "\n".join([*lines, f"Message: {body}"])
