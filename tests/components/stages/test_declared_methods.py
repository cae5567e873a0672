"""What rungs of the methods between SFT and RL read, they declare; nothing here is more than two steps of training."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.evaluation.label_audit import Suspect
from components.methods import method_of
from components.methods.sft.settings import SftParams
from components.records import write_jsonl
from components.stages.audit import audit_folder
from components.stages.graph import nodes
from components.stages.run import Run
from tests.components.stages.conftest import PROMPTS, Api, MakeRun, example
from tests.components.stages.test_declared import heard_of, planned, undeclared
from tests.flows.conftest import save_tiny_model

SFT = {
    "epochs": 0.2, "learning_rate": 0.001, "batch_examples": 8, "device_batch_examples": 8, "evaluations": 1,
    "dev_examples": 4, "packed_tokens": None, "optimiser": "adamw",
}  # fmt: skip
DISTILLED = {
    "steps": 1, "prompts_per_step": 4, "evaluations": 1, "dev_examples": 4, "max_new_tokens": 4, "teacher_dev": 4,
    "least_gain": -0.99,
}  # fmt: skip
LADDER: dict[str, Any] = {
    "prompts": {"method": "prompt", "each": "prompts"},
    "relabel": {
        "method": "relabel", "from": "base",
        "settings": {**SFT, "teacher": {"kind": "rung", "rung": "prompts"}},
    },
    "teacher_answers": {
        "method": "teacher_answers", "from": "base",
        "settings": {
            **SFT, "teacher": {"kind": "rung", "rung": "prompts"}, "accept": "schema", "teacher_dev": 20, "asked": 20,
        },
    },
    "on_policy_distillation": {
        "method": "on_policy_distillation", "from": "base",
        "settings": {**DISTILLED, "teacher": {"kind": "rung", "rung": "teacher_answers"}},
    },
    "prompt_distillation": {
        "method": "prompt_distillation", "from": "base", "settings": {**DISTILLED, "prompt": "two"},
    },
}  # fmt: skip


@pytest.fixture
def small(make_run: MakeRun, api: Api) -> Run:
    api.understood = {PROMPTS["two"], PROMPTS["three"]}
    run = make_run("declared", api)
    shutil.rmtree("models", ignore_errors=True)
    save_tiny_model(Path("models/nano"))
    doubted = Suspect(
        example_id="train-003", field="intent", value='"delivery"', suggested='"refund"', probability=0.9, reason="r",
        text=example(3).input["text"],
    )  # fmt: skip
    write_jsonl(audit_folder(run) / "suspects.jsonl", [doubted])
    return replace(run, rungs=planned(LADDER, run.workload, run.profile))


def test_methods_between_sft_and_rl_read_nothing_that_they_do_not_declare(small: Run) -> None:
    made = [node for node in nodes(small) if node.name.startswith(("rung-", "best-"))]
    found = {node.name: undeclared(heard_of(small, node), node) for node in made}
    assert {name: kinds for name, kinds in found.items() if kinds} == {}


def test_what_teaches_is_made_before_and_its_files_are_declared(small: Run) -> None:
    node = next(node for node in nodes(small) if node.name == "rung-teacher_answers")
    assert {
        "artifacts/declared-nano/best/prompts.json", "artifacts/declared-nano/rungs/three", "params/prices.yaml",
    } <= {*node.deps}  # fmt: skip
    assert issubclass(method_of("teacher_answers").params, SftParams)
