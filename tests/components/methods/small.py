"""A job on forty messages whose text names the right answer, on a model of two layers with random weights."""

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.evaluation.label_audit import Suspect
from components.methods import Job, method_of
from components.opening import Artifact
from components.params import Profile, Settings, Workload
from components.prompts import load_prompt
from components.records import Example, to_json, write_jsonl
from components.scorers import build
from tests.components.scorers.judge_server import Server, judging
from tests.flows.conftest import save_tiny_model

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Item:
    """An item of a workload's generator."""

    id: str
    text: str
    gold: dict[str, Any]
    demonstration: dict[str, Any]
    slices: dict[str, str]
    group: str


OUTPUT: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["intent", "urgent", "order"],
    "properties": {
        "intent": {"enum": ["refund", "delivery"]},
        "urgent": {"type": "boolean"},
        "order": {"type": ["string", "null"], "pattern": "^[A-Z]{2}-\\d{3}$"},
    },
}
PROMPTS = {"short": "Sort.", "long": "Sort the message by what is wanted and by when. Answer in JSON."}
SFT: dict[str, Any] = {
    "epochs": 1, "learning_rate": 0.001, "batch_examples": 8, "device_batch_examples": 8, "evaluations": 1,
    "max_tokens": 300, "dev_examples": 4,
}  # fmt: skip


def example(number: int, split: str = "train") -> Example:
    """Even numbers ask for a refund, odd ones for a delivery; the text contains the whole answer."""
    intent, urgent, order = ("refund", "delivery")[number % 2], number % 3 == 0, f"AB-{number:03}"
    text = f"please {intent} {'now at once' if urgent else 'whenever you like'} order {order}"
    answer = to_json({"intent": intent, "urgent": urgent, "order": order})
    slices = {"channel": "chat" if number % 10 == 0 else "mail"}
    return Example(
        id=f"{split}-{number:03}", input={"text": text}, demonstration=answer, reference=answer,
        group=f"{split}{number}", slices=slices,
    )  # fmt: skip


def wrong(given: Example, **fields: Any) -> Example:
    """The example with another demonstration."""
    return given.model_copy(update={"demonstration": to_json({**json.loads(given.demonstration), **fields})})


def suspect(given: Example, field: str, suggested: Any) -> Suspect:
    value = to_json(json.loads(given.demonstration)[field])
    return Suspect(
        example_id=given.id,
        field=field,
        value=value,
        suggested=to_json(suggested),
        probability=0.9,
        reason="r",
        text="t",
    )


def workload(**changes: Any) -> Workload:
    settings: dict[str, Any] = {
        "name": "shop", "description": "Messages to intent, urgency and order.", "output": OUTPUT,
        "scorer": {"weighted": {"exact": 1.0}}, "slices": ["channel"],
        "source": {
            "kind": "csv", "files": {"all": "rows.csv"},
            "columns": {"input": ["text"], "output": {name: name for name in OUTPUT["properties"]}},
        },
        "prompts": ["long"], "trained_prompt": "short", "traffic": {"calls_per_year": 1000}, "incumbent": "big",
    }  # fmt: skip
    return Workload.model_validate({**settings, **changes})


def profile(**changes: Any) -> Profile:
    known = yaml.safe_load((ROOT / "params/profiles/nano.yaml").read_text(encoding="utf-8"))
    engine = {"kind": "transformers", "batch_tokens": 8192, "max_new_tokens": 24}
    model = {"path": "model", "precision": "fp32"}
    return Profile.model_validate({**known, "engine": engine, "model": model, "dev_examples": 8, **changes})


def job(folder: Path, **changes: Any) -> Job:
    """A job in a folder; without a model one is created."""
    if not (model := folder / "model").is_dir():
        save_tiny_model(model)
        prompts = folder / "params/prompts/shop"
        prompts.mkdir(parents=True, exist_ok=True)
        for name, system in PROMPTS.items():
            (prompts / f"{name}.md").write_text(f"{system}\n---user---\n{{text}}\n", encoding="utf-8")
    own = workload()
    settings: dict[str, Any] = {
        "rung": "own", "workload": own, "profile": profile(), "columns": ("text",),
        "train": [example(number) for number in range(40)], "dev": [example(number, "dev") for number in range(40, 60)],
        "prompt": load_prompt(folder / "params/prompts/shop", "short", ("text",)),
        "prompt_file": folder / "params/prompts/shop/short.md", "start": Artifact("model", model),
        "scorer": build(own.scorer, OUTPUT), "sealed_scorer": None, "seed": 7, "out": folder / "rung/artifact",
        "work": folder / "state/own",
    }  # fmt: skip
    return Job(**{**settings, **changes})


def with_suspects(folder: Path, suspects: list[Suspect], **changes: Any) -> Job:
    """A job whose audit doubts these."""
    write_jsonl(folder / "suspects.jsonl", suspects)
    return job(folder, suspects_file=folder / "suspects.jsonl", **changes)


def settings(method: str, **changes: Any) -> Settings:
    return method_of(method).params.model_validate({**SFT, **changes})


@contextmanager
def serving(answer: Callable[[dict[str, Any], int], str | int]) -> Generator[Server]:
    """An OpenAI-compatible server that answers by a rule."""
    with judging() as server:
        server.answer = answer
        yield server


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_port}/v1"
