"""The examples run as their pages say, through the data and the honest floor."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from components.data.init import init_workload, read_input
from components.stages import call
from components.stages.graph import nodes
from components.stages.run import WORKLOADS, Run
from components.tracking import NullTracker

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted(path.parent.name for path in (ROOT / "examples").glob("*/README.md"))
# Of dev that the classifier gets right; it cannot count.
FLOOR = {"from-chats": 0.8, "from-csv": 0.9, "own-scorer": 0.0}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("params", "models/nano", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def prepared(page: str, project: Path) -> Run:
    """The run of a page's commands, with the settings that it shows."""
    init = re.search(r"^gradus init (\S+) --from (\S+) --yes$", page, re.MULTILINE)
    assert init
    name = init[1]
    init_workload(name, read_input(Path(init[2])), project)
    for source, to in re.findall(r"^cp (\S+) (\S+)$", page, re.MULTILINE):
        shutil.copy(source, to)
    path = WORKLOADS / f"{name}.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    for change in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL):
        settings |= yaml.safe_load(change)
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    assert f"gradus run {name} --profile nano" in page
    return Run.of(name, "nano")


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_runs_through_data_and_classical(example: str, project: Path) -> None:
    run = prepared((ROOT / "examples" / example / "README.md").read_text(encoding="utf-8"), project)
    call("data", run, NullTracker())
    call("rung", run, NullTracker(), "classical")
    made = run.rung("classical")
    assert made.dev_score is not None
    assert made.dev_score >= FLOOR[example]
    assert len(run.examples("train")) > len(run.examples("dev")) > 0


def test_stages_that_score_depend_on_the_examples_scorer(project: Path) -> None:
    run = prepared((ROOT / "examples/own-scorer/README.md").read_text(encoding="utf-8"), project)
    assert {node.command[0] for node in nodes(run) if "sums.py" in node.deps} == {"rung", "certify", "answer"}


def test_the_command_finds_a_module_in_the_projects_folder(project: Path) -> None:
    prepared((ROOT / "examples/own-scorer/README.md").read_text(encoding="utf-8"), project)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [Path(sys.executable).with_name("gradus"), "graph", "orders"]
    written = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (written.returncode, written.stderr) == (0, "")
    assert "sums.py" in Path(written.stdout.strip()).read_text(encoding="utf-8")
