"""Observations of a small workload from a seed: a champion's answers without and with drift."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from components.records import Observation

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["late", "broken", "bill"]},
        "urgent": {"type": "boolean"},
        "order": {"type": ["string", "null"]},
    },
}
WORDS = ("my", "order", "is", "late", "and", "the", "lamp", "came", "broken", "please", "send", "money", "by", "friday")
Draw = Callable[..., list[Observation]]


def observe(
    n: int, seed: int, shares: tuple[float, float, float] = (0.5, 0.3, 0.2), right: float = 0.9, words: int = 12
) -> list[Observation]:
    rng = np.random.default_rng(seed)
    result: list[Observation] = []
    for _ in range(n):
        kind = str(rng.choice(SCHEMA["properties"]["kind"]["enum"], p=shares))
        answer = {"kind": kind, "urgent": bool(rng.random() < 0.3), "order": "A1" if rng.random() < 0.6 else None}
        result.append(
            Observation(
                input={"message": " ".join(rng.choice(WORDS, rng.poisson(words) + 1))},
                text=json.dumps(answer),
                output_tokens=int(rng.integers(20, 24)),
                valid=bool(rng.random() < 0.99),
                confidence=float(rng.beta(9, 1)),
                score=float(rng.random() < right),
            )
        )
    return result


@pytest.fixture
def draw() -> Draw:
    return observe
