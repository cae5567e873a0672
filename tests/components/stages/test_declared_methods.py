"""Rungs of the methods between SFT and RL read only what they declare; each trains for at most two steps."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.evaluation.label_audit import Suspect
from components.params import CertificateParams, GeneratedSource, SplitName
from components.records import Preference, write_jsonl
from components.stages.audit import audit_folder
from components.stages.graph import nodes
from components.stages.run import Run
from tests.components.methods.small import Item, address, serving
from tests.components.methods.test_judged import LATE, URGENT, by_rule, judge
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
    "synthetic": {
        "method": "synthetic", "from": "base",
        "settings": {**SFT, "slices": {"when": ["now"]}, "examples": 4, "most_drawn": 400},
    },
    "judged_grpo": {
        "method": "judged_grpo", "from": "base",
        "settings": {
            "steps": 1, "learning_rate": 0.001, "prompts_per_step": 2, "generations": 2, "device_batch_rollouts": 4,
            "max_new_tokens": 4, "probe_prompts": 0, "evaluations": 1, "dev_examples": 4, "least_pairs": 20,
        },
    },
}  # fmt: skip


def generate(n: int, seed: int) -> Iterator[Item]:
    """Examples numbered from 200 on, which are in no split."""
    for number in range(200, 200 + n):
        single = example(number)
        answer, text = json.loads(single.reference), f"{single.input['text']} of {number * number * seed}"
        yield Item(single.id, text, answer, answer, {"when": "now" if answer["urgent"] else "later"}, str(number))


@pytest.fixture
def small(make_run: MakeRun, api: Api) -> Iterator[Run]:
    api.understood = {PROMPTS["two"], PROMPTS["three"]}
    run = make_run("declared", api)
    sizes: dict[SplitName, int] = {"train": 60, "dev": 60, "test": 60, "sealed": 60}
    source = GeneratedSource(kind="generated", generator=f"{__name__}:generate", seed=3, sizes=sizes)
    workload = run.workload.model_copy(update={"source": source, "sealed_scorer": run.workload.scorer})
    certificate = CertificateParams(override={"declared": "a small test, which publishes nothing"})
    run = replace(run, workload=workload, certificate=certificate)
    pairs = [Preference(example_id=f"train-{at:03}", chosen=URGENT, rejected=LATE) for at in range(40)]
    write_jsonl(run.data_source / "preferences.jsonl", pairs)
    shutil.rmtree("models", ignore_errors=True)
    save_tiny_model(Path("models/nano"))
    doubted = Suspect(
        example_id="train-003", field="intent", value='"delivery"', suggested='"refund"', probability=0.9, reason="r",
        text=example(3).input["text"],
    )  # fmt: skip
    write_jsonl(audit_folder(run) / "suspects.jsonl", [doubted])
    with serving(by_rule) as server:
        known = judge(Path(), address(server), rubric="rubric.md", cache="state/judge").model_dump()
        ladder = {**LADDER, "judged_grpo": with_setting(LADDER["judged_grpo"], judge=known)}
        yield replace(run, rungs=planned(ladder, run.workload, run.profile))


def with_setting(rung: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**rung, "settings": {**rung["settings"], **changes}}


def test_methods_between_sft_and_rl_read_nothing_that_they_do_not_declare(small: Run) -> None:
    made = [node for node in nodes(small) if node.name.startswith(("rung-", "best-", "certify"))]
    result = {node.name: undeclared(heard_of(small, node), node) for node in made}
    assert {name: kinds for name, kinds in result.items() if kinds} == {}


def test_what_teaches_is_made_before_and_its_files_are_declared(small: Run) -> None:
    node = next(node for node in nodes(small) if node.name == "rung-teacher_answers")
    assert {
        "artifacts/declared-nano/best/prompts.json", "artifacts/declared-nano/rungs/three", "params/prices.yaml",
    } <= {*node.deps}  # fmt: skip


def test_what_decides_whether_an_example_is_new_is_declared_and_of_no_other_rung(small: Run) -> None:
    by_name = {node.name: node for node in nodes(small)}
    known = {f"artifacts/declared-nano/data/{split}.jsonl" for split in ("test", "sealed")}
    assert known <= {*by_name["rung-synthetic"].deps}
    assert not known & {*by_name["rung-teacher_answers"].deps}
    assert {"rubric.md", "params/prices.yaml", "data/declared/preferences.jsonl"} <= {*by_name["rung-judged_grpo"].deps}
