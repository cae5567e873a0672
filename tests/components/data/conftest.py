"""A small workload on files, and what a folder holds."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.params import Workload

Rows = list[list[Any]]
MakeWorkload = Callable[..., Workload]
WriteCsv = Callable[..., Path]

OUTPUT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["intent", "amount"],
    "properties": {
        "intent": {"enum": ["refund", "delivery"]},
        "amount": {"type": ["number", "null"], "minimum": 0},
    },
}
NOUNS = ["parcel", "kettle", "router", "jacket", "window", "guitar", "mirror", "bottle", "carpet", "pencil"]
VERBS = ["arrived late", "was broken", "has vanished", "looks wrong", "smells odd", "came twice", "is too big"]


def sentence(number: int) -> str:
    """Texts that resemble each other too little to be near-duplicates; 70 different ones."""
    return f"{NOUNS[number % 10]} {number * number} {VERBS[number % 7]} {number}, {NOUNS[number // 7 % 10]}"


@pytest.fixture
def make_workload() -> MakeWorkload:
    def make(**changes: Any) -> Workload:
        source: dict[str, Any] = {
            "kind": "csv",
            "files": {"all": "rows.csv"},
            "columns": {"input": ["text"], "output": {"intent": "label", "amount": "sum"}},
            "shares": {"dev": 0.2, "test": 0.2, "sealed": 0.2, "seed": 3},
        }
        source |= changes.pop("source", {})
        settings: dict[str, Any] = {
            "name": "shop",
            "description": "Messages to intent and amount.",
            "source": source,
            "output": OUTPUT,
            "prompts": ["loose"],
            "trained_prompt": "short",
            "scorer": {"weighted": {"json_schema": 1.0}},
            "traffic": {"calls_per_year": 1000},
            "incumbent": "some-model",
        }
        return Workload.model_validate(settings | changes)

    return make


@pytest.fixture
def good_rows() -> Rows:
    return [
        [sentence(number), "refund" if number % 2 else "delivery", "12.50" if number % 3 else ""]
        for number in range(60)
    ]


@pytest.fixture
def write_csv(tmp_path: Path) -> WriteCsv:
    def write(rows: Rows, name: str = "rows.csv", header: tuple[str, ...] = ("text", "label", "sum")) -> Path:
        folder = tmp_path / "data"
        folder.mkdir(exist_ok=True)
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows])
        return folder

    return write
