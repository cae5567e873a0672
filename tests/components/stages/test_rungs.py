"""The rungs: which prompt is the best, a rung's record, and what RL is rewarded for."""

from typing import Any

import pytest

from components.errors import ConfigError, ScorerError
from components.methods.rewards import reward, without_failures
from components.methods.teachers import Spent
from components.records import Completion, Score, Usage, write_record
from components.stages.publish import publish_prompts
from components.stages.rungs import job_of, rung
from components.stages.scoring import scorer
from components.tracking import NullTracker
from tests.components.stages.conftest import PROMPTS, Api, MakeRun, Notes, example, make_prompts


@pytest.mark.parametrize(
    ("understood", "best"),
    [((), "three"), (("one", "two", "three"), "three"), (("one", "two"), "two"), (("one",), "one")],
)
def test_the_best_prompt_is_the_most_accurate_and_of_equals_the_last(
    make_run: MakeRun, api: Api, understood: tuple[str, ...], best: str
) -> None:
    api.understood = {PROMPTS[name] for name in understood}
    run = make_run(f"best-of-{len(understood)}", api)
    make_prompts(run)
    assert run.resolved("prompts") == best
    assert {name: run.rung(name).dev_score for name in PROMPTS if name != "short"} == {
        name: float(name in understood) for name in ("one", "two", "three")
    }


def test_every_prompt_is_a_rung_compared_with_the_one_before(make_run: MakeRun, api: Api) -> None:
    api.understood = {PROMPTS["two"]}
    run = make_run("compared", api)
    make_prompts(run)
    made = [run.rung(name) for name in ("one", "two", "three")]
    assert [(each.starts_from, each.compared_with, each.dev_score) for each in made] == [
        (None, None, 0.0), (None, "one", 1.0), (None, "two", 0.0),
    ]  # fmt: skip
    for each in made:
        assert PROMPTS[each.name] in (run.artifact(each).folder / "prompt.md").read_text()


def test_prompts_are_registered_the_best_and_the_trained_one_by_alias(make_run: MakeRun, api: Api, record: Any) -> None:
    api.understood = {PROMPTS["two"]}
    run = make_run("registered", api)
    make_prompts(run)
    for _ in range(2):  # again changes nothing
        publish_prompts(run)
    by_alias = {
        alias: record.get_prompt_version_by_alias("registered-prompt", alias).tags["gradus.file"]
        for alias in ("best", "trained")
    }
    assert by_alias == {"best": "two", "trained": "short"}
    assert len(record.search_prompt_versions("registered-prompt")) == 4


def test_a_rungs_record_has_what_it_was_made_from(make_run: MakeRun) -> None:
    run, notes = make_run(), Notes()
    rung(run, notes, "classical")
    made = run.rung("classical")
    assert (made.method, made.makes, made.data_hash, made.seed) == ("classical", "classifier", "d1", 7)
    assert (made.starts_from, made.compared_with, made.needs, made.mlflow_run_id) == (
        None, None, ("demonstrations",), None,
    )  # fmt: skip
    # urgency and intent are words of the text, and dev repeats what train taught
    assert made.dev_score == notes.numbers["dev/score"] == 1.0
    assert made.dev_examples == 60


def test_what_a_teacher_took_is_forgotten_when_its_rung_is_made_and_no_other(make_run: MakeRun) -> None:
    run = make_run()
    accounts = {name: job_of(run, run.planned(name)).account for name in ("classical", "one")}
    for path in accounts.values():
        write_record(path, Spent(usd=1.0))
    rung(run, NullTracker(), "classical")
    assert {name: path.is_file() for name, path in accounts.items()} == {"classical": False, "one": True}


def test_an_unknown_rung_is_refused_with_those_of_the_ladder(make_run: MakeRun) -> None:
    with pytest.raises(ConfigError, match="expected one of the rungs classical, one, two, three, sft, grpo, found dpo"):
        rung(make_run(), NullTracker(), "dpo")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"intent": "refund", "urgent": true}', 1.0),
        ('{"intent": "refund", "urgent": false}', 0.6),  # 0.2 for the schema, 0.8 x 1/2 for the fields
        ('{"intent": "theft", "urgent": true}', 0.4),  # no such label: the fields alone
        ('{"intent": "refund"', 0.0),
        ("", 0.0),
    ],
)
def test_the_reward_is_the_scorers_value(make_run: MakeRun, text: str, value: float) -> None:
    run, asked = make_run(), example(0)  # its right answer: refund, urgent
    completion = Completion(
        example_id=asked.id, text=text, usage=Usage(input_tokens=3, output_tokens=4), latency_ms=5.0
    )
    assert (
        reward(job_of(run, run.planned("classical")), NullTracker())([asked], [text])
        == [scorer(run).score(asked, completion).value]
        == [pytest.approx(value)]
    )


def test_rewards_come_in_the_order_of_the_completions(make_run: MakeRun) -> None:
    asked = [example(number) for number in range(4)]
    texts = [each.reference if number % 2 else "no" for number, each in enumerate(asked)]
    run = make_run()
    assert reward(job_of(run, run.planned("classical")), NullTracker())(asked, texts) == [0.0, 1.0, 0.0, 1.0]


def test_a_failed_reward_is_its_groups_mean_which_is_no_advantage() -> None:
    examples = [example(0)] * 4 + [example(1)] * 2
    values = [Score(value=value, passed=False) for value in (0.2, 0.8, 0.5)]
    failed = ScorerError("away")
    result = without_failures(examples, [values[0], failed, values[1], values[2], failed, failed])
    assert result == [0.2, pytest.approx(0.5), 0.8, 0.5, pytest.approx(0.5), pytest.approx(0.5)]
    with pytest.raises(ScorerError, match="away"):
        without_failures(examples[:2], [failed, failed])


def test_failed_rewards_are_counted_and_too_many_stop_the_training(make_run: MakeRun) -> None:
    notes, run = Notes(), make_run()
    rewards = reward(job_of(run, run.planned("classical")), notes)
    broken = example(0).model_copy(update={"reference": "not JSON"})
    asked = [example(1)] * 3 + [broken]
    assert rewards(asked, [example(1).reference] * 4) == [1.0] * 4
    assert notes.numbers == {"classical/scorer_errors": 1.0}
    with pytest.raises(ScorerError, match=r"at most 2.0% of answers .*found 21 of 24, first: .*as reference"):
        rewards([broken] * 20, ["{}"] * 20)
