"""Settings of an agent's workload: what does not fit together is refused before anything runs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from components.errors import ConfigError
from components.ladder import plan
from components.ladder.plan import Sources
from components.params import LadderParams, Profile, Workload, load

PARAMS = Path(__file__).resolve().parents[2] / "params"
DESK: dict[str, Any] = yaml.safe_load((PARAMS / "workloads/desk.yaml").read_text(encoding="utf-8"))
PROFILE = load(PARAMS / "profiles/nano.yaml", Profile)


def desk(tmp_path: Path, **changes: Any) -> Workload:
    path = tmp_path / "desk.yaml"
    path.write_text(yaml.safe_dump({**DESK, **changes}), encoding="utf-8")
    return load(path, Workload)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"agent": {**DESK["agent"], "temperature": 0}}, "agent: temperature must be above 0 .* found 4 trials"),
        ({"agent": None}, r"agent must have its section, because scorer\.weighted names final_state"),
        (
            {"constrained": ["steps"], "output": {"type": "object", "properties": {"answer": {"type": "string"}}}},
            "constrained must be empty where tasks are an agent's",
        ),
        (
            {"agent": {**DESK["agent"], "environment": "components.workloads.desk:Other"}},
            r"scorer\.trajectory\.environment must be agent\.environment \(components\.workloads\.desk:Other\)",
        ),
        (
            {"source": {
                "kind": "csv", "files": {"all": "a.csv"}, "columns": {"input": ["message"], "output": {"answer": "a"}},
            }},
            r"source\.kind must be generated .* found csv",
        ),
        (
            {"agent": {**DESK["agent"], "environment": "mcp: https://anna:pass@shop.example/mcp"}},
            r"^agent\.environment: expected no login in it: errors and the record would show it \([^@]*\)$",
        ),
        ({"agent": {**DESK["agent"], "environment": "https://anna:pass@shop.example"}}, "expected no login in it"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_an_agent_are_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        desk(tmp_path, **changes)


def test_an_mcp_server_s_tries_are_scored_in_a_session_of_the_same_server(tmp_path: Path) -> None:
    served = {"environment": "mcp:python shop.py"}
    scorer = {**DESK["scorer"], "trajectory": {**DESK["scorer"]["trajectory"], **served}}
    workload = desk(tmp_path, agent={**DESK["agent"], **served}, scorer=scorer, sealed_scorer=None)
    assert workload.scorer.trajectory is not None
    assert workload.scorer.trajectory.environment == "mcp:python shop.py"


def planned(tmp_path: Path, rungs: dict[str, Any]) -> list[str]:
    ladder = LadderParams.model_validate({"rungs": rungs})
    where = PARAMS / "ladders/own.yaml"
    return [rung.name for rung in plan(Sources(ladder, desk(tmp_path), PROFILE, {}, "desk-nano", where, where, where))]


def test_an_agents_ladder_leaves_classifiers_out_and_takes_rungs_that_learn_from_tries(tmp_path: Path) -> None:
    rungs = {"floor": {"method": "classical"}, "prompts": {"method": "prompt", "each": "prompts"},
             "sft": {"method": "sft", "from": "base", "compare": "prompts"}}  # fmt: skip
    assert planned(tmp_path, rungs) == ["steps", "policies", "sft"]


@pytest.mark.parametrize("method", ["dpo", "few_shot", "gepa", "weighted_sft", "kto"])
def test_a_method_that_cannot_learn_from_tries_is_refused_with_those_that_can(tmp_path: Path, method: str) -> None:
    known = r"\(prompt, sft, rejection_sampling, grpo\), found"
    with pytest.raises(ConfigError, match=rf"rungs\.other: expected a method that learns .* {known} {method}"):
        planned(tmp_path, {"other": {"method": method}})


def test_an_agents_examples_may_be_as_long_as_it_says_and_others_as_the_profile(tmp_path: Path) -> None:
    assert desk(tmp_path).max_tokens(PROFILE.max_tokens) == DESK["agent"]["max_tokens"] != PROFILE.max_tokens
    triage = load(PARAMS / "workloads/triage.yaml", Workload)
    assert triage.max_tokens(PROFILE.max_tokens) == PROFILE.max_tokens
