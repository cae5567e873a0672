"""Which conversations join the data: right ones by the word of who may say so, that something can be learnt from."""

from pathlib import Path
from typing import Any

import pytest

from components.params import LabellingParams
from components.records import Feedback, Message, Record, Scored, Trajectory
from components.tasks import problem_of
from components.workloads.desk import generate
from monitoring.candidates import Terms
from monitoring.labelling import is_drawn
from monitoring.lake import Lake
from monitoring.right_tries import Asked, RightTries, began_with, right_tries
from tests.components.workloads.desk_settings import PROMPT, SHORT
from tests.monitoring.conversed import conversed, praised

TASKS = [task for task in generate(8, 3) if task.slices["demonstration"] == "right"]
TASK = TASKS[0]
TRY = TASK.demonstration
ASKED = Asked([SHORT, PROMPT], ("message",))
TERMS = Terms(min_score=1.0)
SINCE = 1000.0


def taken(folder: Path, *records: Record, terms: Terms = TERMS, since: float = SINCE) -> RightTries:
    lake = Lake(folder)
    lake.store("s", [record.model_dump_json() for record in records])
    return right_tries(lake, "desk", since, terms, ASKED)


def test_a_conversation_that_is_called_right_is_a_try_under_the_workloads_input(tmp_path: Path) -> None:
    turns = conversed(TRY, "a", SINCE, caller="k")
    (candidate,) = taken(tmp_path, *turns, praised(turns)).candidates
    assert (candidate.trace_id, candidate.input, candidate.source, candidate.sender) == (
        "chatcmpl-ax0",
        {"message": TASK.message},
        "scored",
        "k",
    )
    assert problem_of(candidate.answer) is None
    made = Trajectory.model_validate_json(candidate.answer)
    assert [len(message.tool_calls) for message in made.messages] == [
        len(message.tool_calls) for message in TRY.messages
    ]
    assert {tool.name for tool in made.tools} == {tool.name for tool in TRY.tools}
    assert candidate.heard and "@" not in candidate.asked and candidate.asked.startswith(f"{TASK.message}\n")


@pytest.mark.parametrize("system", [SHORT.system, PROMPT.system, "You are Ada's own agent."])
def test_the_input_is_what_the_user_said_whatever_prompt_stands_before_it(tmp_path: Path, system: str) -> None:
    turns = conversed(TRY, "a", SINCE, system=system)
    (candidate,) = taken(tmp_path, *turns, praised(turns)).candidates
    assert candidate.input == {"message": TASK.message}


def test_a_prompts_own_words_around_the_message_are_no_part_of_the_input() -> None:
    from dataclasses import replace

    wordy = replace(SHORT, user="A customer (new) says: {message} What now?")
    opening = [
        Message(role="system", content=wordy.system),
        Message(role="user", content="A customer (new) says: Hi. What now?"),
    ]
    trajectory = TRY.model_copy(update={"messages": (*opening, *TRY.messages[1:])})
    assert Asked([wordy], ("message",)).inputs(trajectory) == {"message": "Hi."}
    assert Asked([replace(wordy, system="Another.")], ("message",)).inputs(trajectory) == {
        "message": opening[1].content
    }


@pytest.mark.parametrize(
    ("score", "sender", "reviewer", "kept"),
    [(1.0, "k", False, 1), (0.99, "k", False, 0), (1.0, "other", False, 0), (1.0, "r", True, 1)],
)  # fmt: skip
def test_feedback_counts_by_the_rules_for_answers(
    tmp_path: Path, score: float, sender: str, reviewer: bool, kept: int
) -> None:
    turns = conversed(TRY, "a", SINCE, caller="k")
    learnt = taken(tmp_path, *turns, praised(turns, score, sender=sender, reviewer=reviewer))
    assert [candidate.reviewed for candidate in learnt.candidates] == [reviewer] * kept and learnt.refused == []


def test_a_scorers_score_counts_where_people_say_nothing(tmp_path: Path) -> None:
    turns = conversed(TRY, "a", SINCE)
    scored = Scored(trace_id=turns[-1].id, at=SINCE + 20, workload="desk", source="scorer", value=1.0, passed=True)
    assert len(taken(tmp_path / "scored", *turns, scored).candidates) == 1
    assert taken(tmp_path / "not", *turns).candidates == []
    assert taken(tmp_path / "people", *turns, scored, praised(turns, 0.0)).candidates == []


def test_a_conversation_whose_end_somebody_corrected_is_not_right_by_an_earlier_or_a_judges_word(
    tmp_path: Path,
) -> None:
    turns = conversed(TRY, "a", SINCE)
    end = turns[-1]
    judged = Scored(trace_id=end.id, at=SINCE + 20, workload="desk", source="judge", value=1.0, passed=True)
    for number, said in enumerate((judged, praised(turns))):
        for corrected, kept in (("It cannot be cancelled.", 0), (end.text, 1)):
            word = Feedback(trace_id=end.id, at=SINCE + 99, workload="desk", corrected=corrected)
            assert len(taken(tmp_path / f"{number}{kept}", *turns, said, word).candidates) == kept


@pytest.mark.parametrize(
    ("turn", "corrected", "score", "kept"),
    [(0, "It cannot be cancelled.", None, 0), (-1, "It cannot be cancelled.", 0.9, 0), (0, None, None, 1)],
)
def test_a_conversation_with_any_turn_corrected_is_not_learnt_from_and_with_a_confirmed_one_is(
    tmp_path: Path, turn: int, corrected: str | None, score: float | None, kept: int
) -> None:
    turns = conversed(TRY, "a", SINCE)
    trace, end = turns[turn], turns[-1].id
    judged = Scored(trace_id=end, at=SINCE + 20, workload="desk", source="judge", value=1.0, passed=True)
    word = Feedback(
        trace_id=trace.id, at=SINCE + 99, workload="desk", sender="r", reviewer=True, score=score,
        corrected=trace.text if corrected is None else corrected,
    )  # fmt: skip
    for number, liked in enumerate((judged, praised(turns))):
        learnt = taken(tmp_path / str(number), *turns, liked, word, terms=Terms(min_score=0.8))
        assert len(learnt.candidates) == kept


def test_corrections_that_contradict_each_other_leave_a_conversation_out(tmp_path: Path) -> None:
    turns = conversed(TRY, "a", SINCE)
    disputed: list[Any] = [
        Feedback(trace_id=turns[1].id, at=SINCE + 9 + at, workload="desk", corrected=text, sender=name, reviewer=True)
        for at, (name, text) in enumerate({"r1": "yes", "r2": "no"}.items())
    ]
    assert taken(tmp_path, *turns, praised(turns), *disputed).candidates == []


def test_nothing_is_learnt_from_what_was_set_aside_by_its_first_request(tmp_path: Path) -> None:
    terms = Terms(min_score=1.0, labelling=LabellingParams(share=0.5))
    every = {
        name: conversed(TASKS[at % len(TASKS)].demonstration, name, SINCE - 3 + at)
        for at, name in enumerate("abcdefgh")
    }
    learnt = taken(tmp_path, *(record for turns in every.values() for record in (*turns, praised(turns))), terms=terms)
    free = {turns[0].id for turns in every.values() if not is_drawn(turns[0].id, 0.5)}
    assert {candidate.trace_id for candidate in learnt.candidates} == free and 0 < len(free) < 8


def test_right_conversations_that_teach_nothing_are_refused_by_name(tmp_path: Path) -> None:
    nameless = conversed(TRY, "nameless", SINCE, customer="a", tools=())
    cut = conversed(TRY, "cut", SINCE, customer="b")
    cut[-1] = cut[-1].model_copy(update={"finish_reason": "length"})
    first = Message(role="user", content="Hello?")
    twice = conversed(TRY.model_copy(update={"messages": (first, *TRY.messages)}), "twice", SINCE)
    learnt = taken(tmp_path, *(record for turns in (nameless, cut, twice) for record in (*turns, praised(turns))))
    assert learnt.candidates == []
    reasons = {name: why for name in ("nameless", "cut", "twice") for why in learnt.refused if name in why}
    assert len(learnt.refused) == 3 and "schema of each tool" in reasons["nameless"]
    assert "ended by itself" in reasons["cut"] and "one message of the user" in reasons["twice"]


def test_tries_of_a_slice_that_moved_are_marked_and_older_ones_left_out(tmp_path: Path) -> None:
    status = next(task for task in TASKS if "delivered" in str(task.demonstration.messages)).demonstration
    turns = conversed(status, "a", SINCE)
    moved = Terms(min_score=1.0, moved=["tools.get_order.gave.status=delivered"])
    assert [candidate.moved for candidate in taken(tmp_path, *turns, praised(turns), terms=moved).candidates] == [True]
    assert taken(tmp_path, since=SINCE + 60).candidates == []


def test_two_tries_at_one_task_have_names_of_their_own(tmp_path: Path) -> None:
    turns = conversed(TRY, "a", SINCE)
    other = [
        turn.model_copy(update={"id": f"chatcmpl-b{at}", "at": turn.at + 60, "text": f"{turn.text} Yes."})
        for at, turn in enumerate(turns)
    ]
    learnt = taken(tmp_path, *turns, *other[-1:], praised(turns), praised(other))
    names = [candidate.trace_id for candidate in learnt.candidates]
    assert names == ["chatcmpl-ax0", "chatcmpl-ax0-101"]
    assert [began_with(name) for name in (*names, "chatcmpl-ax0-1")] == ["chatcmpl-ax0"] * 2 + ["chatcmpl-ax0-1"]
