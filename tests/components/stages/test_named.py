"""Settings that name what is not there are refused when a run is read, with file, field, expected and found."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.errors import ConfigError
from components.stages.agents import certified
from components.stages.graph import nodes
from components.stages.run import Run
from tests.flows.conftest import merged

ROOT = Path(__file__).resolve().parents[3]
TRIAGE, NANO = Path("params/workloads/triage.yaml"), Path("params/profiles/nano.yaml")
PIPELINE, STANDARD = Path("params/pipeline.yaml"), Path("params/ladders/standard.yaml")
SECOND: dict[str, Any] = {"model": "gpt-4.1-mini", "api": {}}
PROFILE_TEACHER = {"kind": "profile", "profile": "nano", "prompt": "schema"}


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of this repository, copied, in the current folder."""
    shutil.copytree(ROOT / "params", tmp_path / "params")
    monkeypatch.chdir(tmp_path)


def change(path: Path, changes: dict[str, Any]) -> None:
    settings = merged(yaml.safe_load(path.read_text(encoding="utf-8")), changes)
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


def csv_source(**columns: Any) -> dict[str, Any]:
    """Triage from a file."""
    content = yaml.safe_load(TRIAGE.read_text(encoding="utf-8"))
    fields = {name: name for name in content["output"]["properties"]}
    columns = {"input": ["message", "channel"], "output": fields, **columns}
    content["source"] = {"kind": "csv", "files": {"all": "rows.csv"}, "columns": columns}
    TRIAGE.write_text(yaml.safe_dump(content), encoding="utf-8")
    return content["source"]


@pytest.mark.parametrize(
    ("path", "workload", "profile"), [(TRIAGE, "triage2", "nano"), (NANO, "triage", "nano2")]
)  # fmt: skip
def test_a_copy_with_the_name_of_another_is_refused(path: Path, workload: str, profile: str) -> None:
    copy = path.with_stem(f"{path.stem}2")
    shutil.copyfile(path, copy)
    said = f"name: expected {copy.stem}, as the file is called, found {path.stem} ({copy})"
    with pytest.raises(ConfigError, match=f"^{re.escape(said)}$"):
        Run.of(workload, profile)
    change(copy, {"name": copy.stem})
    if path == TRIAGE:
        shutil.copytree("params/prompts/triage", "params/prompts/triage2")
    assert Run.of(workload, profile).name == f"{workload}-{profile}"


def test_a_copy_is_refused_where_its_agent_is_tried_or_its_model_teaches() -> None:
    shutil.copyfile("params/workloads/desk.yaml", "params/workloads/desk2.yaml")
    with pytest.raises(ConfigError, match="name: expected desk2, as the file is called, found desk"):
        certified("desk2", 3, 0)
    shutil.copyfile(NANO, NANO.with_stem("nano2"))
    teacher = {**PROFILE_TEACHER, "profile": "nano2"}
    change(STANDARD, {"rungs": {"taught": {"method": "teacher_answers", "settings": {"teacher": teacher}}}})
    shutil.copytree(ROOT / "models/nano", "models/nano")
    with pytest.raises(ConfigError, match="name: expected nano2, as the file is called, found nano"):
        nodes(Run.of("triage", "nano"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"slices": ["channel", "chanel"]},
         "slices: expected some of the generator's slices (channel, difficulty, intent), found chanel"),
        ({"dated_by": "day"},
         "dated_by: expected an input (message, channel) or one of the generator's slices "
         "(channel, difficulty, intent), found day"),
    ],
)  # fmt: skip
def test_a_slice_that_no_generated_row_has_is_refused(changes: dict[str, Any], said: str) -> None:
    change(TRIAGE, changes)
    with pytest.raises(ConfigError, match=f"^{re.escape(f'{said} ({TRIAGE})')}$"):
        Run.of("triage", "nano")


@pytest.mark.parametrize(
    ("columns", "changes", "said"),
    [
        ([], {"slices": ["customer"]}, "slices: expected some of source.columns.slices (none), found customer"),
        (["customer"], {"slices": ["origin", "chanel"]},
         "slices: expected some of source.columns.slices (customer), found chanel"),
        (["customer"], {"slices": [], "dated_by": "day"},
         "dated_by: expected an input (message, channel) or one of source.columns.slices (customer), found day"),
    ],
)  # fmt: skip
def test_a_slice_that_no_column_has_is_refused(columns: list[str], changes: dict[str, Any], said: str) -> None:
    csv_source(slices=columns)
    change(TRIAGE, changes)
    with pytest.raises(ConfigError, match=f"^{re.escape(f'{said} ({TRIAGE})')}$"):
        Run.of("triage", "nano")


def test_slices_and_dates_of_named_columns_and_the_origin_of_harvests_are_taken() -> None:
    csv_source(slices=["customer", "day"])
    change(TRIAGE, {"slices": ["customer", "origin"], "dated_by": "day"})
    assert Run.of("triage", "nano").workload.slices == ("customer", "origin")
    change(TRIAGE, {"dated_by": "channel"})
    assert Run.of("triage", "nano").workload.dated_by == "channel"


@pytest.mark.parametrize(
    ("path", "changes", "said"),
    [
        (PIPELINE, {"runs": {"triage-nnano": {"seed": 3}}},
         r"^runs\.triage-nnano: expected files under .* found none for the run triage-nnano \(params/pipeline\.yaml\)"),
        (PIPELINE, {"certificate": {"override": {"trriage": "because it is right anyway"}}},
         r"^certificate\.override: expected workloads in params/workloads, found trriage, .* \(params/pipeline"),
        (NANO, {"methods": {"grpoo": {"steps": 3}}},
         r"^methods: expected settings of classical, prompt, .* or module:Class, found grpoo \(params/profiles/nano"),
        (NANO, {"launcher": {"kind": "accelerate", "config": "no.yaml"}},
         r"^launcher\.config: expected a file of accelerate, found none at no\.yaml \(params/profiles/nano\.yaml\)"),
        (TRIAGE, {"serving": {"routing": {"fallback": {**SECOND, "prompt": "nope"}}}},
         r"^serving\.routing\.fallback\.prompt: expected the prompt `nope`, found no file at params/prompts/triage"),
        (STANDARD, {"rungs": {"taught": {"method": "teacher_answers", "settings": {
            "teacher": {**PROFILE_TEACHER, "prompt": "nope"}}}}},
         r"^rungs\.taught\.settings\.teacher\.prompt: expected the prompt `nope`, found no file at params/prompts"),
        (STANDARD, {"rungs": {"short": {"method": "prompt_distillation", "settings": {"prompt": "nope"}}}},
         r"^rungs\.short\.settings\.prompt: expected the prompt `nope`, found no file at params/prompts/triage"),
        (TRIAGE, {"prompts": ["schema", "loose", "schema"], "constrained": []},
         r"under a name of its own, found schema twice \(params/ladders/standard\.yaml, prompts of triage\)"),
        (STANDARD, {"rungs": {"sft": {"from": "prompts"}}},
         r"^rungs\.sft\.from: expected a model for sft \(base\), found prompts, which is a prompt \(params/ladders/st"),
        (STANDARD, {"rungs": {"shots": {"method": "few_shot", "from": "sft"}}},
         r"^rungs\.shots\.from: expected a prompt for few_shot \(prompts, .*\), found sft, which is a model \(params/"),
        (STANDARD, {"rungs": {"taught": {"method": "teacher_answers", "settings": {
            "teacher": {"kind": "rung", "rung": "base"}}}}},
         r"^rungs\.taught\.settings\.teacher\.rung: prompt: expected one of the workload's where rung is base, which"),
        (STANDARD, {"rungs": {"own": {"method": ":Own"}}}, r"^rungs\.own\.method must be one of .*, found :Own: "),
        (STANDARD, {"rungs": {"schema": {"method": "prompt", "each": "prompts"}}},
         r"under a name of its own, found schema twice \(params/ladders/standard\.yaml, prompts of triage\)"),
    ],
)  # fmt: skip
def test_a_name_of_nothing_is_refused(path: Path, changes: dict[str, Any], said: str) -> None:
    change(path, changes)
    with pytest.raises(ConfigError, match=said):
        Run.of("triage", "nano")


@pytest.mark.parametrize("start", ["base", "sft"])
def test_what_starts_from_nothing_may_have_any_start(start: str) -> None:
    later = {"floor": {"method": "classical", "from": start}, "asked": {"method": "prompt", "from": start}}
    change(STANDARD, {"rungs": later})
    assert {"floor", "asked"} <= {rung.name for rung in Run.of("triage", "nano").rungs}


def test_what_is_there_is_taken() -> None:
    Path("launch.yaml").write_text("{}", encoding="utf-8")
    change(NANO, {"methods": {"mine:Own": {}}, "launcher": {"kind": "accelerate", "config": "launch.yaml"}})
    change(TRIAGE, {"serving": {"routing": {"fallback": {**SECOND, "prompt": "loose"}}}})
    change(PIPELINE, {
        "runs": {"triage-nano-quick": {"seed": 3}, "desk-nano": {"seed": 4}},
        "certificate": {"override": {"triage": "because it is right anyway"}},
    })  # fmt: skip
    run = Run.of("triage", "nano")
    assert run.profile.launcher.config == "launch.yaml"
