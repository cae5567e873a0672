"""A run's identity: the hash of its settings, the commit of its code."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.errors import ConfigError
from components.params import GateParams
from components.records import Example
from components.stages.data import first_look
from components.stages.graph import nodes
from components.stages.run import Run, digest, git_commit

ROOT = Path(__file__).resolve().parents[3]


def git(*words: str) -> None:
    settings = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    subprocess.run(["git", *settings, *words], check=True, capture_output=True)


def test_a_digest_distinguishes_settings_texts_and_where_they_end() -> None:
    settings = GateParams(alpha=0.05)
    assert digest(settings, "text", 1) == digest(GateParams(alpha=0.05), "text", 1)
    different = [
        digest(settings, "text", 1), digest(GateParams(alpha=0.01), "text", 1), digest(settings, "texts", 1),
        digest(settings, "text", 2), digest("ab", "c"), digest("a", "bc"),
    ]  # fmt: skip
    assert len(set(different)) == len(different)
    assert all(re.fullmatch("[0-9a-f]{16}", each) for each in different)


def test_the_commit_is_marked_where_files_differ_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert git_commit() == "unknown"
    git("init")
    for folder in ("components", "params"):
        Path(folder).mkdir()
    Path("components/code.py").write_text("a = 1\n")
    Path("dvc.lock").write_text("stages: {}\n")
    git("add", ".")
    git("commit", "--message", "First")
    git("tag", "--annotate", "v1", "--message", "A tag")
    clean = git_commit()
    assert re.fullmatch("[0-9a-f]{40}", clean)
    Path("dvc.lock").write_text("what a run has made\n")
    assert git_commit() == clean
    new = Path("params/new.yaml")
    new.write_text("name: new\n")
    assert git_commit() == f"{clean}-dirty"
    new.unlink()
    Path("components/code.py").write_text("a = 2\n")
    assert git_commit() == f"{clean}-dirty"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings of this repository, copied; the file that names the runs."""
    shutil.copytree(ROOT / "params", tmp_path / "params")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "params" / "pipeline.yaml"


def change_run(path: Path, run: str = "triage-nano", **changes: Any) -> None:
    content = yaml.safe_load(path.read_text())
    content["runs"].setdefault(run, {}).update(changes)
    path.write_text(yaml.safe_dump(content))


def change_case(path: Path, **changes: Any) -> None:
    """Change the first must-pass case of triage."""
    workload = path.parent / "workloads" / "triage.yaml"
    content = yaml.safe_load(workload.read_text(encoding="utf-8"))
    content["must_pass"][0].update(changes)
    workload.write_text(yaml.safe_dump(content), encoding="utf-8")


def settings_of(run: Run) -> dict[str, Any]:
    return {rung.name: rung.settings for rung in run.rungs}


def test_a_run_may_change_its_profiles_training(settings: Path) -> None:
    plain = settings_of(Run.load("triage-nano"))
    change_run(settings, rungs={"sft": {"epochs": 7}, "grpo": {"steps": 3}})
    changed = settings_of(Run.load("triage-nano"))
    assert (changed["sft"].epochs, changed["grpo"].steps) == (7, 3)
    assert changed["sft"].model_copy(update={"epochs": plain["sft"].epochs}) == plain["sft"]


def test_a_run_s_gate_changes_of_slices_only_what_it_names(settings: Path) -> None:
    content = yaml.safe_load(settings.read_text())
    content["gate"]["slices"] = {"alpha": 0.01, "margin": 0.02, "large_share": 0.2}
    settings.write_text(yaml.safe_dump(content))
    change_run(settings, gate={"slices": {"margin": 0.05}})
    slices = Run.load("triage-nano").gate.slices
    assert (slices.alpha, slices.margin, slices.large_share) == (0.01, 0.05, 0.2)


def test_a_rung_s_nested_settings_change_only_what_is_named(settings: Path) -> None:
    change_run(settings, "triage-qwen3-0.6b", rungs={"sft": {"lora": {"rank": 8}}})
    plain = yaml.safe_load((settings.parent / "profiles/qwen3-0.6b.yaml").read_text())["methods"]["sft"]["lora"]
    lora = settings_of(Run.load("triage-qwen3-0.6b"))["sft"].lora
    assert lora.model_dump() == {**plain, "rank": 8}


def test_a_wrong_setting_inside_another_is_told_with_the_file_that_has_it(settings: Path) -> None:
    profile = settings.parent / "profiles/qwen3-0.6b.yaml"
    profile.write_text(profile.read_text().replace("alpha: 64", "alpha: 0", 1))
    change_run(settings, "triage-qwen3-0.6b", rungs={"sft": {"lora": {"rank": 8}}})
    with pytest.raises(
        ConfigError, match=r"^methods\.sft\.lora\.alpha: .* found 0 \(params/profiles/qwen3-0\.6b\.yaml\)"
    ):
        Run.load("triage-qwen3-0.6b")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"sft": {"epoch": 7}},
            "runs.triage-nano.rungs.sft.epoch: extra inputs are not permitted (params/pipeline.yaml)",
        ),
        (
            {"grpo": {"steps": 0}},
            "runs.triage-nano.rungs.grpo.steps: input should be greater than or equal to 1, found 0",
        ),
        ({"rl": {"steps": 9}}, "runs.triage-nano.rungs: expected rungs of the ladder, found rl (params/pipeline.yaml"),
    ],
)
def test_a_run_that_changes_an_unknown_setting_is_refused(
    settings: Path, changes: dict[str, Any], message: str
) -> None:
    change_run(settings, rungs=changes)
    with pytest.raises(ConfigError, match=re.escape(message)):
        Run.load("triage-nano")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"input": {"message": "smoke"}},
            "must_pass.smoke-is-urgent.input: expected the columns message, channel, found message "
            "(params/workloads/triage.yaml)",
        ),
        ({"expected": {"intent": "damaged_item"}}, "found 'product' is a required property"),
        ({"name": "the-amount-is-read"}, "must_pass: expected names that occur once, found the-amount-is-read twice"),
    ],
)
def test_a_case_that_nobody_could_pass_is_refused(settings: Path, changes: dict[str, Any], message: str) -> None:
    change_case(settings, **changes)
    with pytest.raises(ConfigError, match=re.escape(message)):
        Run.load("triage-nano")


def test_any_workload_runs_on_any_profile_without_an_entry(settings: Path) -> None:
    settings.write_text(settings.read_text().replace("triage", "nothing"))
    run = Run.of("digest", "qwen3-0.6b")
    assert (run.name, run.workload.name, run.profile.name) == ("digest-qwen3-0.6b", "digest", "qwen3-0.6b")
    assert Run.load(run.name) == run


def test_a_run_on_another_ladder_has_its_name(settings: Path) -> None:
    run = Run.of("triage", "nano", "continuum")
    assert run.name == "triage-nano-continuum"
    assert Run.load(run.name).rungs == run.rungs
    assert [rung.name for rung in run.rungs][-4:] == ["sft", "rejection_sampling", "dpo", "grpo"]
    change_run(settings, ladder="continuum")
    assert Run.of("triage", "nano").rungs == run.rungs  # where the entry names it, it is the run's usual one


@pytest.mark.parametrize(
    ("workload", "profile", "ladder", "message"),
    [
        ("flight", "nano", None, "found flight (params/workloads)"),
        ("triage", "mega", None, "found mega (params/profiles)"),
        ("triage", "nano", "rope", ", found rope (params/ladders)"),
    ],
)
def test_an_unknown_run_is_refused_with_the_known_names(
    settings: Path, workload: str, profile: str, ladder: str | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        Run.of(workload, profile, ladder)


@pytest.mark.parametrize("where", ["nowhere", "ladder", "profile"])
def test_a_search_without_a_model_that_reflects_is_refused_before_a_climb(settings: Path, where: str) -> None:
    api = {"base_url": "http://127.0.0.1:1/v1", "key_variable": None}
    searched = {"method": "gepa", "from": "prompts", "settings": {"reflection": api} if where == "ladder" else {}}
    rungs = {"prompts": {"method": "prompt", "each": "prompts"}, "searched": searched}
    (settings.parent / "ladders/searching.yaml").write_text(yaml.safe_dump({"rungs": rungs}, sort_keys=False))
    if where == "profile":
        profile = settings.parent / "profiles/nano.yaml"
        profile.write_text(yaml.safe_dump({**yaml.safe_load(profile.read_text()), "prompting": api}))
    if where != "nowhere":
        assert Run.of("triage", "nano", "searching").rungs[-1].name == "searched"
        return
    message = (
        "rungs.searched: expected an API for prompts in the profile (prompting), which gepa needs unless its "
        "settings name one, found none (params/ladders/searching.yaml, params/profiles/nano.yaml)"
    )
    with pytest.raises(ConfigError, match=re.escape(message)):
        Run.of("triage", "nano", "searching")


def test_a_first_look_ends_with_the_evaluation_and_reads_no_audit(settings: Path) -> None:
    names = [node.name for node in nodes(Run.of("triage", "nano", "quick"))]
    assert names[0] == "data"
    assert names[-1] == "evaluate"
    assert not {"audit", "certify", "gate", "report"} & set(names)


def test_a_first_look_with_a_rung_that_a_reward_teaches_is_refused(settings: Path) -> None:
    ladder = settings.parent / "ladders" / "quick.yaml"
    content = yaml.safe_load(ladder.read_text())
    content["rungs"]["grpo"] = {"method": "grpo", "from": "sft"}
    ladder.write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(ConfigError, match="expected no rung that a reward teaches where first_look is set, found grpo"):
        Run.of("triage", "nano", "quick")


def test_a_first_look_takes_a_drawn_part_of_each_split_and_nothing_of_the_sealed_one(settings: Path) -> None:
    run = Run.of("triage", "nano", "quick")
    rows = [
        Example(id=f"e{at}", input={"text": str(at)}, demonstration="{}", reference="{}", group=str(at))
        for at in range(3000)
    ]
    sizes = {split: len(set(first_look(run, split, rows))) for split in ("train", "dev", "test", "sealed")}
    assert sizes == {"train": 1000, "dev": 100, "test": 200, "sealed": 0}
    drawn = first_look(run, "test", rows)
    assert drawn != range(200)
    assert drawn == first_look(run, "test", rows)
