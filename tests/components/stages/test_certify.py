"""What a scorer is tested on, and that RL starts only with a permit."""

from typing import Any

import pytest

from components.errors import TrainingError
from components.evaluation.certificate import Certificate
from components.evaluation.labelled import Label
from components.params import CertificateParams, ScorerParams
from components.records import read_record, to_json, write_jsonl
from components.stages.certified import Permit, certificate_file, permit_file, require_permit
from components.stages.certify import certify
from components.stages.run import Run
from components.stages.rungs import rung
from components.tracking import NullTracker
from tests.components.stages.conftest import MakeRun, example


def with_scorer(run: Run, **changes: Any) -> Run:
    from dataclasses import replace

    return replace(run, workload=run.workload.model_copy(update=changes))


def certified(run: Run) -> Certificate:
    certify(run, NullTracker())
    return read_record(certificate_file(run), Certificate)


def test_without_labels_of_people_answers_are_made_from_dev_and_train(make_run: MakeRun) -> None:
    run = make_run()
    result = certified(run)
    assert result.source == "built"
    assert result.false_positive is not None
    assert result.false_positive.n == 120  # 60 of dev and 60 of train, where 300 are wanted
    assert set(result.sensitive) == {"intent", "urgent"}
    assert result.passed
    require_permit(run)


def test_the_answers_of_finished_rungs_are_tried(make_run: MakeRun) -> None:
    run = make_run()
    # A classifier that learnt from demonstrations which say the opposite is wrong on purpose.
    turned = [
        example(number, "train").model_copy(update={"demonstration": example(number + 1).reference})
        for number in range(60)
    ]
    write_jsonl(run.folder / "data" / "train.jsonl", turned)
    rung(run, NullTracker(), "classical")
    assert certified(run).origins["wrong: answer of classical"] > 10


def test_peoples_labels_come_first(make_run: MakeRun) -> None:
    run = make_run()
    labels = [
        Label(example_id=f"dev-{number:03}", answer=text, right=right, annotator=who)
        for number in range(60)
        for right, text in ((True, example(number).reference), (False, example(number + 1).reference))
        for who in ("ann", "bob")
    ]
    write_jsonl(run.data_source / "labels.jsonl", labels)
    result = certified(run)
    assert (result.source, result.origins) == ("people", {"right: people": 60, "wrong: people": 60})
    assert result.people_alpha == result.alpha == 1.0


def test_a_scorer_below_the_floor_stops_rl_with_the_reasons(make_run: MakeRun) -> None:
    lenient = ScorerParams(weighted={"json_schema": 1.0})
    run = with_scorer(make_run(), scorer=lenient)
    assert not certified(run).passed
    assert not read_record(permit_file(run), Permit).granted
    with pytest.raises(TrainingError, match=r"wrong answers that pass.*certificate\.override\.shop in params"):
        rung(run, NullTracker(), "grpo")
    assert not run.rung_folder("grpo").exists()


def test_a_reason_in_writing_lets_rl_go_on_and_is_kept(make_run: MakeRun) -> None:
    from dataclasses import replace

    said = "Only the shape of answers is trained here, on purpose."
    run = with_scorer(make_run(), scorer=ScorerParams(weighted={"json_schema": 1.0}))
    run = replace(run, certificate=CertificateParams(override={"shop": said}))
    result = certified(run)
    assert result.reasons
    assert result.passed
    assert read_record(permit_file(run), Permit).override == said
    require_permit(run)


def test_the_permit_changes_with_the_sealed_scorer_and_not_with_other_figures(make_run: MakeRun) -> None:
    run = make_run()
    certified(run)
    before = permit_file(run).read_bytes()
    first = certificate_file(run).read_bytes()
    from dataclasses import replace

    certified(replace(run, certificate=CertificateParams(probes=40)))
    assert permit_file(run).read_bytes() == before
    assert certificate_file(run).read_bytes() != first
    certified(with_scorer(run, sealed_scorer=ScorerParams(weighted={"exact": 1.0})))
    assert permit_file(run).read_bytes() != before


def test_a_label_of_an_unknown_example_is_an_error(make_run: MakeRun) -> None:
    run = make_run()
    write_jsonl(run.data_source / "labels.jsonl", [Label(example_id="X", answer=to_json({}), right=True)])
    with pytest.raises(ValueError, match="train or dev, found X"):
        certify(run, NullTracker())
