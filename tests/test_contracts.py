"""What holds the graphs, the stages, the ladders and the settings together."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.data.sources import input_columns
from components.methods import NAMES, method_of
from components.params import MidtrainParams, Pipeline, PretrainParams, Profile, Workload, load
from components.prompts import load_prompt
from components.stages import BASE_MODEL, OF_A_RUN, OF_A_RUNG
from components.stages.graph import HEADER, RUNS, graph, nodes, settings
from components.stages.run import Run

ROOT = Path(__file__).resolve().parents[1]
NAMED = load(ROOT / "params/pipeline.yaml", Pipeline).runs
GRAPHS = sorted(path.parent.name for path in (ROOT / RUNS).glob("*/dvc.yaml"))
LADDERS = sorted(path.stem for path in (ROOT / "params/ladders").glob("*.yaml"))
CLIMBS = [*(("triage", ladder) for ladder in LADDERS), ("desk", "agent"), ("desk", "quick")]
# Where a method may be named: its own folder, and the settings of the methods that are older than that.
COUNTED = r'\b(SFT|GRPO|CLASSICAL)\b|"(sft|rl|grpo|dpo|classical)"|\.method\b'


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_every_embedded_run_has_its_graph() -> None:
    assert set(GRAPHS) >= {"triage-nano", *NAMED}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_committed_graph_is_what_the_settings_give(name: str) -> None:
    run, folder = Run.load(name), ROOT / RUNS / name
    for file, content in (("dvc.yaml", graph(run)), ("settings.yaml", settings(run))):
        text = (folder / file).read_text(encoding="utf-8")
        assert text.startswith(HEADER)
        assert yaml.safe_load(text) == yaml.safe_load(yaml.safe_dump(content)), f"gradus graph writes {folder} anew"


@pytest.mark.parametrize(("workload", "ladder"), CLIMBS)
def test_a_stage_reads_only_what_an_earlier_one_wrote(workload: str, ladder: str) -> None:
    run, written = Run.of(workload, "nano", ladder), [f"artifacts/{workload}-nano/advice", "state/gate"]
    for node in nodes(run):
        for path in node.deps:
            if path.startswith(("artifacts/", "state/")):
                folder = str(run.advice_folder)
                assert path == folder or path.startswith("state/gate/") or any(
                    path == out or path.startswith(f"{out}/") for out in written
                ), f"{node.name}: {path}"  # fmt: skip
        written += node.outs


@pytest.mark.parametrize(("workload", "ladder"), CLIMBS)
def test_every_dependency_in_the_code_exists_and_every_setting_too(workload: str, ladder: str) -> None:
    run = Run.of(workload, "nano", ladder)
    known = yaml.safe_load(yaml.safe_dump(settings(run)))
    for node in nodes(run):
        assert node.command[0] in OF_A_RUN | OF_A_RUNG
        for path in node.deps:
            if path.startswith(("components/", "params/", "models/")):
                assert Path(path).exists(), f"{node.name}: {path}"
        for dotted in node.settings:
            value: Any = known
            for key in dotted.split("."):
                assert key in value, f"{node.name}: {dotted}"
                value = value[key]


def test_a_changed_setting_of_one_rung_touches_its_own_stages_and_what_follows() -> None:
    reading = [node for node in nodes(Run.of("triage", "nano")) if "rungs.grpo" in node.settings]
    assert [node.name for node in reading] == ["rung-grpo"]
    behind = {str(out) for node in reading for out in node.outs}
    after = [node.name for node in nodes(Run.of("triage", "nano")) if behind & {*node.deps}]
    assert set(after) == {"answer-grpo", "report"}


def test_the_base_models_stages_are_those_of_the_root_graph() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert stages.keys() == BASE_MODEL.keys()
    for name, stage in stages.items():
        assert stage["cmd"] == f"exec python -m components.stages {name} nano"


def test_few_lines_outside_of_the_methods_name_a_method() -> None:
    naming = [
        f"{path}:{number}"
        for folder in ("components", "flows", "monitoring")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "methods" not in path.relative_to(ROOT).parts[1:2]
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(COUNTED, line)
    ]
    assert len(naming) <= 15, naming


@pytest.mark.parametrize("name", NAMES)
def test_every_method_has_its_name_and_says_what_it_makes_and_needs(name: str) -> None:
    method = method_of(name)
    assert method.makes in ("classifier", "prompt", "model") and method.label
    assert method.params.model_config.get("extra") == "forbid" and method.params.model_config.get("frozen")


@pytest.mark.parametrize("path", sorted((ROOT / "params/workloads").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_workload_is_valid_and_has_its_prompts(path: Path) -> None:
    workload = load(path, Workload)
    assert workload.name == path.stem
    columns = input_columns(workload)
    for name in (*workload.prompts, workload.trained_prompt):
        assert load_prompt(ROOT / "params/prompts" / workload.name, name, columns).placeholders


@pytest.mark.parametrize("path", sorted((ROOT / "params/profiles").glob("*.yaml")), ids=lambda path: path.stem)
@pytest.mark.parametrize("ladder", LADDERS)
def test_every_profile_climbs_every_ladder(path: Path, ladder: str) -> None:
    assert load(path, Profile).name == path.stem
    assert Run.of("triage", path.stem, ladder).rungs


@pytest.mark.parametrize("name", NAMED)
def test_every_run_of_the_pipeline_is_one_of_its_workloads_and_profiles(name: str) -> None:
    assert Run.load(name).name == name


def test_the_shipped_model_was_made_with_the_shipped_settings() -> None:
    import json

    record = json.loads((ROOT / "models/nano/training.json").read_text())
    profile = ROOT / "params/profiles/nano.yaml"
    assert record["fingerprint"] == load(profile, MidtrainParams, "midtrain").fingerprint()
    assert record["before"]["fingerprint"] == load(profile, PretrainParams, "pretrain").fingerprint()
