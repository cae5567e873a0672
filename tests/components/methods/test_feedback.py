"""What may be learnt of what people said: opinions on train, and on inputs of production that dev does not have."""

import shutil
from collections.abc import Callable
from dataclasses import replace

import pytest

from components.errors import DataError
from components.methods.dpo import pairs_of
from components.methods.feedback import learnable
from components.methods.kto import answers_of
from components.records import Preference, Thumb, write_jsonl
from components.stages.graph import nodes
from components.stages.run import Run
from components.stages.rungs import job_of
from tests.components.stages.conftest import ROOT

Climbing = Callable[..., Run]
NEW = {"text": "delivery of an altogether different thing next week 77"}


@pytest.fixture
def run(climbing: Climbing) -> Run:
    shutil.copytree(ROOT / "models/nano", "models/nano")
    return climbing(
        one={"method": "prompt"},
        dpo={"method": "dpo", "from": "base", "compare": "one", "settings": {"pairs": "feedback"}},
        kto={"method": "kto", "from": "base", "compare": "one"},
    )


def test_opinions_on_train_and_on_new_inputs_are_learnt_from_and_those_on_dev_never(run: Run) -> None:
    job = job_of(run, run.planned("kto"))
    dev = job.dev[0]
    said = [
        Thumb(example_id="train-001", text="a", good=True),
        Thumb(example_id="train-001", text="a", good=True),  # said twice
        Thumb(example_id="P-1", text="b", good=False, input=NEW),
        Thumb(example_id="P-2", text="c", good=False, input=dev.input),
        Thumb(example_id=dev.id, text="d", good=False, input=NEW),
        Thumb(example_id="nobody", text="e", good=False),
    ]
    found = learnable(job, said)
    assert [(example.id, one.text) for example, one in found] == [("train-001", "a"), ("P-1", "b")]
    assert found[1][0].input == NEW


def test_an_opinion_without_a_column_of_the_prompt_is_refused(run: Run) -> None:
    job = job_of(run, run.planned("kto"))
    with pytest.raises(DataError, match="expected the input text with the opinion on P-1, found none"):
        learnable(job, [Thumb(example_id="P-1", text="b", good=False, input={"body": "x"})])


def test_pairs_and_thumbs_come_from_the_workloads_file_and_from_named_harvests(run: Run) -> None:
    source = run.data_source
    pair = Preference(example_id="train-001", chosen="better", rejected="worse")
    write_jsonl(source / "preferences.jsonl", [pair])
    for name in ("first", "unnamed"):
        write_jsonl(source / "harvest" / f"{name}.preferences.jsonl", [pair.model_copy(update={"rejected": name})])
        write_jsonl(source / "harvest" / f"{name}.thumbs.jsonl", [Thumb(example_id="train-002", text=name, good=True)])
    named = replace(run, workload=run.workload.model_copy(update={"harvest": ("first.jsonl",)}))
    job = job_of(named, planned := named.planned("kto"))
    pairs = pairs_of(job, named.planned("dpo").settings)
    assert sorted(one.rejected for one in pairs) == ["first", "worse"]
    answers = answers_of(job, planned.settings)
    assert [(one.example.id, one.text, one.good) for one in answers] == [("train-002", "first", True)]
    deps = next(node.deps for node in nodes(named) if node.name == "rung-dpo")
    assert [one for one in deps if "data/" in one and one.startswith("data")] == [
        str(source / "preferences.jsonl"), str(source / "harvest/first.preferences.jsonl"),
        str(source / "harvest/first.thumbs.jsonl"),
    ]  # fmt: skip


def test_without_any_file_the_missing_one_is_named(run: Run) -> None:
    planned = run.planned("kto")
    with pytest.raises(DataError, match=r"expected a file of Thumb records, found none at .*thumbs.jsonl"):
        answers_of(job_of(run, planned), planned.settings)
    deps = next(node.deps for node in nodes(run) if node.name == "rung-kto")
    assert str(run.data_source / "thumbs.jsonl") in deps
