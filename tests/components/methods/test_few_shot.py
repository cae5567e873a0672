"""Examples in the prompt: which are shown, that they come only from train, and what is kept."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from components.errors import EngineError, TrainingError
from components.methods.contract import prompted
from components.methods.few_shot import FewShotParams, bank_of
from components.methods.searching import split_dev
from components.opening import prompt_of
from components.prompts import Prompt, load_prompt
from components.records import Example, Usage, write_jsonl
from components.shots import Shot, Shots
from components.stages.answers import answer
from components.stages.economics import spent_usd
from components.stages.publish import changed_sides
from components.stages.run import Run
from components.stages.rungs import job_of, rung
from components.tracking import NullTracker
from tests.components.methods.conftest import Speaker, Turns
from tests.components.stages.conftest import Notes, right

Climbing = Callable[..., Run]


def imitating(turns: Turns) -> str:
    """Right where an example of the same intent and urgency was shown; otherwise nonsense."""
    shown = {turn["content"].rpartition(" ")[0] for turn in turns[:-1] if turn["role"] == "user"}
    asked = turns[-1]["content"]
    return right(asked) if asked.rpartition(" ")[0] in shown else "I see."


def ready(climbing: Climbing, speaker: Speaker, **settings: Any) -> Run:
    speaker.says = imitating
    settings = {"distinct": 1.0, **settings}
    run = climbing(one={"method": "prompt"}, shown={"method": "few_shot", "from": "one", "settings": settings})
    rung(run, NullTracker(), "one")
    return run


def shots(*texts: str, chosen: Any = "similar", shown: int = 2, most: int = 1000) -> Shots:
    bank = tuple(Shot(id=f"S{at}", input={"text": text}, answer="a") for at, text in enumerate(texts))
    return Shots(chosen=chosen, shown=shown, most_characters=most, bank=bank)


def asked(text: str, name: str = "x") -> Example:
    return Example(id=name, input={"text": text}, demonstration="", reference="", group="g")


def test_the_most_similar_examples_are_shown_the_most_similar_last() -> None:
    made = shots("parcel of mine", "pay me back", "my parcel is late today", "hello")
    assert [each.id for each in made.of(asked("my parcel is late"))] == ["S0", "S2"]


def test_an_example_is_never_shown_to_itself() -> None:
    made = shots("the parcel is late", "pay me back", "hello there", shown=1)
    assert [each.id for each in made.of(asked("the parcel is late", "S0"))] != ["S0"]
    assert len(made.of(asked("the parcel is late", "S0"))) == 1


def test_a_request_is_shown_what_people_answered_to_the_same_one() -> None:
    assert [each.id for each in shots("the parcel is late", "pay me back", shown=1).of(asked("pay me back"))] == ["S1"]


def test_of_texts_of_one_character_the_first_are_shown() -> None:
    assert [each.id for each in shots("5", "1", "3").of(asked("1"))] == ["S1", "S0"]


def test_shots_that_would_be_too_long_are_left_out_whole() -> None:
    made = shots("a" * 50, "b" * 10, "c" * 10, chosen="first", shown=3, most=30)
    assert [each.id for each in made.of(asked("d"))] == ["S1", "S2"]  # 11 characters each, with the answer


def test_the_first_shots_are_the_same_for_all_inputs() -> None:
    made = shots("one", "two", "three", chosen="first")
    assert [each.id for each in made.of(asked("three"))] == ["S0", "S1"]


def test_shots_stand_as_turns_between_the_system_prompt_and_the_question() -> None:
    prompt = Prompt("p", "Sort.", "Text: {text}", shots("one", "two", chosen="first", shown=1))
    assert [(turn.role, turn.content) for turn in prompt.messages(asked("three"))] == [
        ("system", "Sort."), ("user", "Text: one"), ("assistant", "a"), ("user", "Text: three"),
    ]  # fmt: skip


def test_prompts_with_other_shots_are_other_versions() -> None:
    plain = Prompt("p", "Sort.", "{text}")
    made = [Prompt("p", "Sort.", "{text}", shots(text)) for text in ("one", "two")]
    assert len({plain.version, *(each.version for each in made)}) == 3


@pytest.mark.parametrize("system", ["Sort.", "", "Two\nlines, and {text} too."])
def test_a_written_prompt_reads_back(tmp_path: Any, system: str) -> None:
    prompt = Prompt("p", system, "Text: {text}")
    prompt.write(tmp_path / "p.md")
    assert load_prompt(tmp_path, "p", ("text",)) == prompt


def test_similar_examples_of_train_make_a_weak_prompt_right(climbing: Climbing, speaker: Speaker) -> None:
    run = ready(climbing, speaker, shown=2)
    assert run.rung("one").dev_score == 0.0
    rung(run, NullTracker(), "shown")
    made = run.rung("shown")
    assert (made.makes, made.prompt, made.starts_from, made.dev_score) == ("prompt", "short", "one", 1.0)
    kept = prompt_of(run.artifact(made), run.columns).shots
    assert isinstance(kept, Shots)
    train = {example.id: example.demonstration for example in run.examples("train")}
    assert all(train[shot.id] == shot.answer for shot in kept.bank)


@pytest.mark.parametrize("chosen", ["similar", "greedy"])
def test_what_an_api_is_paid_for_answers_is_in_the_account(climbing: Climbing, speaker: Speaker, chosen: str) -> None:
    run = ready(climbing, speaker, chosen=chosen)
    # An answer has 100 tokens at $2 and 10 at $8 a million.
    assert spent_usd(run, "one") == {"answers": pytest.approx(0.00028 * 12)}
    rung(run, NullTracker(), "shown")
    assert len(speaker.asked) >= 24
    assert spent_usd(run, "shown") == {"answers": pytest.approx(0.00028 * len(speaker.asked))}


def test_answers_of_a_model_of_ones_own_are_paid_to_nobody(climbing: Climbing, speaker: Speaker) -> None:
    run = ready(climbing, speaker)
    job = job_of(run, run.planned("one"))
    answers = job.open_prompt(job.prompt).answer(job.dev, 7).completions
    assert prompted(job, answers) == Usage(input_tokens=1200, output_tokens=120)
    own = replace(job, profile=job.profile.model_copy(update={"prompting": None}))
    assert prompted(own, answers) == Usage(input_tokens=0, output_tokens=0)


def test_examples_that_say_the_same_are_shown_once_and_those_of_dev_never(climbing: Climbing, speaker: Speaker) -> None:
    run = ready(climbing, speaker)
    job = job_of(run, run.planned("shown"))
    twins = [
        example.model_copy(update={"id": f"T-{example.id}", "input": {"text": f"{example.input['text'].upper()} "}})
        for example in job.train
    ]
    write_jsonl(run.folder / "data" / "train.jsonl", [*job.train, *twins])
    job = job_of(run, run.planned("shown"))
    bank = bank_of(job, FewShotParams(distinct=1.0), job.prompt)
    assert len(job.train) == 24
    assert sorted(shot.id for shot in bank) == [f"train-{number:03}" for number in range(12)]


def test_no_example_that_fits_is_refused(climbing: Climbing, speaker: Speaker) -> None:
    run = ready(climbing, speaker, most_characters=5)
    with pytest.raises(TrainingError, match=r"at most 5 characters to show \(most_characters\), found none among 12"):
        rung(run, NullTracker(), "shown")
    assert not (run.rung_folder("shown") / "artifact").exists()


def test_greedy_takes_examples_while_each_raises_the_score(climbing: Climbing, speaker: Speaker) -> None:
    run = ready(climbing, speaker, chosen="greedy", shown=6, tried=12)
    rung(run, NullTracker(), "shown")
    kept = prompt_of(run.artifact(run.rung("shown")), run.columns).shots
    assert isinstance(kept, Shots)
    kinds = [shot.text.rpartition(" ")[0] for shot in kept.bank]
    # Refund or delivery, now or whenever: each kind that it was chosen on once, and no more than helps.
    choosing, held_out = split_dev(run.examples("dev"), 0.5, run.seed)
    assert sorted(kinds) == sorted({each.input["text"].rpartition(" ")[0] for each in choosing})
    made, known = run.rung("shown"), [each.input["text"].rpartition(" ")[0] in kinds for each in held_out]
    assert (made.dev_score, made.dev_examples) == (pytest.approx(sum(known) / 6), 6)


def test_an_interrupted_search_pays_for_no_answer_twice(climbing: Climbing, speaker: Speaker) -> None:
    run, answered, away = ready(climbing, speaker, chosen="greedy", shown=6), list[str](), [6]

    def says(turns: Turns) -> str:
        speaker.status = 400 if len(turns) in away else 200  # with the second example that is shown
        if speaker.status == 200:
            answered.append(str(turns))
        return imitating(turns)

    speaker.says = says
    with pytest.raises(EngineError):
        rung(run, NullTracker(), "shown")
    before = len(answered)
    away.clear()
    rung(run, notes := Notes(), "shown")
    assert len(answered) == len({*answered}) > before > 12
    assert notes.numbers["train/calls"] == len(answered)
    assert spent_usd(run, "shown") == {"answers": pytest.approx(0.00028 * (12 + len(answered)))}


def test_greedy_keeps_the_prompt_as_it_is_where_examples_do_not_help(climbing: Climbing, speaker: Speaker) -> None:
    run = ready(climbing, speaker, chosen="greedy", tried=2)
    speaker.says = lambda turns: right(turns[-1]["content"]) if len(turns) == 2 else "I see."
    rung(run, NullTracker(), "shown")
    assert prompt_of(run.artifact(run.rung("shown")), run.columns).shots is None
    assert run.rung("shown").dev_score == 1.0


def test_dev_is_divided_by_groups_and_nothing_is_in_both_parts() -> None:
    dev = [asked("t", f"E{at}").model_copy(update={"group": f"G{at // 3}"}) for at in range(30)]
    choosing, held_out = split_dev(dev, 0.5, 1)
    assert len(choosing) + len(held_out) == 30
    assert not {each.group for each in choosing} & {each.group for each in held_out}
    assert len(choosing) == 15
    with pytest.raises(TrainingError, match="several groups to divide, found 3 of 1"):
        split_dev(dev[:3], 0.5, 1)


def test_a_registered_prompt_has_what_it_fixed_and_broke_on_test(climbing: Climbing, speaker: Speaker) -> None:
    run = ready(climbing, speaker, shown=2)
    assert changed_sides(run, run.rung("one")) == {}
    answer(run, NullTracker(), "one")
    rung(run, NullTracker(), "shown")
    assert changed_sides(run, run.rung("shown")) == {}  # it has not answered yet
    answer(run, NullTracker(), "shown")
    reported = changed_sides(run, run.rung("shown"))
    assert reported["gradus.compared_with"] == "one"
    assert reported["gradus.fixed"].startswith("12: test-000, test-001")
    assert reported["gradus.broken"] == "0"
    kept = run.prompt_of(run.rung("shown")).shots
    assert str(kept) == "2 of 12, the most similar"
