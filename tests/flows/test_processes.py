"""A training that the profile spreads over two processes of this machine."""

from collections.abc import Callable

from components.records import Rung, read_record
from tests.flows.conftest import RUN, Project


def test_two_processes_make_one_rung_and_record_it_in_the_stages_own_run(make_project: Callable[[], Project]) -> None:
    project = make_project()
    project.set("profiles/nano.yaml", {"launcher": {"kind": "torch", "processes": 2}})
    for stage in ("data", "sft"):
        result = project.call("components.stages", stage, RUN)
        assert result.returncode == 0, result.stderr
    rung = read_record(project.artifacts / "sft" / "result.json", Rung)
    assert rung.mlflow_run_id == project.stages()["sft"].mlflow_run_id
    assert [step for step, _ in rung.curves["dev_score"]] == [4, 8]  # 120 examples, 30 a step, two epochs: as by one
    assert (project.artifacts / "sft" / "model" / "model.safetensors").is_file()


def test_a_process_that_fails_fails_the_stage_with_its_reason(make_project: Callable[[], Project]) -> None:
    project = make_project()
    project.set("profiles/nano.yaml", {"launcher": {"kind": "torch", "processes": 2}, "sft": {"batch_examples": 31}})
    assert project.call("components.stages", "data", RUN).returncode == 0
    failed = project.call("components.stages", "sft", RUN)
    assert failed.returncode == 2
    assert "sft.batch_examples must divide evenly" in failed.stderr
    assert "expected the launched training to end with exit code 0, found 2" in failed.stderr
