"""Comparison of two versions: rungs by the evaluation's answers, prompts and registered versions by new ones."""

from dataclasses import replace
from typing import Any

import pytest

from components.errors import RegistryError
from components.params import MustPass
from components.records import Example, read_jsonl, to_json, write_jsonl
from components.stages.answers import answer, answered, answers_folder
from components.stages.run import STATE, Run
from components.stages.rungs import rung
from components.stages.versions import compare_versions
from components.tracking import NullTracker
from tests.components.stages.conftest import PROMPTS, Api, MakeRun, make_prompts
from tests.components.stages.test_gate import climb, climbed


def test_what_a_rung_fixed_and_broke_is_shown_with_the_answers(make_run: MakeRun) -> None:
    run = make_run()
    climbed(run, {"sft": 40, "grpo": 55})
    result = compare_versions(run, ("sft", "grpo"))
    assert (result.n, result.overall.fixed, result.overall.broken) == (60, 15, 0)
    assert result.accuracy == pytest.approx((40 / 60, 55 / 60))
    assert [each.example_id for each in result.fixed] == [f"test-{number:03}" for number in range(40, 55)]
    first = result.fixed[0]
    assert first.after == first.reference != first.before
    back = compare_versions(run, ("grpo", "sft"))
    assert (back.overall.delta, len(back.broken)) == (pytest.approx(-15 / 60), 15)


def test_slices_show_where_the_change_is(make_run: MakeRun) -> None:
    run = make_run()
    climbed(run, {"sft": 40, "grpo": 55})
    path = run.folder / "data" / "test.jsonl"
    half = [each.model_copy(update={"slices": {"half": "late" if at >= 30 else "early"}})
            for at, each in enumerate(read_jsonl(path, Example))]  # fmt: skip
    write_jsonl(path, half)
    run = replace(run, workload=run.workload.model_copy(update={"slices": ("half",)}))
    by_name = {slice.name: slice for slice in compare_versions(run, ("sft", "grpo")).slices}
    assert (by_name["half=early"].delta, by_name["half=late"].delta) == (0.0, 0.5)
    # 2 · 2⁻¹⁵, of two slices
    assert by_name["half=late"].adjusted_p == pytest.approx(2 * 2 * 2**-15)


def test_a_prompt_and_a_registered_version_answer_now_and_once(make_run: MakeRun, api: Api, record: Any) -> None:
    api.understood = {PROMPTS["one"]}
    run = make_run("versions", api, min_examples=60)
    climbed(run, {"classical": 54})
    climb(run)  # the classifier is version 1, and reads these texts without a mistake
    cases = (MustPass(name="now", input={"text": "refund now 1"}, expected={"intent": "refund", "urgent": True}),)
    run = replace(run, workload=run.workload.model_copy(update={"must_pass": cases}))
    result = compare_versions(run, ("champion", "two"))
    assert result.accuracy == (1.0, 0.0)
    assert (len(result.broken), result.failed_cases) == (60, ("now",))
    api.understood = {PROMPTS["two"]}  # what was answered is kept
    assert compare_versions(run, ("1", "two")).accuracy == (1.0, 0.0)
    kept = sorted(path.name for path in (STATE / "compare" / run.name / "test").iterdir())
    assert len(kept) == 2 and kept[1].startswith("version-1-")


def test_an_example_or_a_case_that_came_to_read_otherwise_is_answered_anew(make_run: MakeRun, api: Api) -> None:
    api.understood = {PROMPTS["one"], PROMPTS["two"]}
    run = make_run("reworded", api)
    for text, expected in (
        ("refund now 1", {"intent": "refund", "urgent": True}),
        ("delivery now 1", {"intent": "delivery", "urgent": True}),
    ):
        path = run.folder / "data" / "dev.jsonl"
        changes = {"input": {"text": text}, "reference": to_json(expected)}
        first, *others = read_jsonl(path, Example)
        write_jsonl(path, [first.model_copy(update=changes), *others])  # under the same id
        case = MustPass(name="now", input={"text": text}, expected=expected)
        asking = replace(run, workload=run.workload.model_copy(update={"must_pass": (case,)}))
        result = compare_versions(asking, ("one", "two"), "dev")
        assert (result.accuracy, result.failed_cases) == ((1.0, 1.0), ())


def test_a_comparison_changes_nothing_that_the_evaluation_left(make_run: MakeRun, api: Api) -> None:
    api.understood = {PROMPTS["two"]}
    run = make_run("left", api)
    make_prompts(run)
    cases = tuple(
        MustPass(name=name, input={"text": "refund now 1"}, expected={"intent": "refund", "urgent": True})
        for name in ("old", "new")
    )
    before = replace(run, workload=run.workload.model_copy(update={"must_pass": cases[:1]}))
    api.understood = set()
    for name in ("one", "two"):
        answer(before, NullTracker(), name)
    api.understood = {PROMPTS["two"]}
    left = {path: path.read_bytes() for path in (run.folder / "answers").rglob("*") if path.is_file()}
    after = replace(run, workload=run.workload.model_copy(update={"must_pass": cases}))
    assert compare_versions(before, ("one", "two")).failed_cases == ("old",)  # as the evaluation has it
    assert compare_versions(after, ("one", "two")).failed_cases == ()  # asked now, with the new one
    assert {path: path.read_bytes() for path in (run.folder / "answers").rglob("*") if path.is_file()} == left


def test_an_evaluated_rung_answers_anew_what_came_to_read_otherwise(make_run: MakeRun, api: Api) -> None:
    api.understood = {PROMPTS["two"]}
    run = make_run("evaluated", api)
    make_prompts(run)
    first, later = (
        replace(run, workload=run.workload.model_copy(update={"must_pass": (
            MustPass(name="now", input={"text": f"{intent} now 1"}, expected={"intent": intent, "urgent": True}),
        )}))
        for intent in ("refund", "delivery")
    )  # fmt: skip
    for name in ("one", "two"):
        answer(first, NullTracker(), name)

    def compared(asking: Run, *understood: str) -> tuple[tuple[float, float], tuple[str, ...]]:
        api.understood = {PROMPTS[name] for name in understood}
        result = compare_versions(asking, ("one", "two"))
        return result.accuracy, result.failed_cases

    assert compared(first) == ((0.0, 1.0), ())  # nobody is asked
    assert compared(later, "two") == ((0.0, 1.0), ())  # the evaluation's answer would be "refund"
    path = run.folder / "data" / "test.jsonl"
    kept = read_jsonl(path, Example)
    write_jsonl(path, [kept[0].model_copy(update={"input": {"text": f"{kept[0].input['text']}1"}}), *kept[1:]])
    assert compared(first, "one") == ((1.0, 0.0), ())
    write_jsonl(path, kept)
    record = answers_folder(run, "two") / "answered.json"  # as earlier versions wrote it
    record.write_text(answered(run, "two").model_dump_json(exclude={"asked"}), encoding="utf-8")
    assert compared(first) == ((0.0, 1.0), ("now",))


def test_an_unknown_name_is_an_error(make_run: MakeRun, record: Any) -> None:
    run = make_run("nameless")
    rung(run, NullTracker(), "classical")
    with pytest.raises(RegistryError, match="nobody"):
        compare_versions(run, ("classical", "nobody"))
