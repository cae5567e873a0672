"""What holds dvc.yaml, the stages and the settings together."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from components.params import Pipeline, PretrainParams, Profile, Workload, load
from components.prompts import load_prompt
from components.stages import STAGES

ROOT = Path(__file__).resolve().parents[1]
GRAPH: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())


def test_every_command_of_the_graph_calls_a_stage_that_exists() -> None:
    called = [stage["cmd"].split() for stage in GRAPH["stages"].values()]
    assert called
    for words in called:
        assert words[:3] == ["python", "-m", "components.stages"]
        assert words[3] in STAGES


@pytest.mark.parametrize("stage", GRAPH["stages"])
def test_every_dependency_in_the_code_exists(stage: str) -> None:
    for path in GRAPH["stages"][stage].get("deps", []):
        if path.startswith(("components/", "params/", "models/")):
            assert (ROOT / path).exists(), path


@pytest.mark.parametrize("path", sorted((ROOT / "params/workloads").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_workload_is_valid_and_has_its_prompts(path: Path) -> None:
    workload = load(path, Workload)
    assert workload.name == path.stem
    columns = ("message",) if workload.source.kind == "generated" else workload.source.columns.input
    for name in (*workload.prompts, workload.trained_prompt):
        assert load_prompt(ROOT / "params/prompts" / workload.name, name, columns).placeholders


@pytest.mark.parametrize("path", sorted((ROOT / "params/profiles").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_profile_is_valid(path: Path) -> None:
    assert load(path, Profile).name == path.stem


def test_every_run_of_the_pipeline_has_its_workload_and_profile() -> None:
    pipeline = load(ROOT / "params/pipeline.yaml", Pipeline)
    for run in pipeline.runs.values():
        assert (ROOT / f"params/workloads/{run.workload}.yaml").is_file()
        assert (ROOT / f"params/profiles/{run.profile}.yaml").is_file()


def test_the_shipped_model_was_made_with_the_shipped_settings() -> None:
    import json

    record = json.loads((ROOT / "models/nano/training.json").read_text())
    assert record["fingerprint"] == load(ROOT / "params/profiles/nano.yaml", PretrainParams, "pretrain").fingerprint()
