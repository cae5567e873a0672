"""Simulated ticket threads: the thread, a right digest, an imperfect demonstration, and the facts for verification.

Thread i of a seed is always the same, however many are drawn. The clerk who wrote the demonstrations falls for a
thread's temptation in some cases and resists it in more, so that for every kind the majority is right. Chats are
summarised in a hurry, so most of the tempting ones are wrong.
"""

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from components.workloads.digest import phrases
from components.workloads.digest.cases import Case, draw_case
from components.workloads.digest.threads import Channel, write_thread

FIELD_NAMES = ("problem", "done", "next")
CHAT_SHARE = 0.36
HABIT_SHARES: dict[Channel, float] = {"chat": 0.72, "mail": 0.24}  # of threads with a temptation
Sections = dict[str, str]


@dataclass(frozen=True, slots=True)
class Digest:
    """A thread: `gold` is one of many right digests, `demonstration` is a clerk's.

    `evidence` has, as JSON by section, the required facts (each a list of wordings) under "facts", and the terms that
    would be false under "false".
    """

    id: str
    message: str
    gold: Sections
    demonstration: Sections
    slices: dict[str, str]
    group: str
    evidence: dict[str, str]


def generate(n: int, seed: int) -> Iterator[Digest]:
    """Yield threads 0 to n - 1 of a seed.

    Raises:
        ValueError: if `n` is negative.
    """
    if n < 0:
        raise ValueError(f"n must be ≥ 0, found {n}")
    return (make_digest(index, seed) for index in range(n))


def make_digest(index: int, seed: int) -> Digest:
    """Return thread number `index` of a seed."""
    rng = random.Random(f"digest/{seed}/{index}")
    case = draw_case(rng)
    channel: Channel = "chat" if rng.random() < CHAT_SHARE else "mail"
    message = write_thread(case, channel, rng)
    style = rng.randrange(3)
    fallen = case.trap != "plain" and rng.random() < HABIT_SHARES[channel]
    return Digest(
        id=f"D{index:06d}",
        message=message,
        gold=write_digest(case, style),
        demonstration=write_digest(misread(case) if fallen else case, style),
        slices={"difficulty": case.trap, "channel": channel},
        group=f"G{index:06d}",
        evidence={"facts": json.dumps(facts(case)), "false": json.dumps(falsehoods(case))},
    )


def write_digest(case: Case, style: int) -> Sections:
    """A case in the fixed format; three clerks word the first section differently."""
    problems = (
        f"{case.product} {case.fault}, order {case.order}",
        f"order {case.order}: {case.product} {case.fault}",
        f"{case.product} ({case.order}) {case.fault}",
    )
    return {"problem": problems[style], "done": case.done, "next": f"{case.promise.step}, {case.promise.day}"}


def misread(case: Case) -> Case:
    """The case as misread in a hurry: what only looks like a fact is taken for one."""
    if case.other_order:
        return replace(case, order=case.other_order)
    if case.wished_day:
        return replace(case, promise=replace(case.promise, day=case.wished_day))
    if case.dropped:
        return replace(case, promise=case.dropped)
    return replace(case, tried=case.asked)


def facts(case: Case) -> dict[str, list[list[str]]]:
    """The required facts by section, each with all its wordings."""
    done = [
        [part, *wordings[part]]
        for part, wordings in ((case.tried, phrases.TRIED), (case.arranged, phrases.ARRANGED))
        if part
    ]
    return {
        "problem": [[case.order], [case.product.split()[0]], [case.fault, *phrases.FAULTS[case.fault]]],
        "done": done or [[phrases.NOTHING, "nothing", "not yet", "none"]],
        "next": [[case.promise.step, *_said(case.promise.step)], [case.promise.day]],
    }


def falsehoods(case: Case) -> dict[str, list[str]]:
    """The false terms by section: what only looks like a fact, and everything that is not the case."""
    done = [part for part in (case.tried, case.arranged) if part] or [phrases.NOTHING]
    return {
        "problem": [*_others(phrases.FAULTS, case.fault), *([case.other_order] if case.other_order else [])],
        "done": _others((*phrases.TRIED, *phrases.ARRANGED, phrases.NOTHING), *done),
        "next": [
            *_others(phrases.PROMISES, case.promise.step),
            *([case.wished_day] if case.wished_day else []),
            *([case.dropped.day] if case.dropped else []),
        ],
    }


def _others(terms: Iterable[str], *true: str) -> list[str]:
    return [term for term in terms if term not in true]


def _said(step: str) -> list[str]:
    """The agents' wordings of a promise, without its day."""
    return [template.rpartition(" ")[0].rpartition(" ")[0] for template in phrases.PROMISES[step]]
