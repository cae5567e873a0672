"""`gradus run` of an agent's workload: a climb with its publication."""

import json
import shutil
from collections.abc import Callable

import pytest

from components.records import Ladder, read_record
from tests.components.stages.test_agent_climb import EVEN, PIPELINE_CHANGES, WORKLOAD, change
from tests.flows.conftest import ROOT, Project

RUN = "desk-nano"


@pytest.fixture(scope="module")
def desk(make_project: Callable[[], Project]) -> Project:
    """A project with a small desk, whose scorer passes half of all tries, and the embedded model."""
    project = make_project()
    shutil.rmtree(project.folder / "models" / "nano")
    shutil.copytree(ROOT / "models" / "nano", project.folder / "models" / "nano")
    (project.folder / "even.py").write_text(EVEN, encoding="utf-8")
    scorer = {"weighted": {"even:Even": 1.0}}
    change(project.folder / "params/workloads/desk.yaml", {**WORKLOAD, "scorer": scorer}, fresh=("scorer",))
    project.set("pipeline.yaml", PIPELINE_CHANGES)
    return project


@pytest.mark.slow
def test_an_agent_climbs_and_is_published_from_a_copy_that_repeats_ten_of_its_tries(desk: Project) -> None:
    done = desk.call("flows.cli", "run", "desk", "--profile", "nano")
    assert done.returncode == 0, done.stderr
    folder = desk.folder / "artifacts" / RUN
    ladder = read_record(folder / "report" / "ladder.json", Ladder)
    assert all(rung.tries for rung in ladder.rungs)
    published = json.loads((folder / "published.json").read_text(encoding="utf-8"))
    assert published["version"] == 1 and published["reproduced"] == 10
    again = desk.call("flows.cli", "run", "desk")
    assert again.returncode == 0 and "tries" not in again.stderr
