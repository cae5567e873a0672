"""A stage is a function of what it declares: each stage of a small run is checked while it runs."""

import csv
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.ladder import PlannedRung, plan
from components.ladder.plan import Sources
from components.methods.prompt import WrittenPrompt
from components.params import LadderParams, Profile, Workload
from components.records import write_jsonl, write_record
from components.scorers import verdicts
from components.stages import call
from components.stages.advise import Settled
from components.stages.answers import completions_of, is_contender, judged_of
from components.stages.graph import StageNode, nodes
from components.stages.judging import tell_judge
from components.stages.run import LADDERS, PIPELINE, PROFILES, WORKLOADS, Run, StageRecord
from components.stages.standing import ANSWERS, FILE, SCORES, Standing, standing_folder
from components.tracking import NullTracker
from tests.components.stages.conftest import PROMPTS, ROOT, Api, MakeRun, example, write_data
from tests.components.stages.listening import Heard, listening, outside
from tests.flows.conftest import PROFILE, WORKLOAD, merged, save_tiny_model

# Where results do not hang on it: how many processes share the work out, and where an interrupted one goes on.
MACHINE = {
    ("components.models", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"),  # how much memory the CPU's libraries keep
    ("components.models", "LRU_CACHE_CAPACITY"),
    ("components.data.contract", "GX_ANALYTICS_ENABLED"),
    ("components.training.launch", "RANK"),
    ("components.training.launch", "WORLD_SIZE"),
    ("components.stages.run", "GRADUS_COMMIT"),  # the commit, where no git is that would say it
    ("components.methods.sft.training", "ACCELERATE_USE_FSDP"),  # whether processes share the weights out
    ("components.training.sharding", "ACCELERATE_USE_FSDP"),
    ("components.training.launch", "GRADUS_WORKER"),
    ("components.training.launch", "*"),  # given on to the processes that it starts
}
OWN = """
from components.methods.classical import Classical


class Rewarded(Classical):
    label = "Rewarded"

    def needs(self, params):
        return frozenset({"reward"})
"""


@pytest.fixture
def small(make_run: MakeRun, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run from a csv, with all kinds of stages, before the first of them; nothing of it is trained."""
    api.understood = {PROMPTS["two"], PROMPTS["three"]}
    run = make_run("declared", api, min_examples=20)
    shutil.rmtree(run.folder)
    shutil.copytree(ROOT / "models/nano", "models/nano")
    write_rows(run.data_source / "rows.csv", 240)
    module = f"own_{tmp_path.name.replace('-', '_')}"
    Path(f"{module}.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    rungs = {
        "classical": {"method": "classical"},
        "prompts": {"method": "prompt", "each": "prompts"},
        "own": {"method": f"{module}:Rewarded"},
    }
    return replace(run, rungs=planned(rungs, run.workload, run.profile))


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The embedded workload up the standard ladder, on a model of two layers, before the first stage."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "params", "params")
    save_tiny_model(Path("models/nano"))
    for path, changes in ((WORKLOADS / "triage.yaml", WORKLOAD), (PROFILES / "nano.yaml", PROFILE)):
        path.write_text(
            yaml.safe_dump(merged(yaml.safe_load(path.read_text(encoding="utf-8")), changes)), encoding="utf-8"
        )
    run = Run.of("triage", "nano")
    return replace(run, rungs=tuple(replace(rung, settings=rung.settings.model_copy()) for rung in run.rungs))


def write_rows(path: Path, n: int) -> None:
    path.parent.mkdir(parents=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "intent", "urgent"])
        for number in range(n):
            single = example(number)
            rows.writerow([single.input["text"], *json.loads(single.reference).values()])


def planned(rungs: dict[str, Any], workload: Workload, profile: Profile) -> tuple[PlannedRung, ...]:
    """The rungs of a ladder; those of a group share no settings, so that it shows whose are read."""
    ladder = LadderParams.model_validate({"rungs": rungs})
    sources = Sources(ladder, workload, profile, {}, "declared", LADDERS, PROFILES, PIPELINE)
    return tuple(replace(rung, settings=rung.settings.model_copy()) for rung in plan(sources))


def heard_of(run: Run, node: StageNode) -> Heard:
    """Run a node as its command does, and listen; before gate and report what the flow's steps leave for them."""
    stage, _, *part = node.command
    if stage == "gate":
        leave_standing(run)
    if stage == "report":
        write_record(run.advice_folder / "settled.json", Settled(advised=False))
    verdicts._TOTALS.clear()  # of this process: an earlier test's judge would be told of, with its price
    with listening(run, Path.cwd()) as (fresh, heard):
        call(stage, fresh, NullTracker(), *part)
        tell_judge(fresh, NullTracker())
    done = StageRecord(stage=node.name, seconds=1.0, mlflow_run_id=None)
    write_record(run.folder / "stages" / f"{node.name}.json", done)
    return heard


def leave_standing(run: Run) -> None:
    """A champion of an earlier climb that answers as the first contender does."""
    name, folder = next(rung.name for rung in run.rungs if is_contender(run, rung.name)), standing_folder(run)
    write_jsonl(folder / ANSWERS, completions_of(run, "sealed", name))
    write_jsonl(folder / SCORES, judged_of(run, "sealed", name))
    write_record(folder / FILE, Standing(question="q", look=1, version=1, name="version 1", digest="other"))


def problems(run: Run, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """What stages read without declaring it, by stage."""
    listened = {node: heard_of(run, node) for node in nodes(run) if node.name not in without}
    collected = {node.name: undeclared(heard, node) for node, heard in listened.items()}
    return {name: kinds for name, kinds in collected.items() if kinds}


def undeclared(heard: Heard, node: StageNode) -> dict[str, Any]:
    """What a stage read and wrote and does not declare, by kind."""
    variables = sorted(heard.variables - MACHINE)
    return {**heard.undeclared(node), **({"variables": variables} if variables else {})}


def test_stages_that_answer_and_decide_read_nothing_that_they_do_not_declare(small: Run) -> None:
    write_data(small)  # reading and auditing real rows takes most of a minute
    assert problems(small, without=("data", "audit", "report")) == {}


@pytest.mark.slow
def test_no_stage_reads_or_writes_what_it_does_not_declare(small: Run) -> None:
    dropped = small.folder / "stages" / "rung-dropped.json"  # of a rung that the ladder had once
    write_record(dropped, StageRecord(stage="rung-dropped", seconds=1.0, mlflow_run_id=None))
    assert problems(small) == {}
    assert "rung-dropped" not in (small.report / "ladder.json").read_text(encoding="utf-8")


@pytest.mark.slow
def test_no_stage_that_trains_reads_or_writes_what_it_does_not_declare(trained: Run) -> None:
    assert problems(trained) == {}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ('Path("secrets.txt").read_text()', "reads"),
        ('Path("elsewhere.txt").write_text("")', "writes"),
        ('os.listdir("data")', "lists"),
        ("job.workload.traffic.calls_per_year", "settings"),
        ('os.environ.get("HOME")', "variables"),
    ],
)
def test_undeclared_inputs_are_detected(small: Run, monkeypatch: pytest.MonkeyPatch, code: str, kind: str) -> None:
    write_data(small)
    Path("secrets.txt").write_text("s", encoding="utf-8")
    as_before = WrittenPrompt.make

    def make(self: Any, job: Any, params: Any, tracker: Any) -> Any:
        exec(code, {"job": job, "os": os, "Path": Path, "__name__": "components.methods.own"})
        return as_before(self, job, params, tracker)

    monkeypatch.setattr(WrittenPrompt, "make", make)
    node = next(node for node in nodes(small) if node.name == "rung-one")
    assert undeclared(heard_of(small, node), node).keys() == {kind}


def test_changed_traffic_and_prices_remake_no_data_rung_or_answer(small: Run) -> None:
    for setting in ("workload.traffic.calls_per_year", "workload.economics.usd_per_label"):
        hung = {node.command[0] for node in nodes(small) if not outside([setting], node.settings, ".")}
        assert hung <= {"evaluate", "report"}
