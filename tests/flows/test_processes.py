"""A training that the profile spreads over two processes of this machine."""

from collections.abc import Callable

from components.records import Rung, read_record
from tests.flows.conftest import RUN, Project


def test_two_processes_make_one_rung_and_record_it_in_the_stages_own_run(make_project: Callable[[], Project]) -> None:
    project = make_project()
    project.set("profiles/nano.yaml", {"launcher": {"kind": "torch", "processes": 2}})
    for stage in (("data", RUN), ("rung", RUN, "sft")):
        result = project.call("components.stages", *stage)
        assert result.returncode == 0, result.stderr
    rung = read_record(project.artifacts / "rungs" / "sft" / "result.json", Rung)
    assert rung.mlflow_run_id == project.stages()["rung-sft"].mlflow_run_id
    assert [step for step, _ in rung.curves["dev_score"]] == [4, 8]  # 120 examples, 30 a step, two epochs: as by one
    assert (project.artifacts / "rungs" / "sft" / "artifact" / "model.safetensors").is_file()


def test_a_process_that_fails_fails_the_stage_with_its_reason(make_project: Callable[[], Project]) -> None:
    project = make_project()
    project.set(
        "profiles/nano.yaml",
        {"launcher": {"kind": "torch", "processes": 2}, "methods": {"sft": {"batch_examples": 31}}},
    )
    assert project.call("components.stages", "data", RUN).returncode == 0
    failed = project.call("components.stages", "rung", RUN, "sft")
    assert failed.returncode == 2
    assert "sft.batch_examples must divide evenly" in failed.stderr
    assert "expected the launched training to end with exit code 0, found 2" in failed.stderr
