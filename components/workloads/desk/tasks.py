"""Tasks of the desk as a workload has them: a demonstration is a try that the written turns made at the shop."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from components.params import Limits
from components.records import Example, Message, Trajectory
from components.tasks import Replay, open_environment, roll, start_of
from components.workloads.desk.cases import cases, demonstrated
from components.workloads.desk.world import USUAL, World

BLOCK = 256  # cases whose tries are in memory at once


@dataclass(frozen=True)
class Task:
    """What a customer wants: the first message, what is right, and how somebody did it."""

    id: str
    message: str
    gold: dict[str, Any]
    demonstration: Trajectory
    slices: dict[str, str]
    group: str
    evidence: dict[str, str]


def generate(n: int, seed: int) -> Iterator[Task]:
    """Tasks 0 to n - 1 of a seed."""
    return tasks(n, seed, USUAL)


def tasks(n: int, seed: int, world: World) -> Iterator[Task]:
    """Tasks 0 to n - 1 of a seed in a world."""
    examples, spec = cases(n, seed, world), open_environment(world.environment)
    for first in range(0, n, BLOCK):
        block = examples[first : first + BLOCK]
        starts = [start_of(case, [Message(role="user", content=case.input["message"])]) for case in block]
        tries = roll(spec, Replay(demonstrated(block)), starts, Limits())
        yield from (_task(example, attempt.trajectory) for example, attempt in zip(block, tries, strict=True))


def _task(example: Example, demonstration: Trajectory) -> Task:
    return Task(
        id=example.id,
        message=example.input["message"],
        gold=json.loads(example.reference),
        demonstration=demonstration,
        slices=example.slices,
        group=example.group,
        evidence=example.evidence,
    )
