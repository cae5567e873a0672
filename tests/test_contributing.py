"""CONTRIBUTING's code works: its method runs as a rung, its scorer scores, its engine answers, its names are there."""

import importlib
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.engines import ChatRequest, Sampling
from components.errors import ScorerError
from components.ladder import plan
from components.ladder.plan import Sources
from components.methods import method_of
from components.params import LadderParams, ScorerParams
from components.records import Message, Score
from components.scorers import build, decided, score_all
from components.stages.answers import answer, judged_of
from components.stages.certify import certify
from components.stages.graph import nodes
from components.stages.run import LADDERS, PIPELINE, PROFILES, Run
from components.stages.rungs import rung
from components.tracking import NullTracker
from tests.components.stages.conftest import PROMPTS, Api, MakeRun, api, example, make_prompts, make_run

__all__ = ["api", "make_run"]  # fixtures
TEXT = (Path(__file__).resolve().parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
CODE = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", TEXT, re.DOTALL))
LADDER = next(text for text in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL) if text.startswith("rungs:"))
NAMES = re.findall(r"^\| `(components\.[\w.]+)` \| (.*) \|$", TEXT, re.MULTILINE)


class Beginnings(set[str]):
    """System prompts that are understood whatever follows them."""

    def __contains__(self, system: object) -> bool:
        return any(str(system).startswith(known) for known in self)


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The page's modules in a project's folder, where Python finds them."""
    for name, code in CODE.items():
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in CODE:
        sys.modules.pop(name, None)
    method_of.cache_clear()


@pytest.fixture
def climbing(written: Path, make_run: MakeRun, api: Api) -> Run:
    """A small run up the page's ladder; its API follows the second prompt alone."""
    api.understood = Beginnings({PROMPTS["two"]})
    run = make_run("own", api)
    ladder = LadderParams.model_validate(yaml.safe_load(LADDER))
    sources = Sources(ladder, run.workload, run.profile, {}, "own", LADDERS, PROFILES, PIPELINE)
    run = replace(run, rungs=plan(sources))
    rung(run, NullTracker(), "classical")
    make_prompts(run)
    return run


def test_the_method_of_the_page_runs_as_a_rung_and_answers(climbing: Run) -> None:
    certify(climbing, NullTracker())
    rung(climbing, NullTracker(), "best_of_n")
    made = climbing.rung("best_of_n")
    assert (made.method, made.starts_from, made.dev_score) == ("best_of_n:BestOfN", "two", 1.0)
    prompt = climbing.prompt_of(made).system
    assert prompt.startswith(f"{PROMPTS['two']}\n\nExamples:")
    known = {row.input["text"]: row.reference for row in climbing.examples("train")}
    shown = [part.split("\n") for part in prompt.split("\n\n")[2:]]
    assert len(shown) == 3
    assert all(known[text] == text_of for text, text_of in shown)
    answer(climbing, NullTracker(), "best_of_n")
    assert all(judged.score and judged.score.passed for judged in judged_of(climbing, "sealed", "best_of_n"))


def test_the_method_of_the_page_has_fewer_than_60_lines() -> None:
    assert len([line for line in CODE["best_of_n"].splitlines() if line.strip()]) < 60


def test_its_stage_depends_on_its_file_and_comes_after_the_certificate(climbing: Run) -> None:
    names = [node.name for node in nodes(climbing)]
    node = next(node for node in nodes(climbing) if node.name == "rung-best_of_n")
    assert "best_of_n.py" in node.deps
    assert names.index("certify") < names.index("rung-best_of_n")


@pytest.mark.parametrize(
    ("text", "value", "passed"),
    [
        ('{"lines": [1, 2], "total": 3}', 1.0, True),
        ('{"lines": [1, 2], "total": 4}', 0.0, False),
        ('{"lines": "12"}', 0.0, False),
        ("twelve", 0.0, False),
        ("[]", 0.0, False),
    ],
)
def test_the_scorer_of_the_page_scores(written: Path, text: str, value: float, passed: bool) -> None:
    scorer = build(ScorerParams.model_validate({"weighted": {"sums:Adds": 1.0}}), {"properties": {"total": {}}})
    score = decided(score_all(scorer, [(example(0), echoed(text))])[0])
    assert isinstance(score, Score)
    assert (score.value, score.passed) == (value, passed)


def test_the_scorer_of_the_page_decides_nothing_about_other_workloads(written: Path) -> None:
    scorer = build(ScorerParams.model_validate({"weighted": {"sums:Adds": 1.0}}), {"properties": {"intent": {}}})
    assert isinstance(score_all(scorer, [(example(0), echoed("{}"))])[0], ScorerError)


def test_a_stage_that_scores_depends_on_the_scorer_of_the_page(written: Path, make_run: MakeRun) -> None:
    run = make_run("scored")
    own = ScorerParams.model_validate({"weighted": {"sums:Adds": 1.0}})
    run = replace(run, workload=run.workload.model_copy(update={"scorer": own}))
    of_kind = {node.name: "sums.py" in node.deps for node in nodes(run)}
    assert of_kind["rung-one"]
    assert of_kind["answer-one"]
    assert of_kind["certify"]
    assert not of_kind["data"]


def echoed(text: str) -> Any:
    """The page's engine, which answers with what it is asked."""
    asked = [ChatRequest(name, [Message(role="user", content=text)]) for name in "ab"]
    completions = importlib.import_module("echo").Echo().generate(asked, Sampling(n=2))
    assert [completion.example_id for completion in completions] == ["a", "a", "b", "b"]
    return completions[0]


def test_every_name_of_the_page_can_be_imported() -> None:
    assert len(NAMES) >= 10
    for module, names in NAMES:
        for name in re.findall(r"`(\w+)`", names):
            assert hasattr(importlib.import_module(module), name), f"{module}.{name}"
