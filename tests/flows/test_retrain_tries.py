"""A retraining of an agent: right conversations of production become a data version, a ladder and a decision."""

import subprocess
import time
from collections.abc import Callable, Iterable
from copy import deepcopy

import pytest

from components.data.harvest import Harvested
from components.records import Example, Ladder, Record, Trace, read_jsonl, read_record
from components.tasks import demonstrated
from components.workloads.desk import Task, drifted
from monitoring.lake import Lake
from monitoring.watch import Watched
from monitoring.windows import HOUR_S
from tests.components.stages.test_agent_climb import EVEN, PIPELINE_CHANGES, WORKLOAD, change
from tests.flows.conftest import Project, merged
from tests.monitoring.conversed import conversed, praised

RUN = "desk-nano"
LADDER = """
rungs:
  prompts: {method: prompt, each: prompts}
  sft: {method: sft, from: base, compare: prompts}
  rejection_sampling: {method: rejection_sampling, from: sft}
"""
FEWEST = 100


@pytest.fixture(scope="module")
def desk(make_project: Callable[[], Project]) -> Project:
    """A project with a small desk, whose scorer passes half of all tries, that has climbed with a tiny model."""
    project = make_project()
    (project.folder / "even.py").write_text(EVEN, encoding="utf-8")
    settings = {**WORKLOAD, "prompts": ["policies"], "scorer": {"weighted": {"even:Even": 1.0}}}
    change(project.folder / "params/workloads/desk.yaml", settings, fresh=("scorer",))
    (project.folder / "params/ladders/agent.yaml").write_text(LADDER, encoding="utf-8")
    change(project.folder / "params/pipeline.yaml", {"runs": {}}, fresh=("runs",))
    changes = deepcopy(PIPELINE_CHANGES)
    rungs = changes["runs"][RUN]["rungs"]
    changes["runs"] = {RUN: {"ladder": "agent", "rungs": {name: rungs[name] for name in ("sft", "rejection_sampling")}}}
    own = {"watch": {"min_rows": 60, "resamples": 500}, "retraining": {"harvest": {"min_examples": FEWEST}}}
    project.set("pipeline.yaml", merged(changes, own))
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--no-verify", "--message", "A small desk")
    done = project.call("flows.cli", "run", "desk")
    assert done.returncode == 0, done.stderr
    return project


def git(project: Project, *words: str) -> str:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@localhost")
    done = subprocess.run(["git", *identity, *words], cwd=project.folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def hold(project: Project, name: str, tasks: Iterable[Task], at: float) -> list[list[Trace]]:
    """Conversations with the champion, ten seconds apart, whose right ones people call right."""
    talks, words = list[list[Trace]](), list[Record]()
    for number, task in enumerate(tasks):
        talks.append(conversed(task.demonstration, f"{name}{number}", at + 10 * number, caller="k"))
        words.append(praised(talks[-1], float(task.slices["demonstration"] == "right"), sender="r", reviewer=True))
    records = [*(turn for talk in talks for turn in talk), *words]
    Lake(project.folder / "state" / "lake").store(name, [record.model_dump_json() for record in records])
    return talks


@pytest.mark.slow
def test_a_renamed_argument_is_seen_and_what_people_call_right_under_it_is_learnt_from(desk: Project) -> None:
    now = time.time()
    few = desk.call("flows.cli", "retrain", "desk")
    assert few.returncode == 0, few.stderr
    assert few.stdout == "Expected at least 100 right tries to learn from, found 0.\n"
    hold(desk, "usual", drifted(120, 3, "none"), now - 40 * HOUR_S)
    tasks = list(drifted(150, 4, "argument"))
    talks = hold(desk, "renamed", tasks, now - HOUR_S)
    watched = desk.call("flows.cli", "watch", "desk")
    assert watched.returncode == 0, watched.stderr
    look = read_record(desk.folder / "state" / "watch" / "desk" / "watched.json", Watched)
    assert "tools.get_order.schema" in {shift.column for shift in look.moved}

    done = desk.call("flows.cli", "retrain", "desk")
    assert done.returncode == 0, done.stderr
    outcome, branch = done.stdout.splitlines()[-2:]
    # Whoever guesses half of all tries right stays, or makes way; nobody asks a canary here.
    assert outcome.startswith(("The old champion stays: ", "Version 1 is champion: ", "Version 2 "))
    there = desk.folder / "state" / "retrain" / "desk"
    (harvest,) = (there / "data" / "desk" / "harvest").glob("*.jsonl")
    kept = read_jsonl(harvest, Harvested)
    assert f"({len(kept)} answers of production)" in branch and len(kept) >= FEWEST
    pairs = zip(talks, tasks, strict=True)
    right = {talk[0].id for talk, task in pairs if task.slices["demonstration"] == "right"}
    renamed = {row.example.id.removeprefix("P-") for row in kept} & right
    assert len(renamed) > 0.8 * len(right)
    data = there / "artifacts" / RUN / "data"
    train = {row.id: row for row in read_jsonl(data / "train.jsonl", Example)}
    assert {row.example.id for row in kept} <= set(train)
    for name in renamed:
        calls = [call for call in demonstrated(train[f"P-{name}"]).calls if call.name == "get_order"]
        assert calls and all(call.arguments.startswith('{"number": ') for call in calls)
    for split in ("dev", "test", "sealed"):
        own = [
            example.id for example in read_jsonl(desk.folder / "artifacts" / RUN / "data" / f"{split}.jsonl", Example)
        ]
        assert own == [example.id for example in read_jsonl(data / f"{split}.jsonl", Example)]
    ladder = read_record(there / "artifacts" / RUN / "report" / "ladder.json", Ladder)
    assert [rung.name for rung in ladder.rungs] == ["policies", "sft", "rejection_sampling"]
    files = git(desk, "show", "--name-only", "--format=", branch.removeprefix("Branch: ").split()[0]).split()
    assert "params/workloads/desk.yaml" in files and any(path.endswith(".jsonl.dvc") for path in files)
