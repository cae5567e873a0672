"""The climb on the sealed split: who stands, who stays standing, and what is registered."""

import hashlib
import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from components.errors import DataError, RegistryError
from components.models import folder_digest
from components.params import MustPass, Workload
from components.records import Completion, Usage, read_record, write_jsonl, write_record
from components.registry import Alias, open_run, promote, reference_of, registered, rollback
from components.stages import publish as publication
from components.stages.evaluate import Evaluations
from components.stages.figures import gate_figures
from components.stages.gate import GateRecord, SealedNumbers, decided, gate, gate_file, replayed, sealed_file
from components.stages.publish import is_published, publish
from components.stages.published import Published, published, published_file
from components.stages.run import Run
from components.stages.rungs import rung
from components.stages.standing import question, stand
from components.tracking import NullTracker
from flows.ladder import carry_out
from tests.components.stages.conftest import (
    PROMPTS,
    Api,
    MakeRun,
    example,
    keep_answered,
    keep_answers,
    keep_rung,
)
from tests.flows.conftest import save_tiny_model


def answered(run: Run, name: str, right: int) -> None:
    """A rung's completions on test and sealed: the first are right, the others valid and wrong."""

    def text(number: int) -> str:
        if number < right:
            return example(number).reference
        reference = json.loads(example(number).reference)
        return json.dumps({**reference, "urgent": not reference["urgent"]})

    usage = Usage(input_tokens=1, output_tokens=1)
    for split in ("test", "sealed"):
        keep_answers(run, name, split, [
            Completion(example_id=f"{split}-{number:03}", text=text(number), usage=usage, latency_ms=1.0)
            for number in range(60)
        ])  # fmt: skip


def climbed(run: Run, right: dict[str, int]) -> None:
    """The outputs of the stages before the gate: rungs with the given number of right answers of sixty."""
    if not run.is_made("classical"):  # fitted again, its file would hold another moment
        rung(run, NullTracker(), "classical")
    for name, n in right.items():
        answered(run, name, n)
        made = run.rung(name) if name == "classical" else keep_rung(run, name)
        keep_answered(run, name, digest=folder_digest(run.artifact(made).folder))
    done = Evaluations(rungs=(), contenders=tuple(right), incumbent=None)
    write_record(run.folder / "evaluation" / "evaluation.json", done)


def climb(run: Run, alias: Alias = "champion") -> tuple[GateRecord, Published]:
    """Run standing, gate and publication, as a climb does."""
    with open_run(run.workload.name, "gate", {}) as tracker:
        stand(run, tracker)
        gate(run, tracker)
        return decided(run), publish(run, tracker, alias)


def test_each_rung_has_to_beat_the_one_that_stands(make_run: MakeRun, api: Api, record: Any) -> None:
    api.understood = {PROMPTS["one"]}
    run = make_run("climbs", api, min_examples=60)
    # 24 more are right: p far below 0.05; 2 more: p = 0.5; 14 fewer: worse
    climbed(run, {"classical": 30, "one": 54, "sft": 56, "grpo": 40})
    result, made = climb(run)
    assert [(verdict.champion, verdict.challenger, verdict.decision) for verdict in result.verdicts] == [
        ("none", "classical", "promoted"), ("classical", "one", "promoted"), ("one", "sft", "kept"),
        ("one", "grpo", "kept"),
    ]  # fmt: skip
    assert (result.champion, result.version) == ("one", None)
    assert (made.champion, made.version, made.alias, made.reproduced) == ("one", 1, "champion", 10)
    version = record.get_model_version_by_alias("climbs", "champion")
    assert (version.tags["rung"], version.tags["gradus.verified"]) == ("one", "10 completions reproduced")
    # what is told of it is the last verdict that it won, here as the champion who stayed
    assert (version.tags["gate.decision"], version.tags["gate.challenger"]) == ("kept", "grpo")


@pytest.mark.parametrize("name", ["sft", "grpo"])
def test_a_trained_champion_is_registered_with_its_model_and_prompt(make_run: MakeRun, record: Any, name: str) -> None:
    run = make_run(f"trained_{name}", min_examples=60)
    climbed(run, {"classical": 30, name: 54})
    tiny_model(run, name)
    _, made = climb(run)
    assert (made.champion, made.version, made.reproduced) == (name, 1, 10)
    assert record.get_model_version_by_alias(run.workload.name, "champion").tags["rung"] == name
    assert {"model.safetensors", "prompt.md"} <= {path.name for path in registered(run.workload.name).folder.iterdir()}


def test_a_second_climb_to_the_same_files_registers_nothing_new(make_run: MakeRun, record: Any) -> None:
    run = make_run("again", min_examples=60)
    climbed(run, {"classical": 30, "one": 31})
    first, made = climb(run)
    assert is_published(run)
    second, again = climb(run)
    assert first == second and made == again
    assert (again.champion, again.version) == ("classical", 1)
    assert len(record.search_model_versions("name = 'again'")) == 1


def test_if_no_rung_passes_the_bounds_none_is_registered(make_run: MakeRun, record: Any) -> None:
    run = make_run("nobody", min_examples=61)
    climbed(run, {"classical": 60, "one": 60})
    result, made = climb(run)
    assert [verdict.decision for verdict in result.verdicts] == ["kept", "kept"]
    assert (result.champion, result.version) == (made.champion, made.version) == (None, None)
    assert not record.search_registered_models("name = 'nobody'")


def test_a_champion_is_not_registered_without_a_run_to_register_it_with(make_run: MakeRun, record: Any) -> None:
    run = make_run("unrecorded", min_examples=60)
    climbed(run, {"classical": 60})
    stand(run, NullTracker())
    gate(run, NullTracker())
    with pytest.raises(RegistryError, match="expected a run to register the champion with"):
        publish(run, NullTracker())
    assert not is_published(run)


def test_the_alias_goes_back_with_the_settings(make_run: MakeRun, record: Any) -> None:
    run = make_run("back", min_examples=60)
    climbed(run, {"classical": 30, "sft": 31})  # under settings A the classifier stays
    first, made = climb(run)
    assert (first.champion, made.version) == ("classical", 1)
    climbed(run, {"classical": 30, "sft": 60})  # under settings B the model wins
    tiny_model(run, "sft")
    second, made = climb(run)
    assert (second.champion, made.version) == ("sft", 2)
    assert registered("back").number == 2
    climbed(run, {"classical": 30, "sft": 31})  # settings A again: what was decided then holds
    third, made = climb(run)
    assert third == first and made.version == 1
    assert registered("back").number == 1
    assert len(record.search_model_versions("name = 'back'")) == 2


def test_what_a_person_changed_since_stays_where_only_the_day_of_the_decision_is_another(
    make_run: MakeRun, record: Any
) -> None:
    run = two_versions(make_run("since", min_examples=60))
    climbed(run, {"classical": 60})
    assert climb(run)[1].version == 3
    promote("since", 1)
    record.set_model_version_tag("since", "1", "data_hash", "d0")
    assert stand(run, NullTracker()).version == 2  # not asked again: version 1 is no further look
    gate(run, NullTracker())
    write_record(gate_file(run), decided(run).model_copy(update={"decided_on": date(2020, 1, 1)}))
    assert is_published(run)
    carry_out.fn(run, "none", "champion")
    assert registered("since").number == 1


def test_a_decision_that_an_earlier_version_carried_out_is_not_carried_out_again(
    make_run: MakeRun, record: Any
) -> None:
    run = make_run("upgraded", min_examples=60)
    climbed(run, {"classical": 60})
    _, made = climb(run)
    of_bytes = hashlib.sha256(gate_file(run).read_bytes()).hexdigest()[:16]
    write_record(published_file(run), made.model_copy(update={"decision": of_bytes, "question": ""}))
    assert is_published(run)


def test_a_winner_with_other_files_or_for_other_answers_is_another_decision(make_run: MakeRun, record: Any) -> None:
    run = make_run("renewed", min_examples=60)
    climbed(run, {"classical": 60})
    climb(run)
    keep_answered(run, "classical", digest="other")
    assert not is_published(run)
    keep_answered(run, "classical", digest=folder_digest(run.artifact(run.rung("classical")).folder))
    assert is_published(run)
    climbed(run, {"classical": 59})
    stand(run, NullTracker())
    assert not is_published(run)


def test_prompts_are_registered_where_the_decision_stays_the_same(make_run: MakeRun, record: Any) -> None:
    run = make_run("reworded", min_examples=60)
    climbed(run, {"classical": 60})
    climb(run)
    Path("params/prompts/reworded/short.md").write_text("Sort all.\n---user---\n{text}\n", encoding="utf-8")
    carry_out.fn(run, "none", "champion")
    assert record.get_prompt_version_by_alias("reworded-prompt", "trained").template[0]["content"] == "Sort all."


def test_a_champion_that_the_gate_did_not_meet_keeps_the_alias_until_the_winner_meets_it(
    make_run: MakeRun, record: Any
) -> None:
    run = two_versions(make_run("overtaken", min_examples=60))
    climbed(run, {"classical": 60})
    stand(run, NullTracker())
    gate(run, NullTracker())
    rollback("overtaken")  # after the gate
    found = r"that classical met at the gate, version 2 \(grpo\), found version 1 \(sft\): climb again"
    with open_run("overtaken", "gate", {}) as tracker, pytest.raises(RegistryError, match=found):
        publish(run, tracker)
    assert (registered("overtaken").number, is_published(run)) == (1, False)
    result, made = climb(run)
    assert result.verdicts[-1].champion == "version 1 (sft)"
    assert (result.replaced, made.version, registered("overtaken").number) == (1, 3, 3)


@pytest.mark.parametrize("back_to", [1, 2])
def test_a_question_whose_decision_was_not_carried_out_is_asked_again_where_another_champion_stands(
    make_run: MakeRun, record: Any, back_to: int
) -> None:
    run = two_versions(make_run(f"interrupted_{back_to}", min_examples=60))
    climbed(run, {"classical": 60})
    first = stand(run, NullTracker())
    gate(run, NullTracker())  # the climb is killed here
    if back_to == 1:
        rollback(run.workload.name)
    result, _ = climb(run)
    assert (first.version, result.replaced) == (2, back_to)


@pytest.mark.parametrize(
    "change", ["the scorer's code", "the scorer's settings", "what is right", "what is allowed", "nothing", "prices"]
)
def test_another_scorer_or_reference_asks_another_question_and_another_price_does_not(
    make_run: MakeRun, change: str
) -> None:
    run = make_run("judged")
    climbed(run, {"sft": 30})
    Path("own_sums.py").write_text("class Adds: ...", encoding="utf-8")
    run = scored(run, {"weighted": {"own_sums:Adds": 1.0}})
    before = question(run)
    if change == "the scorer's code":
        Path("own_sums.py").write_text("class Adds: right = True", encoding="utf-8")
    elif change == "the scorer's settings":
        run = scored(run, {"weighted": {"own_sums:Adds": 0.5, "json_schema": 0.5}})
    elif change == "what is right":
        sealed = [example.model_copy(update={"reference": "{}"}) for example in run.examples("sealed")]
        write_jsonl(run.folder / "data" / "sealed.jsonl", sealed)
    elif change == "what is allowed":
        output = {**run.workload.output, "additionalProperties": True}
        run = replace(run, workload=run.workload.model_copy(update={"output": output}))
    elif change == "prices":
        Path("params/prices.yaml").write_text("{}", encoding="utf-8")
    assert (question(run) == before) == (change in ("nothing", "prices"))


def test_settings_that_kept_the_champion_make_no_further_look_of_those_that_come_again(
    make_run: MakeRun, record: Any
) -> None:
    run = make_run("kept", min_examples=60)
    climbed(run, {"classical": 60, "sft": 30})
    first, _ = climb(run)
    climbed(run, {"sft": 31})  # another ladder, which does not beat the champion
    kept, made = climb(run)
    assert (kept.verdicts[-1].look, kept.version, made.champion) == (2, 1, None)
    climbed(run, {"classical": 60, "sft": 30})
    assert climb(run)[0] == first


def test_settings_that_come_again_meet_a_contender_that_did_not_win_under_them(make_run: MakeRun, record: Any) -> None:
    run = make_run("others", min_examples=60)
    climbed(run, {"classical": 30, "sft": 60})
    tiny_model(run, "sft")
    assert climb(run)[1].champion == "sft"
    climbed(run, {"classical": 60})  # another ladder; the model that is registered answers at random
    assert climb(run)[1].version == 2
    climbed(run, {"grpo": 0})
    assert climb(run)[1].champion is None  # version 2 stays
    climbed(run, {"classical": 30, "sft": 60})
    assert climb(run)[0].verdicts[-1].champion == "version 2 (classical)"


def test_settings_that_come_again_meet_what_was_rolled_back_to_since_they_lost(make_run: MakeRun, record: Any) -> None:
    run = make_run("lost", min_examples=60)
    climbed(run, {"sft": 30})
    tiny_model(run, "sft")
    climb(run)
    climbed(run, {"classical": 60})
    climb(run)
    for number in (2, 1):
        climbed(run, {"grpo": 0})  # other settings, which lose
        assert climb(run)[1].version == number
        climbed(run, {"sft": 30})
        assert (climb(run)[1].version, registered("lost").number) == (number, number)
        if number == 2:
            rollback("lost")


def two_versions(run: Run) -> Run:
    """The run after two climbs: version 1 is SFT's, version 2 RL's and champion; both answer at random."""
    climbed(run, {"sft": 30})
    tiny_model(run, "sft")
    climb(run)
    climbed(run, {"grpo": 60})
    prompt = run.artifact(run.rung("grpo")).folder / "prompt.md"
    prompt.write_text(prompt.read_text(encoding="utf-8").replace("Sort.", "Sort it."), encoding="utf-8")
    tiny_model(run, "grpo")
    climb(run)
    last = published(run)
    assert last is not None and (last.champion, last.version, registered(run.workload.name).number) == ("grpo", 2, 2)
    return run


def scored(run: Run, scorer: dict[str, Any]) -> Run:
    """The run with another scorer."""
    settings = {**run.workload.model_dump(mode="json"), "scorer": scorer}
    return replace(run, workload=Workload.model_validate(settings))


def tiny_model(run: Run, name: str) -> None:
    """A model of two layers as a rung's artifact, with its prompt."""
    folder = run.artifact(run.rung(name)).folder
    prompt = (folder / "prompt.md").read_text(encoding="utf-8")
    (folder / "prompt.md").unlink()
    folder.rmdir()
    save_tiny_model(folder)
    (folder / "prompt.md").write_text(prompt, encoding="utf-8")
    keep_answered(run, name, digest=folder_digest(folder))


def test_the_champion_of_an_earlier_climb_has_to_be_beaten_as_well(make_run: MakeRun, api: Api, record: Any) -> None:
    api.understood = {PROMPTS["one"]}
    run = make_run("stays", api, min_examples=60)
    climbed(run, {"classical": 54})
    assert climb(run)[1].version == 1
    # The classifier reads these texts without a mistake, so the prompt's 54 of 60 are worse.
    climbed(run, {"one": 54})
    result, made = climb(run)
    last = result.verdicts[-1]
    assert (last.champion, last.challenger, last.decision) == ("version 1 (classical)", "one", "kept")
    assert (result.champion, result.version, made.version, made.alias, made.reproduced) == (None, 1, 1, None, 0)
    assert len(record.search_model_versions("name = 'stays'")) == 1


def test_a_winner_may_become_candidate_and_the_champion_stays(make_run: MakeRun, record: Any) -> None:
    run = make_run("careful", min_examples=60)
    climbed(run, {"sft": 30})
    tiny_model(run, "sft")  # answers nothing right
    assert climb(run, "candidate")[1].alias == "champion"  # nobody stood before it
    climbed(run, {"classical": 54})
    _, made = climb(run, "candidate")
    assert (made.champion, made.version, made.alias) == ("classical", 2, "candidate")
    aliases = {alias: int(number) for alias, number in record.get_registered_model("careful").aliases.items()}
    assert aliases == {"champion": 1, "candidate": 2}
    assert promote("careful", 2).number == 2
    aliases = {alias: int(number) for alias, number in record.get_registered_model("careful").aliases.items()}
    assert aliases == {"champion": 2, "previous": 1}


def test_what_a_champion_answered_is_kept_as_the_watchs_reference(make_run: MakeRun, record: Any) -> None:
    run = make_run("usual", min_examples=60)
    climbed(run, {"classical": 54})
    climb(run)
    usual = reference_of(registered("usual"))
    assert (len(usual), sum(each.score or 0 for each in usual)) == (120, 108)  # test and sealed, 54 of 60 right in each
    assert usual[0].input == example(0).input


def test_a_publication_that_is_cut_off_leaves_no_champion_without_its_reference(
    make_run: MakeRun, record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends when the alias has moved; the next one registers nothing, and the version keeps the first one's run."""
    run = make_run("cut-off", min_examples=60)
    climbed(run, {"classical": 60})
    real = publication.register_winner

    def die(*arguments: Any) -> None:
        real(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(publication, "register_winner", die)
        climb(run)
    assert (registered("cut-off").number, is_published(run)) == (1, False)
    assert len(reference_of(registered("cut-off"))) == 120
    assert climb(run)[1].version == 1
    assert len(reference_of(registered("cut-off"))) == 120


def test_a_challenge_with_other_answers_is_another_look_at_a_stricter_level(make_run: MakeRun, record: Any) -> None:
    run = make_run("looked_at", min_examples=60)
    climbed(run, {"classical": 30, "one": 31})
    assert {verdict.look for verdict in climb(run)[0].verdicts} == {1}
    climbed(run, {"classical": 30, "one": 32})
    second = climb(run)[0].verdicts
    assert {each.look for each in second} == {2}
    assert second[1].alpha == pytest.approx(0.05 / 9 / 2)  # two contenders: one comparison, and the registry's champion
    assert "look 2 of 10" in second[1].reasons[2]


def test_decisions_are_made_again_from_what_was_kept(make_run: MakeRun, record: Any) -> None:
    run = make_run("replayed", min_examples=60)
    climbed(run, {"classical": 30, "one": 31})
    result, _ = climb(run)
    assert [kept == again for kept, again in replayed(gate_file(run))] == [True, True]
    assert result.params is not None
    stricter = result.model_copy(update={"params": result.params.model_copy(update={"min_examples": 61})})
    write_record(gate_file(run), stricter)
    assert [kept == again for kept, again in replayed(gate_file(run))] == [False, False]
    write_record(gate_file(run), result.model_copy(update={"params": None}))
    with pytest.raises(DataError, match="one of an earlier version"):
        replayed(gate_file(run))


def test_a_record_without_its_sealed_numbers_or_with_those_of_another_is_not_replayed(
    make_run: MakeRun, record: Any
) -> None:
    run = make_run("unsealed", min_examples=60)
    climbed(run, {"classical": 30, "one": 31})
    climb(run)
    beside = sealed_file(gate_file(run))
    whole = read_record(beside, SealedNumbers)
    write_record(beside, SealedNumbers(numbers=whole.numbers[:1]))
    with pytest.raises(DataError, match="expected numbers of 2 verdicts, found 1"):
        replayed(gate_file(run))
    beside.unlink()
    with pytest.raises(DataError, match="expected the sealed numbers of the gate's record beside it, found no"):
        replayed(gate_file(run))


def test_what_the_record_tells_of_a_split_in_use_has_no_levels_and_no_differences(
    make_run: MakeRun, record: Any
) -> None:
    run = make_run("kept_back", min_examples=60)
    climbed(run, {"classical": 30, "one": 54})
    stand(run, NullTracker())
    gate(run, NullTracker())
    result = decided(run)
    text = gate_file(run).read_text(encoding="utf-8")
    assert result.verdicts[1].decision == "promoted"
    assert '"fixed"' not in text and "points" not in text and "right on" not in text
    assert "delta" not in {name.rpartition("/")[2] for verdict in result.verdicts for name in gate_figures(verdict)}
    assert read_record(sealed_file(gate_file(run)), SealedNumbers).numbers[1].versus is not None


def test_a_challenger_that_breaks_a_pinned_case_is_refused_by_name(make_run: MakeRun, record: Any) -> None:
    run = make_run("pinned", min_examples=60)
    cases = (MustPass(name="now", input={"text": "refund now"}, expected={"intent": "refund", "urgent": True}),)
    run = replace(run, workload=run.workload.model_copy(update={"must_pass": cases}))
    climbed(run, {"classical": 30, "sft": 54})
    for name, text in (("classical", '{"urgent": true, "intent": "refund"}'), ("sft", '{"intent": "refund"}')):
        usage = Usage(input_tokens=1, output_tokens=1)
        keep_answers(run, name, "must_pass", [Completion(example_id="now", text=text, usage=usage, latency_ms=1.0)])
    result, _ = climb(run)
    assert [verdict.decision for verdict in result.verdicts] == ["promoted", "kept"]
    assert result.verdicts[1].reasons[-1] == "sft fails what it must pass: now."
    assert result.champion == "classical"
