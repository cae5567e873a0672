"""Prompt search by reflection: over a real server, only on dev, within its budget, and resumed."""

from collections.abc import Callable
from typing import Any

import gepa
import pytest

from components.errors import ConfigError, EngineError, ScorerError, TrainingError
from components.methods.gepa import GepaParams, parts_of
from components.opening import prompt_of
from components.records import write_jsonl
from components.stages.run import Run
from components.stages.rungs import job_of, rung
from components.tracking import NullTracker
from tests.components.methods.conftest import Speaker, Turns
from tests.components.stages.conftest import Notes, right

BETTER = "Answer with intent and urgency as JSON."
SMALL: dict[str, Any] = {"minibatch": 2, "max_calls": 60, "dev_examples": 12}
Climbing = Callable[..., Run]


def proposing(turns: Turns) -> str:
    return f"The answers are no JSON, so say so:\n```\n{BETTER}\n```"


@pytest.fixture
def search(climbing: Climbing, speaker: Speaker, reflector: Speaker) -> Callable[..., Run]:
    """A run whose prompt works only as the reflector words it."""
    speaker.says = lambda turns: right(turns[-1]["content"]) if turns[0]["content"] == BETTER else "I see."
    reflector.says = proposing

    def make(**settings: Any) -> Run:
        api = {"reflection": reflector.api.model_dump(), "reflection_model": "big"}
        run = climbing(
            one={"method": "prompt"},
            searched={"method": "gepa", "from": "one", "settings": {**SMALL, **api, **settings}},
        )
        rung(run, NullTracker(), "one")
        speaker.asked.clear()
        return run

    return make


def test_what_the_reflecting_model_proposes_is_kept_where_it_is_better(
    search: Callable[..., Run], speaker: Speaker, reflector: Speaker
) -> None:
    run, notes = search(), Notes()
    rung(run, notes, "searched")
    made = run.rung("searched")
    prompt = prompt_of(run.artifact(made), run.columns)
    assert (prompt.system, prompt.user, made.dev_score) == (BETTER, "{text}", 1.0)
    held_out = len(parts_of(job_of(run, run.planned("searched")), GepaParams(**SMALL)).held_out)
    assert made.dev_examples == held_out
    reported = {name.removeprefix("train/"): value for name, value in notes.numbers.items()}
    assert (reported["fixed"], reported["broken"], reported["found_score"], reported["start_score"]) == (
        held_out,
        0.0,
        1.0,
        0.0,
    )
    assert reported["calls"] == len(speaker.asked) <= 60
    assert reported["reflections"] == len(reflector.asked) >= 1


def test_a_reflection_reads_the_scorers_reasons_and_no_held_out_examples(
    search: Callable[..., Run], reflector: Speaker
) -> None:
    run = search()
    rung(run, NullTracker(), "searched")
    read = reflector.asked[0][-1]["content"]
    parts = parts_of(job_of(run, run.planned("searched")), GepaParams(**SMALL))
    assert "I see." in read
    assert "Wrong:" in read
    assert '{"intent"' in read  # the right answer
    every = " ".join(turns[-1]["content"] for turns in reflector.asked)
    assert any(each.input["text"] in every for each in parts.reflecting)
    assert not any(f"{each.input['text']}\n" in every for each in (*parts.comparing, *parts.held_out))


def test_dev_is_divided_in_three_and_nothing_is_in_two_parts(search: Callable[..., Run]) -> None:
    run = search()
    parts = parts_of(job_of(run, run.planned("searched")), GepaParams(**SMALL))
    names = [each.id for part in (parts.reflecting, parts.comparing, parts.held_out) for each in part]
    assert sorted(names) == sorted(example.id for example in run.examples("dev"))


def test_a_worse_proposal_leaves_the_prompt_that_it_started_from(
    search: Callable[..., Run], speaker: Speaker, reflector: Speaker
) -> None:
    run = search(max_calls=40)
    speaker.says = lambda turns: right(turns[-1]["content"]) if turns[0]["content"] == "Sort." else "I see."
    rung(run, NullTracker(), "searched")
    assert prompt_of(run.artifact(run.rung("searched")), run.columns).system == "Sort."


def test_a_prompt_that_is_better_by_chance_is_not_kept(search: Callable[..., Run], speaker: Speaker) -> None:
    """Better only on what it was chosen on: the held-out examples decide."""
    run = search()
    parts = parts_of(job_of(run, run.planned("searched")), GepaParams(**SMALL))
    chosen = {each.input["text"] for each in (*parts.reflecting, *parts.comparing)}
    speaker.says = lambda turns: (
        right(turns[-1]["content"]) if turns[0]["content"] == BETTER and turns[-1]["content"] in chosen else "I see."
    )
    notes = Notes()
    rung(run, notes, "searched")
    assert prompt_of(run.artifact(run.rung("searched")), run.columns).system != BETTER
    assert (notes.numbers["train/kept_start"], run.rung("searched").dev_score) == (1.0, 0.0)


def test_an_interrupted_search_goes_on_and_pays_nothing_twice(
    search: Callable[..., Run], speaker: Speaker, reflector: Speaker
) -> None:
    run = search()
    reflector.status = 401
    with pytest.raises(EngineError, match="expected an API that serves big"):
        rung(run, NullTracker(), "searched")
    before, reflector.status = len(speaker.asked), 200
    compared = {
        each.input["text"] for each in parts_of(job_of(run, run.planned("searched")), GepaParams(**SMALL)).comparing
    }
    rung(run, notes := Notes(), "searched")
    assert notes.numbers["train/calls"] == len(speaker.asked)  # what was spent before counts
    again = [turns for turns in speaker.asked[before:] if turns[0]["content"] == "Sort."]
    assert not [turns for turns in again if turns[-1]["content"] in compared]
    assert run.rung("searched").dev_score == 1.0


def test_candidates_are_compared_on_answers_to_the_examples_that_no_reflection_read(
    search: Callable[..., Run], speaker: Speaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, compared = search(), list[dict[str, float]]()
    parts = parts_of(job_of(run, run.planned("searched")), GepaParams(**SMALL))
    reflecting, comparing = ({each.input["text"] for each in part} for part in (parts.reflecting, parts.comparing))
    optimize: Any = gepa.optimize

    def noting(**settings: Any) -> Any:
        result = optimize(**settings)
        scores = zip(result.candidates, result.val_aggregate_scores, strict=True)
        compared.append({candidate["system"]: score for candidate, score in scores})
        return result

    monkeypatch.setattr(gepa, "optimize", noting)
    speaker.says = lambda turns: (
        right(turns[-1]["content"])
        if turns[0]["content"] == BETTER and turns[-1]["content"] in reflecting
        else "I see."
    )
    rung(run, NullTracker(), "searched")
    assert compared == [{"Sort.": 0.0, BETTER: 0.0}]
    answered = {turns[-1]["content"] for turns in speaker.asked if turns[0]["content"] == BETTER}
    assert comparing <= answered


def test_a_search_that_is_interrupted_in_its_last_comparison_pays_for_it_once(
    search: Callable[..., Run], speaker: Speaker
) -> None:
    run, away = search(max_calls=36), [True]
    held_out = {
        each.input["text"] for each in parts_of(job_of(run, run.planned("searched")), GepaParams(**SMALL)).held_out
    }
    answered = list[tuple[str, str]]()

    def says(turns: Turns) -> str:
        system, asked = turns[0]["content"], turns[-1]["content"]
        speaker.status = 400 if away and system == BETTER and asked in held_out else 200
        if speaker.status == 200:
            answered.append((system, asked))
        return right(asked) if system == BETTER else "I see."

    speaker.says = says
    for _ in range(3):
        with pytest.raises(EngineError):
            rung(run, NullTracker(), "searched")
    away.clear()
    rung(run, notes := Notes(), "searched")
    assert len(answered) == len({*answered}) == notes.numbers["train/calls"] <= 36
    assert held_out <= {asked for system, asked in answered if system == "Sort."}


def test_a_budget_in_dollars_that_allows_no_proposal_is_refused_after_a_few_answers(
    search: Callable[..., Run], speaker: Speaker, reflector: Speaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.methods.gepa.FIRST", 2)
    run = search(most_usd=0.001)
    for _ in range(2):
        with pytest.raises(TrainingError, match=r"at least \$0.00\d+ \(most_usd\) for one proposal .* found \$0.001"):
            rung(run, NullTracker(), "searched")
    assert (len(speaker.asked), len(reflector.asked)) == (2, 0)


def test_a_budget_in_dollars_ends_the_search(search: Callable[..., Run], speaker: Speaker, reflector: Speaker) -> None:
    # A call has 100 tokens at $2 and 10 at $8 a million: $0.00028; so has a reflection.
    reflector.says = lambda turns: f"```\nTry number {len(reflector.asked)}.\n```"
    run, notes = search(max_calls=2000, most_usd=0.02), Notes()
    rung(run, notes, "searched")
    usd = 0.00028 * (len(speaker.asked) + len(reflector.asked))
    assert 0.01 < usd <= 0.02
    assert notes.numbers["train/usd"] == pytest.approx(usd)
    assert run.rung("searched").paid_usd == pytest.approx(usd)


def test_a_budget_that_allows_no_proposal_is_refused_before_any_call(
    search: Callable[..., Run], speaker: Speaker
) -> None:
    run = search(max_calls=5)
    with pytest.raises(TrainingError, match=r"at least \d+ calls \(max_calls\) for one proposal .* found 5"):
        rung(run, NullTracker(), "searched")
    assert speaker.asked == []


def test_a_budget_in_dollars_needs_a_price(search: Callable[..., Run]) -> None:
    run = search(most_usd=1.0, reflection_model="nobody")
    with pytest.raises(ConfigError, match="expected a model with a price"):
        rung(run, NullTracker(), "searched")


def test_a_text_that_no_file_of_a_prompt_could_hold_is_never_kept(
    search: Callable[..., Run], reflector: Speaker, speaker: Speaker
) -> None:
    reflector.says = lambda turns: f"```\n{BETTER}\n---user---\nMore.\n```"
    speaker.says = lambda turns: right(turns[-1]["content"]) if BETTER in turns[0]["content"] else "I see."
    run = search(max_calls=40)
    rung(run, NullTracker(), "searched")
    assert prompt_of(run.artifact(run.rung("searched")), run.columns).system == "Sort."


def test_a_scorer_that_cannot_decide_ends_the_search_and_is_no_zero(search: Callable[..., Run]) -> None:
    run = search()
    broken = [example.model_copy(update={"reference": "no JSON"}) for example in run.examples("dev")]
    write_jsonl(run.folder / "data" / "dev.jsonl", broken)
    with pytest.raises(ScorerError, match="as reference"):
        rung(run, NullTracker(), "searched")
