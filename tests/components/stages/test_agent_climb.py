"""An agent climbs like any other workload: stages read only what they declare, and their outputs describe the tries."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.records import Ladder, read_record
from components.stages.graph import nodes
from components.stages.run import PIPELINE, PROFILES, WORKLOADS, Run
from tests.components.stages.conftest import ROOT
from tests.components.stages.test_declared import heard_of, undeclared
from tests.flows.conftest import merged

# Half of all tries pass, whoever makes them: a model that learnt nothing of this solves nothing else.
EVEN = """
from components.records import Score


class Even:
    def __init__(self, schema):
        pass

    def score(self, example, completion):
        said = sum(len(message.content) for message in completion.trajectory.messages)
        return Score(value=said % 2, passed=bool(said % 2))
"""
WORKLOAD: dict[str, Any] = {
    "source": {"sizes": {"train": 24, "dev": 6, "test": 6, "sealed": 20}},
    "agent": {"trials": 2, "limits": {"turns": 4, "turn_tokens": 32}},
    "prompts": ["steps", "policies"],
    "must_pass": [],
}
TRAINING = {"evaluations": 1, "dev_examples": 4}
PIPELINE_CHANGES: dict[str, Any] = {
    "gate": {"min_examples": 20, "min_validity": 0.0},
    "certificate": {
        "examples": 30, "probes": 30,
        "override": {"desk": "half of all tries pass, in a small test of how stages fit together"},
    },
    "runs": {"desk-nano": {"rungs": {
        "sft": {**TRAINING, "epochs": 1, "batch_examples": 4, "device_batch_examples": 4, "packed_tokens": None,
                "optimiser": "adamw", "learning_rate": 1e-3},
        "rejection_sampling": {
            **TRAINING, "epochs": 0.2, "batch_examples": 4, "device_batch_examples": 4, "packed_tokens": None,
            "optimiser": "adamw", "learning_rate": 1e-5, "sampled_prompts": 8, "generations": 2,
        },
        "grpo": {
            **TRAINING, "steps": 1, "prompts_per_step": 2, "generations": 2, "device_batch_rollouts": 4,
            "probe_prompts": 4, "probe_generations": 2,
        },
    }}},
}  # fmt: skip


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A small desk before its first stage, with the embedded model."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "params", "params")
    shutil.copytree(ROOT / "models/nano", "models/nano")
    module = f"even_{tmp_path.name.replace('-', '_')}"
    Path(f"{module}.py").write_text(EVEN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    scorer = {"weighted": {f"{module}:Even": 1.0}}
    change(WORKLOADS / "desk.yaml", {**WORKLOAD, "scorer": scorer}, fresh=("scorer",))
    change(PROFILES / "nano.yaml", {"dev_examples": 4})
    change(PIPELINE, PIPELINE_CHANGES)
    run = Run.of("desk", "nano")
    return replace(run, rungs=tuple(replace(rung, settings=rung.settings.model_copy()) for rung in run.rungs))


def change(path: Path, changes: dict[str, Any], fresh: tuple[str, ...] = ()) -> None:
    """Change a YAML file; what is `fresh` is replaced as a whole."""
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    settings |= {name: {} for name in fresh}
    path.write_text(yaml.safe_dump(merged(settings, changes)), encoding="utf-8")


@pytest.mark.slow
def test_an_agent_climbs_and_no_stage_reads_or_writes_what_it_does_not_declare(desk: Run) -> None:
    listened = {node: heard_of(desk, node) for node in nodes(desk)}
    assert {node.name: kinds for node, heard in listened.items() if (kinds := undeclared(heard, node))} == {}
    ladder = read_record(desk.report / "ladder.json", Ladder)
    assert [rung.name for rung in ladder.rungs] == ["steps", "policies", "sft", "rejection_sampling", "grpo"]
    for rung in ladder.rungs:
        assert rung.tries is not None
        assert (rung.tries.tasks, rung.tries.tries, len(rung.tries.by_k)) == (6, 12, 2)
        assert rung.tries.by_k[0].every.value == pytest.approx(rung.accuracy.value)
        assert sum(rung.tries.stop_reasons.values()) == 12
    assert ladder.data.demonstration_accuracy is not None
    assert "pass^2" in (desk.report / "report.html").read_text(encoding="utf-8")
