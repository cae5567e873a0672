"""Looks at a sealed split survive in the record, and are counted once for each question."""

from typing import Any

from components.evaluation import sketch
from components.records import Example
from components.registry import MORE_EXAMPLES, count_look, examples_asked_for, open_run


def split(numbers: range) -> tuple[str, ...]:
    return sketch(
        Example(id=f"{n}", input={"text": f"t{n}"}, demonstration="", reference="{}", group="g") for n in numbers
    )


def look(workload: str, numbers: range, question: str, asked: int = 0) -> int:
    with open_run(workload, "ladder", {}) as climb:
        looks = count_look(workload, split(numbers), question, climb.run_id)
        with open_run(workload, "gate", {}, climb.run_id) as stage:
            stage.metrics({MORE_EXAMPLES: float(asked)})
    return looks


def test_each_new_question_to_a_split_is_a_look_and_a_repeated_one_is_not(record: Any) -> None:
    questions = ["a", "b", "a", "c", "b"]
    assert [look("counted", range(200), question) for question in questions] == [1, 2, 1, 3, 2]


def test_a_split_that_grew_is_still_the_same_and_one_that_is_mostly_new_is_not(record: Any) -> None:
    assert look("grown", range(300), "a") == 1
    assert look("grown", range(400), "b") == 2  # three quarters of it were seen
    assert look("grown", range(250, 1250), "c") == 1  # a sixth at most
    assert look("other", range(300), "d") == 1


def test_without_a_run_a_look_is_counted_and_not_written_down(record: Any) -> None:
    assert look("unwritten", range(50), "a") == 1
    assert [count_look("unwritten", split(range(50)), question, None) for question in ("b", "b", "c")] == [2, 2, 2]


def test_what_the_last_gate_asked_for_is_known(record: Any) -> None:
    assert examples_asked_for("asking") == 0
    look("asking", range(50), "a", asked=700)
    assert examples_asked_for("asking") == 700
    look("asking", range(50), "b")
    assert examples_asked_for("asking") == 0
