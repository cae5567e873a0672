import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from components.errors import TrainingError
from components.params import LauncherParams
from components.training.launch import WORKER, is_main, launch, launch_command, once

ROOT = Path(__file__).resolve().parents[3]
FOUR = LauncherParams(kind="accelerate", processes=4)


def test_four_processes_run_the_stage_as_a_module() -> None:
    assert launch_command(FOUR, "components.stages", ["sft", "triage-llama"]) == [
        sys.executable, "-m", "accelerate.commands.launch", "--num_machines", "1", "--mixed_precision", "no",
        "--dynamo_backend", "no", "--multi_gpu", "--num_processes", "4", "--module", "components.stages", "sft",
        "triage-llama",
    ]  # fmt: skip


def test_an_accelerate_file_stands_in_for_what_it_says() -> None:
    command = launch_command(FOUR.model_copy(update={"config": "fsdp.yaml"}), "m", [])
    assert command[3:] == ["--config_file", "fsdp.yaml", "--num_processes", "4", "--module", "m"]


def test_one_process_and_launched_processes_do_the_work_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    launch(LauncherParams(), "no.such.module", [], lambda: done.append("here"))
    monkeypatch.setenv(WORKER, "1")
    launch(FOUR, "no.such.module", [], lambda: done.append("worker"))
    assert done == ["here", "worker"]


def test_a_process_that_is_alone_is_the_main_one_and_prepares_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[int] = []
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert is_main()
    assert once(lambda: once(lambda: prepared.append(1) or "made")) == "made"
    assert prepared == [1]
    monkeypatch.setenv("RANK", "1")
    assert not is_main()


def test_one_process_that_is_to_share_out_its_weights_is_refused() -> None:
    assert LauncherParams(kind="torch", strategy="fsdp2").processes == 1
    with pytest.raises(ValidationError, match="strategy: expected ddp where kind is process, found fsdp2"):
        LauncherParams(strategy="fsdp2")


@pytest.mark.slow
def test_a_launched_module_that_fails_is_an_error() -> None:
    launcher = LauncherParams(kind="accelerate", processes=1)
    launch(launcher, "json.tool", ["--help"], lambda: None)
    with pytest.raises(TrainingError, match="exit code 0, found 1"):
        launch(launcher, "no.such.module", [], lambda: None)
