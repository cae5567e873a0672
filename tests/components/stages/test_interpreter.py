"""Which environment a stage needs, and that its process switches to it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.errors import ConfigError
from components.stages.graph import graph, nodes
from components.stages.interpreter import other_python
from components.stages.run import Run

ROOT = Path(__file__).resolve().parents[3]


def test_stages_that_open_a_model_need_the_profiles_environment_and_no_others_do() -> None:
    run = Run.of("triage", "llama-3.1-8b")
    needing = {node.name for node in nodes(run) if node.environment == "gpu"}
    models = {rung.name for rung in run.rungs if rung.makes != "classifier"}
    assert models >= {"sft", "grpo", "short" if "short" in models else "schema"}
    assert needing == {"certify", *(f"rung-{name}" for name in models), *(f"answer-{name}" for name in models)}
    stages = graph(run)["stages"]
    assert {name for name, stage in stages.items() if stage.get("meta") == {"environment": "gpu"}} == needing


def test_a_profile_of_the_base_environment_needs_no_other() -> None:
    assert {node.environment for node in nodes(Run.of("triage", "nano"))} == {"base"}


def test_without_a_name_or_in_the_named_python_itself_nothing_changes() -> None:
    assert other_python("gpu", {}) is None
    assert other_python("gpu", {"GRADUS_GPU_PYTHON": sys.executable}) is None
    assert other_python("base", {"GRADUS_GPU_PYTHON": "/bin/sh"}) is None
    assert other_python("gpu", {"GRADUS_GPU_PYTHON": "/bin/sh"}) == "/bin/sh"


def test_another_environments_link_to_the_same_file_is_another_python(tmp_path: Path) -> None:
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    assert other_python("gpu", {"GRADUS_GPU_PYTHON": str(link)}) == str(link)


def test_a_variable_that_names_no_program_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="GRADUS_GPU_PYTHON, found no program"):
        other_python("gpu", {"GRADUS_GPU_PYTHON": str(tmp_path / "none")})


def test_a_stage_of_the_gpus_goes_on_in_its_python_as_the_same_process(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$$ $*"\n', encoding="utf-8")
    python.chmod(0o700)
    command = [sys.executable, "-m", "components.stages", "rung", "triage-llama-3.1-8b", "sft"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GRADUS_GPU_PYTHON": str(python)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as started:
        said = started.communicate()[0]
    assert said.split() == [str(started.pid), "-m", "components.stages", "rung", "triage-llama-3.1-8b", "sft"]
