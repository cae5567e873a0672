"""Must-pass cases where the answer is a single value: the right value passes, another one is refused by the gate."""

from dataclasses import replace
from typing import Any

import pytest

from components.models import folder_digest
from components.params import SPLITS, Workload
from components.records import Completion, Usage, write_jsonl, write_record
from components.stages.answers import answer, failed_cases
from components.stages.evaluate import Evaluations
from components.stages.gate import decided, gate
from components.stages.run import Run
from components.stages.rungs import rung
from components.stages.standing import stand
from components.tracking import NullTracker
from tests.components.stages.conftest import MakeRun, keep_answered, keep_answers, keep_rung

LABEL = {"enum": ["refund", "delivery"]}
TEXT = {"type": "string"}
LIST = {"type": "array", "items": {"type": "string"}}
# How "refund" is expected in the settings, and how it and "delivery" are written as answers.
FORMS: list[tuple[dict[str, Any], Any, str, str]] = [
    (LABEL, "refund", "refund", "delivery"), (TEXT, "refund", "refund", "delivery"),
    (LIST, ["refund"], '["refund"]', '["delivery"]'),
]  # fmt: skip


def of_values(run: Run, output: dict[str, Any], expected: Any, written: dict[str, str]) -> Run:
    """The run with what an example is about as its answer, and a case about a refund; its data are written anew."""
    settings = run.workload.model_dump(mode="json")
    source = {**settings["source"], "columns": {"input": ["text"], "output": {"answer": "intent"}}}
    case = {"name": "now", "input": {"text": "refund now"}, "expected": {"answer": expected}}
    workload = Workload.model_validate({**settings, "output": output, "source": source, "must_pass": [case]})
    for split in SPLITS:
        rights = {row.id: written[row.input["text"].split()[0]] for row in run.examples(split)}
        rows = [
            row.model_copy(update={"demonstration": rights[row.id], "reference": rights[row.id]})
            for row in run.examples(split)
        ]
        write_jsonl(run.folder / "data" / f"{split}.jsonl", rows)
    return replace(run, workload=workload)


@pytest.mark.parametrize("form", FORMS, ids=["label", "text", "list"])
def test_a_case_with_a_single_value_is_passed_by_the_right_one_and_by_no_other(
    make_run: MakeRun, record: Any, form: tuple[dict[str, Any], Any, str, str]
) -> None:
    output, expected, refund, delivery = form
    made = make_run(f"values_{output.get('type', 'label')}", min_examples=60)
    run = of_values(made, output, expected, {"refund": refund, "delivery": delivery})
    assert [case.reference for case in run.must_pass] == [refund]
    rung(run, NullTracker(), "classical")
    answer(run, NullTracker(), "classical")
    assert failed_cases(run, "classical") == ()
    usage = Usage(input_tokens=1, output_tokens=1)
    for split in ("test", "sealed", "must_pass"):  # right but for the case
        asked = {case.id: delivery for case in run.must_pass} if split == "must_pass" else {
            row.id: row.reference for row in run.examples(split)
        }  # fmt: skip
        keep_answers(run, "sft", split, [
            Completion(example_id=name, text=text, usage=usage, latency_ms=1.0) for name, text in asked.items()
        ])  # fmt: skip
    keep_answered(run, "sft", digest=folder_digest(run.artifact(keep_rung(run, "sft")).folder))
    done = Evaluations(rungs=(), contenders=("classical", "sft"), incumbent=None)
    write_record(run.folder / "evaluation" / "evaluation.json", done)
    stand(run, NullTracker())
    gate(run, NullTracker())
    verdicts = decided(run).verdicts
    assert [verdict.decision for verdict in verdicts] == ["promoted", "kept"]
    assert "sft fails what it must pass: now." in verdicts[1].reasons
