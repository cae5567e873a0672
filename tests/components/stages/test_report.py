"""What the report is given of a run: scores with the answers, and whether RL was there to be watched."""

from dataclasses import replace

import pytest

from components.evaluation import scores_in
from components.evaluation.label_audit import Audit
from components.ladder import PlannedRung
from components.records import Completion, Score, Trajectory, Usage, write_jsonl, write_record
from components.stages.answers import judged_of
from components.stages.audit import audit_folder
from components.stages.certified import Permit, certificate_file, permit_file
from components.stages.report import _change, _changes, _trust
from components.stages.run import Run
from tests.components.methods.small import settings
from tests.components.report.test_trust import certificate
from tests.components.stages.conftest import MakeRun, keep_answers, keep_rung

FREE = Usage(input_tokens=0, output_tokens=0)


def test_a_change_has_both_answers_with_their_scores(make_run: MakeRun) -> None:
    run = make_run()
    for name, text in (("sft", '{"intent": "refund", "urgent": false}'), ("grpo", None)):
        answers = [
            Completion(example_id=example.id, text=text or example.reference, usage=FREE, latency_ms=1)
            for example in run.examples("test")
        ]
        keep_answers(run, name, "test", answers)
    scores = {name: scores_in(judged_of(run, "test", name)) for name in ("sft", "grpo")}
    found = _changes(run, scores, "sft", "grpo")
    assert not found.broken
    first = found.fixed[0]  # of the first example, a refund at once
    assert (first.example_id, first.parent_score.passed, first.score.passed) == ("test-000", False, True)
    assert (first.parent_score.parts["intent"], first.parent_score.parts["urgent"]) == (1.0, 0.0)
    assert not first.tried


def test_a_try_is_told_from_an_answer(make_run: MakeRun) -> None:
    example = make_run().examples("test")[0]
    attempt = Trajectory(id="t", example_id=example.id, messages=(), stop_reason="completed", usage=FREE)
    tried = Completion(example_id=example.id, text="Done.", usage=FREE, latency_ms=1, trajectory=attempt)
    solved = Score(value=1.0, passed=True)
    change = _change(
        example, (tried.model_copy(update={"text": "No."}), Score(value=0.0, passed=False)), (tried, solved)
    )
    assert change.tried and (change.parent_answer, change.answer, change.score) == ("No.", "Done.", solved)


@pytest.fixture
def run(make_run: MakeRun) -> Run:
    """The standard ladder, all made and audited."""
    run = make_run()
    for rung in run.rungs:
        keep_rung(run, rung.name)
    audit = Audit(demonstrations=60, suspects=0, expected_wrong=0.0, ceiling=1.0, fields={}, unseen=())
    write_record(audit_folder(run) / "audit.json", audit)
    write_jsonl(audit_folder(run) / "suspects.jsonl", [])
    write_record(certificate_file(run), certificate())
    return run


@pytest.mark.parametrize("sealed", [None, "digest"])
@pytest.mark.parametrize(
    ("last", "rl", "rewarded"), [("grpo", True, True), ("sampled", False, True), ("", False, False)]
)
def test_a_ladder_has_rl_where_its_method_does(
    run: Run, last: str, rl: bool, rewarded: bool, sealed: str | None
) -> None:
    write_record(permit_file(run), Permit(granted=True, reasons=(), override=None, sealed_scorer=sealed))
    sampled = PlannedRung("sampled", "rejection_sampling", settings("rejection_sampling"), "sft", "sft")
    others = tuple(rung for rung in run.rungs if rung.name != "grpo")
    added = {"grpo": (run.planned("grpo"),), "sampled": (sampled,), "": ()}[last]
    trust = _trust(replace(run, rungs=(*others, *added)))
    assert (trust.rl, trust.certificate is not None) == (rl, rewarded)
    assert trust.sealed_scorer == (rewarded and sealed is not None)
