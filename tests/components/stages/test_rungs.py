"""The rungs: which prompt is the best, what a rung says of itself, and what RL is rewarded for."""

from typing import Any

import pytest
from components.stages.rewards import reward, without_failures

from components.errors import ScorerError
from components.records import Completion, Score, Usage, read_record
from components.stages.answers import scorer
from components.stages.rungs import PromptChoice, best_prompt, classical, prompts, rung
from components.tracking import NullTracker
from tests.components.stages.conftest import PROMPTS, Api, MakeRun, example


class Notes(NullTracker):
    """A tracker that remembers."""

    def __init__(self) -> None:
        self.numbers: dict[str, float] = {}

    def metrics(self, values: dict[str, float], step: int | None = None) -> None:
        self.numbers |= values


@pytest.mark.parametrize(
    ("understood", "best"),
    [((), "three"), (("one", "two", "three"), "three"), (("one", "two"), "two"), (("one",), "one")],
)
def test_the_best_prompt_is_the_most_accurate_and_of_equals_the_last(
    make_run: MakeRun, api: Api, record: Any, understood: tuple[str, ...], best: str
) -> None:
    api.understood = {PROMPTS[name] for name in understood}
    run, notes = make_run(f"best-of-{len(understood)}", api), Notes()
    prompts(run, notes)
    assert best_prompt(run) == best
    accuracy = {name: float(name in understood) for name in ("one", "two", "three")}
    assert read_record(run.folder / "prompts" / "choice.json", PromptChoice).dev_accuracy == accuracy
    assert notes.numbers == {f"prompts/dev_accuracy/{name}": value for name, value in accuracy.items()}


def test_every_prompt_is_a_rung_on_the_one_before_and_is_registered(make_run: MakeRun, api: Api, record: Any) -> None:
    api.understood = {PROMPTS["two"]}
    run = make_run("registered", api)
    prompts(run, NullTracker())
    assert [(rung(run, name).parent, rung(run, name).dev_score) for name in ("one", "two", "three")] == [
        (None, 0.0), ("one", 1.0), ("two", 0.0),
    ]  # fmt: skip
    for name in ("one", "two", "three"):
        assert PROMPTS[name] in (run.rung_folder(name) / "prompt.md").read_text()
    by_alias = {
        alias: record.get_prompt_version_by_alias("registered-prompt", alias).tags["gradus.file"]
        for alias in ("best", "trained")
    }
    assert by_alias == {"best": "two", "trained": "short"}
    assert len(record.search_prompt_versions("registered-prompt")) == 4


def test_a_rung_says_what_it_was_made_from(make_run: MakeRun) -> None:
    run, notes = make_run(), Notes()
    classical(run, notes)
    made = rung(run, "classical")
    assert (made.method, made.data_hash, made.seed, made.mlflow_run_id) == ("classical", "d1", 7, None)
    # urgency and intent are words of the text, and dev repeats what train taught
    assert made.dev_score == notes.numbers["classical/dev_accuracy"] == 1.0


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
        reward(run, NullTracker())([asked], [text])
        == [scorer(run).score(asked, completion).value]
        == [pytest.approx(value)]
    )


def test_rewards_come_in_the_order_of_the_completions(make_run: MakeRun) -> None:
    asked = [example(number) for number in range(4)]
    texts = [one.reference if number % 2 else "no" for number, one in enumerate(asked)]
    assert reward(make_run(), NullTracker())(asked, texts) == [0.0, 1.0, 0.0, 1.0]


def test_a_failed_reward_is_its_groups_mean_which_is_no_advantage() -> None:
    examples = [example(0)] * 4 + [example(1)] * 2
    values = [Score(value=value, passed=False) for value in (0.2, 0.8, 0.5)]
    failed = ScorerError("away")
    found = without_failures(examples, [values[0], failed, values[1], values[2], failed, failed])
    assert found == [0.2, pytest.approx(0.5), 0.8, 0.5, pytest.approx(0.5), pytest.approx(0.5)]
    with pytest.raises(ScorerError, match="away"):
        without_failures(examples[:2], [failed, failed])


def test_failed_rewards_are_counted_and_too_many_stop_the_training(make_run: MakeRun) -> None:
    notes = Notes()
    rewards = reward(make_run(), notes)
    broken = example(0).model_copy(update={"reference": "not JSON"})
    asked = [example(1)] * 3 + [broken]
    assert rewards(asked, [example(1).reference] * 4) == [1.0] * 4
    assert notes.numbers == {"rl/scorer_errors": 1.0}
    with pytest.raises(ScorerError, match=r"at most 2.0% of answers .*found 21 of 24, first: .*as reference"):
        rewards([broken] * 20, ["{}"] * 20)
