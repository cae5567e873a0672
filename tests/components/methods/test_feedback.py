"""Which opinions may be learnt from: those on train, and on production's inputs that are not in dev."""

import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from components.errors import DataError, TrainingError
from components.evaluation.label_audit import Audit
from components.methods.dpo import DpoParams, pairs_of
from components.methods.feedback import learnable
from components.methods.kto import KtoParams, answers_of
from components.models import open_model
from components.records import Logged, Preference, Thumb, write_jsonl, write_record
from components.stages.audit import audit_folder
from components.stages.graph import nodes
from components.stages.run import Run
from components.stages.rungs import job_of, rung
from components.tracking import NullTracker
from components.training.likelihood import log_likelihoods
from tests.components.stages.conftest import ROOT, Notes
from tests.flows.conftest import save_tiny_model

Climbing = Callable[..., Run]
WORTH = (('{"n": 1}', True), ('{"n": 9}', False))
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
        Thumb(example_id=dev.id, text="d", good=False),
        Thumb(example_id=dev.id, text="d", good=False, input={**dev.input}),
        Thumb(example_id="nobody", text="e", good=False),
    ]
    result = learnable(job, said)
    assert [(example.id, each.text) for example, each in result] == [("train-001", "a"), ("P-1", "b")]
    assert result[1][0].input == NEW


def test_an_opinion_is_on_what_was_asked_whatever_its_id_says(run: Run) -> None:
    job, other = job_of(run, run.planned("kto")), {"text": "a complaint about shoes that nobody ever wore before 12"}
    first = job.train[1]
    said = [
        Thumb(example_id=first.id, text="a", good=True, input={"text": f" {first.input['text']}\r\n"}),
        Thumb(example_id=first.id, text="b", good=True, input=NEW),  # another numbering than the data's
        Thumb(example_id="ada", text="c", good=True, input=other),
        Thumb(example_id="ada", text="d", good=False, input=job.dev[0].input),
        Thumb(example_id="ada", text="e", good=False, input=NEW),
        Thumb(example_id=job.dev[0].id, text="f", good=False, input=NEW),
        Thumb(example_id=job.dev[0].id, text="g", good=False, input=job.dev[1].input),
    ]
    result = [(example.input, each.text) for example, each in learnable(job, said)]
    assert result == [(first.input, "a"), (NEW, "b"), (other, "c"), (NEW, "e"), (NEW, "f")]


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
    pairs = pairs_of(job, cast(DpoParams, named.planned("dpo").settings))
    assert sorted(each.rejected for each in pairs) == ["first", "worse"]
    answers = answers_of(job, cast(KtoParams, planned.settings))
    assert [(answer.example.id, answer.text, answer.good) for answer in answers] == [("train-002", "first", True)]
    deps = next(node.deps for node in nodes(named) if node.name == "rung-dpo")
    assert [dep for dep in deps if "data/" in dep and dep.startswith("data")] == [
        str(source / "preferences.jsonl"), str(source / "harvest/first.preferences.jsonl"),
        str(source / "harvest/first.thumbs.jsonl"),
    ]  # fmt: skip


def test_without_any_file_the_missing_one_is_named(run: Run) -> None:
    planned = run.planned("kto")
    with pytest.raises(DataError, match=r"expected a file of Thumb records, found none at .*thumbs.jsonl"):
        answers_of(job_of(run, planned), cast(KtoParams, planned.settings))
    deps = next(node.deps for node in nodes(run) if node.name == "rung-kto")
    assert str(run.data_source / "thumbs.jsonl") in deps


TINY: dict[str, Any] = {"epochs": 8, "evaluations": 1, "learning_rate": 0.01, "dev_examples": 2}
SFT: dict[str, Any] = {"optimiser": "adamw", "batch_examples": 8, "device_batch_examples": 8, "max_tokens": 200}


@pytest.fixture
def tiny(climbing: Climbing) -> Run:
    """Rungs that learn from feedback, on a model of two layers."""
    save_tiny_model(Path("models/nano"))
    logs = {**TINY, **SFT, "least_answers": 8, "clip": 1e300}
    run = climbing(
        kto={"method": "kto", "settings": {**TINY, "batch_answers": 8, "device_batch_answers": 8}},
        dpo={"method": "dpo", "settings": {**TINY, "pairs": "feedback", "batch_pairs": 8, "device_batch_pairs": 8}},
        logs={"method": "weighted_sft", "settings": logs},
    )
    engine = run.profile.engine.model_copy(update={"max_new_tokens": 4})
    return replace(run, profile=run.profile.model_copy(update={"engine": engine}))


def test_thumbs_make_a_model_that_opens(tiny: Run) -> None:
    thumbs = [Thumb(example_id=f"train-{at:03}", text=text, good=good) for at in range(8) for text, good in WORTH]
    write_jsonl(tiny.data_source / "thumbs.jsonl", thumbs)
    notes = Notes()
    rung(tiny, notes, "kto")
    assert (notes.numbers["train/good"], notes.numbers["train/bad"]) == (8.0, 8.0)
    assert (tiny.rung("kto").makes, tiny.rung("kto").needs) == ("model", ("novelty", "preferences"))
    open_model(tiny.artifact(tiny.rung("kto")).folder)


@pytest.mark.parametrize("name", ["kto", "dpo"])
def test_what_was_said_of_too_long_a_request_or_answer_is_left_out_and_counted(tiny: Run, name: str) -> None:
    near, far = {"text": "short"}, {"text": "a long letter " * 100}
    opinions = [(f"train-{at:03}", {}, text) for at in range(8) for text, _ in WORTH]
    opinions += [("P-1", near, "x"), ("P-2", far, "x"), ("P-3", near, "long " * 200)]
    thumbs = [Thumb(example_id=own, text=text, good=at % 2 == 0, input=asked)
              for at, (own, asked, text) in enumerate(opinions)]  # fmt: skip
    pairs = [Preference(example_id=own, chosen="better", rejected=text, input=asked) for own, asked, text in opinions]
    write_jsonl(tiny.data_source / "thumbs.jsonl", thumbs)
    write_jsonl(tiny.data_source / "preferences.jsonl", pairs)
    audit = Audit(demonstrations=12, suspects=0, expected_wrong=0.0, ceiling=None, fields={}, unseen=())
    write_record(audit_folder(tiny) / "audit.json", audit)
    rung(tiny, notes := Notes(), name)
    known = notes.numbers
    learnt = known["train/good"] + known["train/bad"] if name == "kto" else known["train/pairs"]
    assert (learnt, known["train/too_long"]) == (17.0, 2.0)


def test_better_logged_answers_become_likelier_and_the_logs_say_what_that_is_worth(tiny: Run) -> None:
    job, train = job_of(tiny, tiny.planned("logs")), tiny.examples("train")[:8]
    answers = [(example, text) for example in train for text, _ in WORTH]
    chances = log_likelihoods(job.model, job.prompt, answers)
    logs = [
        Logged(example_id=example.id, text=text, score=float(text == WORTH[0][0]), log_probability=chance)
        for (example, text), chance in zip(answers, chances, strict=True)
    ]
    write_jsonl(tiny.data_source / "logs.jsonl", logs)
    notes = Notes()
    rung(tiny, notes, "logs")
    reported = {name.removeprefix("train/"): value for name, value in notes.numbers.items()}
    assert (reported["logged"], reported["logged_score"]) == (16.0, 0.5)
    assert reported["start_score"] == pytest.approx(0.5, abs=0.01)  # the start is what was logged
    assert reported["off_policy_score"] > 0.7
    # What the weights lean to: exp(0.5 / 0.3) for a right answer, exp(-0.5 / 0.3) for a wrong one.
    assert reported["weighted_score"] == pytest.approx(1 / (1 + math.exp(-1 / 0.3)))


def test_a_logged_answer_that_is_too_long_is_left_out_and_counted(tiny: Run) -> None:
    logs = [
        Logged(example_id=f"train-{at:03}", text=text, score=float(good)) for at in range(8) for text, good in WORTH
    ]
    write_jsonl(tiny.data_source / "logs.jsonl", [*logs, Logged(example_id="train-008", text="long " * 200, score=0.0)])
    rung(tiny, notes := Notes(), "logs")
    assert (notes.numbers["train/logged"], notes.numbers["train/too_long"]) == (16.0, 1.0)
    assert notes.numbers["train/logged_score"] == 0.5


def test_an_answer_that_cannot_have_been_drawn_is_refused_before_anything_is_trained(tiny: Run) -> None:
    drawn = [
        Logged(example_id=f"train-{at:03}", text="a", score=float(at > 2), log_probability=-1.0) for at in range(11)
    ]
    write_jsonl(tiny.data_source / "logs.jsonl", drawn)
    with (tiny.data_source / "logs.jsonl").open("a") as file:
        file.write('{"example_id": "train-011", "text": "b", "score": 1.0, "log_probability": -Infinity}\n')
    with pytest.raises(DataError, match=r"found log_probability: .* finite number \(.*logs.jsonl:12\)"):
        rung(tiny, NullTracker(), "logs")
    assert not (job_of(tiny, tiny.planned("logs")).work).exists()


def test_inconclusive_logs_leave_no_rung(tiny: Run) -> None:
    logs = [Logged(example_id=f"train-{at:03}", text="same", score=1.0) for at in range(12)]
    write_jsonl(tiny.data_source / "logs.jsonl", logs)
    with pytest.raises(TrainingError, match="logs are inconclusive: all 12 answers scored 1, so none is better"):
        rung(tiny, NullTracker(), "logs")
    assert not tiny.is_made("logs")
