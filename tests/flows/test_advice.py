"""Advice, accounts and reproductions as a person asks for them."""

import hashlib
import json
from pathlib import Path

import pytest
import yaml

from components.stages.reproduce import needed
from tests.flows.conftest import Project
from tests.flows.test_cli import ROOT, gradus


def test_prices_agree_with_the_catalogue_or_the_command_fails(tmp_path: Path) -> None:
    agreed = gradus("prices")
    assert agreed.returncode == 0, agreed.stderr
    assert "gpt-4.1-mini" in agreed.stdout and "differs" not in agreed.stdout
    table = (ROOT / "params" / "prices.yaml").read_text(encoding="utf-8")
    (tmp_path / "params").mkdir()
    wrong = table.replace("input_usd_per_million_tokens: 0.40", "input_usd_per_million_tokens: 0.60")
    (tmp_path / "params" / "prices.yaml").write_text(wrong, encoding="utf-8")
    differing = gradus("prices", cwd=tmp_path)
    assert differing.returncode == 1
    assert differing.stdout.count("differs") == 1


@pytest.mark.slow
def test_a_climbed_run_is_accounted_for_and_advised_on(climbed: Project) -> None:
    account = climbed.call("flows.cli", "economics", "triage", "--calls", "1000")
    assert account.returncode == 0, account.stderr
    assert "1,000 calls a year" in account.stdout and "never called" in account.stdout
    advice = climbed.call("flows.cli", "advise", "triage", "--trial", "0")
    assert advice.returncode == 0, advice.stderr
    assert "Advice: " in advice.stdout
    kept = json.loads((climbed.artifacts / "advice" / "advice.json").read_text(encoding="utf-8"))
    assert kept["headline"] in advice.stdout and kept["mlflow_run_id"]


@pytest.mark.slow
def test_a_version_is_made_again_with_the_same_weights(climbed: Project) -> None:
    made = climbed.call("flows.cli", "reproduce", "triage", "1")
    assert made.returncode == 0, made.stdout + made.stderr
    assert made.stdout.endswith("identical\n")
    again = Project(climbed.folder / "state" / "reproduce" / "triage-1")
    assert not (again.artifacts / "answers" / "loose").exists()  # no rung that the version does not depend on
    graph = yaml.safe_load((again.folder / "runs" / again.artifacts.name / "dvc.yaml").read_text(encoding="utf-8"))
    for name in needed(graph["stages"], "grpo"):  # whichever rung was registered
        stage = graph["stages"][name]
        if not (again.folder / stage["outs"][0]).exists():
            done = again.call(*stage["cmd"].partition(" -m ")[2].split())
            assert done.returncode == 0, done.stderr
    for rung in ("sft", "grpo"):
        weights = [each.artifacts / "rungs" / rung / "artifact" / "model.safetensors" for each in (climbed, again)]
        first, other = (hashlib.sha256(path.read_bytes()).hexdigest() for path in weights)
        assert first == other


@pytest.mark.slow
def test_a_version_that_nobody_registered_is_named(climbed: Project) -> None:
    unknown = climbed.call("flows.cli", "reproduce", "triage", "99")
    assert unknown.returncode == 2
    assert "99" in unknown.stderr
