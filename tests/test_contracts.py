"""What holds dvc.yaml, the stages and the settings together."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.data.sources import input_columns
from components.params import MidtrainParams, Pipeline, PretrainParams, Profile, Workload, load
from components.prompts import load_prompt
from components.stages import BASE_MODEL, LADDER
from components.stages.run import PROMPTS

ROOT = Path(__file__).resolve().parents[1]
GRAPH: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
RUNS = load(ROOT / "params/pipeline.yaml", Pipeline).runs


def of_a_run(stage: str) -> dict[str, Any]:
    """What a stage does: a stage of the ladder does it for each run, with the run's name and settings in its text."""
    return GRAPH[stage].get("do", GRAPH[stage])


def paths(stage: str, kind: str) -> list[str]:
    """The paths of a stage's `deps` or `outs`, with options or without."""
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in of_a_run(stage).get(kind, [])]


def filled_in(path: str, name: str) -> str:
    """A path with the values of one run in the place of `${key}`, `${item.workload}`, `${item.files.source}` …"""
    settings = {"key": name, "item": RUNS[name].model_dump()}

    def value(found: re.Match[str]) -> str:
        at: Any = settings
        for key in found[1].split("."):
            at = at[key]
        return str(at)

    return re.sub(r"\$\{([\w.]+)\}", value, path)


def test_the_graph_and_the_code_have_the_same_stages() -> None:
    assert GRAPH.keys() == LADDER.keys() | BASE_MODEL.keys()


@pytest.mark.parametrize("stage", GRAPH)
def test_every_command_of_the_graph_calls_the_stage_of_its_name(stage: str) -> None:
    argument = "${key}" if stage in LADDER else "nano"
    assert of_a_run(stage)["cmd"] == f"exec python -m components.stages {stage} {argument}"


@pytest.mark.parametrize("stage", LADDER)
def test_every_stage_of_the_ladder_is_there_for_every_run_and_keeps_its_record(stage: str) -> None:
    assert GRAPH[stage]["foreach"] == "${runs}"
    assert f"artifacts/${{key}}/stages/{stage}.json" in paths(stage, "outs")


@pytest.mark.parametrize("stage", GRAPH)
def test_every_dependency_in_the_code_exists(stage: str) -> None:
    for name in RUNS:
        for path in paths(stage, "deps"):
            if (filled := filled_in(path, name)).startswith(("components/", "params/", "models/")):
                assert (ROOT / filled).exists(), filled


def test_a_stage_of_the_ladder_reads_only_what_an_earlier_one_wrote() -> None:
    written: list[str] = []
    for stage in LADDER:
        for path in paths(stage, "deps"):
            if path.startswith("artifacts/"):
                assert any(path == out or path.startswith(f"{out}/") for out in written), f"{stage}: {path}"
        written += paths(stage, "outs")


def test_the_flow_calls_the_stages_of_the_ladder_in_order() -> None:
    code = ast.parse((ROOT / "flows/ladder.py").read_text(encoding="utf-8"))
    (flow,) = [node for node in code.body if isinstance(node, ast.FunctionDef) and node.name == "ladder"]
    calls = [node for node in ast.walk(flow) if isinstance(node, ast.Call) and ast.unparse(node.func) == "stage"]
    assert [ast.literal_eval(call.args[0]) for call in calls] == list(LADDER)


@pytest.mark.parametrize("path", sorted((ROOT / "params/workloads").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_workload_is_valid_and_has_its_prompts(path: Path) -> None:
    workload = load(path, Workload)
    assert workload.name == path.stem
    columns = input_columns(workload)
    for name in (*workload.prompts, workload.trained_prompt):
        assert load_prompt(ROOT / "params/prompts" / workload.name, name, columns).placeholders


@pytest.mark.parametrize("path", sorted((ROOT / "params/profiles").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_profile_is_valid(path: Path) -> None:
    assert load(path, Profile).name == path.stem


@pytest.mark.parametrize("name", RUNS)
def test_every_run_of_the_pipeline_is_named_after_its_workload_and_profile(name: str) -> None:
    run = RUNS[name]
    assert name == f"{run.workload}-{run.profile}"  # which is how `gradus run` finds it
    assert (ROOT / f"params/workloads/{run.workload}.yaml").is_file()
    assert (ROOT / f"params/profiles/{run.profile}.yaml").is_file()


@pytest.mark.parametrize("name", RUNS)
def test_the_files_that_dvc_watches_are_those_that_the_stages_read(name: str) -> None:
    run = RUNS[name]
    workload = load(ROOT / f"params/workloads/{run.workload}.yaml", Workload)
    profile = load(ROOT / f"params/profiles/{run.profile}.yaml", Profile)
    assert Path(run.files.trained_prompt) == PROMPTS / workload.name / f"{workload.trained_prompt}.md"
    assert Path(profile.model.path) in Path(run.files.model).parents
    if workload.source.kind == "generated":
        module, _, _ = workload.source.generator.partition(":")
        assert Path(run.files.source) == Path(module.replace(".", "/"))
    else:
        assert Path(run.files.source) == Path("data") / workload.name


def test_the_shipped_model_was_made_with_the_shipped_settings() -> None:
    import json

    record = json.loads((ROOT / "models/nano/training.json").read_text())
    profile = ROOT / "params/profiles/nano.yaml"
    assert record["fingerprint"] == load(profile, MidtrainParams, "midtrain").fingerprint()
    assert record["before"]["fingerprint"] == load(profile, PretrainParams, "pretrain").fingerprint()
