"""What is made of a program's output and of its process's end, whatever they say."""

import json
import signal
from typing import Any

import pytest

from components.params.sandbox import SandboxParams
from components.scorers.sandbox.programs import Answer, Call, End, Execution, Program, read_execution

PARAMS = SandboxParams(cpu_seconds=3, wall_seconds=5, answer_kb=2)


def read(*lines: bytes, end: End | None = None, calls: int = 1) -> Execution:
    program = Program(code="", calls=(Call(call="f"),) * calls)
    return read_execution(program, end or End(), b"".join(line + b"\n" for line in lines), PARAMS)


def answer(value: Any) -> bytes:
    return json.dumps({"value": value}).encode()


def nested(levels: int, value: Any = 7) -> Any:
    """A value within lists and dictionaries by turns."""
    for level in range(levels):
        value = [value] if level % 2 else {"k": value}
    return value


def test_a_program_answers_its_calls_in_order() -> None:
    assert read(answer(1), answer([2, {"a": None}]), calls=2) == Execution(
        answers=(Answer(value=1), Answer(value=[2, {"a": None}])), failure=None, cpu_seconds=0.0
    )
    assert read(answer(1), end=End(cpu_seconds=0.25)).cpu_seconds == 0.25
    assert len(read(*[b"{}"] * 300, calls=300).answers) == 300
    assert Execution().cpu_seconds == 0.0


@pytest.mark.parametrize(("lines", "calls"), [(0, 1), (1, 2), (2, 1), (3, 2)])
def test_another_number_of_answers_is_a_failure(lines: int, calls: int) -> None:
    execution = read(*[answer(0)] * lines, calls=calls, end=End(cpu_seconds=0.5))
    assert execution == Execution(failure=f"gave {lines} answers to {calls} calls", cpu_seconds=0.5)


@pytest.mark.parametrize(
    "line", [b"no JSON", b'{"value": 1', b'{"result": 1}', b"[]", b"5", b'{"raised": 5}', b"\xff", b"[" * 2000]
)
def test_other_lines_are_no_answers(line: bytes) -> None:
    execution = read(line, end=End(cpu_seconds=0.5))
    assert execution.failure is not None
    assert execution.failure.startswith("wrote a line that is not an answer: ")
    assert len(execution.failure) <= len("wrote a line that is not an answer: ") + 100
    assert (execution.answers, execution.cpu_seconds) == ((), 0.5)


def test_an_answer_has_up_to_a_hundred_levels() -> None:
    # The innermost value is on the level after those of the containers.
    assert read(answer(nested(99))).answers == (Answer(value=nested(99)),)
    for deep in (nested(100), nested(101), [1, nested(99)]):
        execution = read(answer(1), answer(deep), calls=2, end=End(cpu_seconds=0.5))
        assert execution == Execution(failure="returned more than 100 levels of nesting", cpu_seconds=0.5)


def test_an_answer_has_a_largest_size() -> None:
    most = json.dumps("x" * (2048 - len(answer("")) - 1))
    assert read(b'{"value": ' + most.encode() + b"}").failure is None
    assert read(b'{"value": ' + most.encode() + b" }").failure == "returned more than 2 KB"
    assert read(answer("x" * 9000)).failure == "returned more than 2 KB"


@pytest.mark.parametrize(
    ("end", "failure"),
    [
        (End(timed_out=True), "did not end within 5 s"),
        (End(timed_out=True, signal=signal.SIGKILL, cpu_seconds=3.0), "did not end within 5 s"),
        (End(signal=signal.SIGKILL, cpu_seconds=1.6), "used up 3 s of CPU"),
        (End(signal=signal.SIGKILL, cpu_seconds=3.1), "used up 3 s of CPU"),
        (End(signal=signal.SIGKILL, cpu_seconds=1.5), "was ended by SIGKILL"),
        (End(signal=signal.SIGKILL, cpu_seconds=1.2), "was ended by SIGKILL"),
        (End(signal=signal.SIGABRT, cpu_seconds=3.0), "was ended by SIGABRT"),
        (End(signal=signal.SIGTERM, cpu_seconds=3.0), "was ended by SIGTERM"),
        (End(signal=99), "was ended by 99"),
        (End(signal=0), "was ended by 0"),
        (End(status=1), "left with status 1"),
        (End(status=-1), "left with status -1"),
        (End(status=3), "left with status 3"),
    ],
)
def test_the_end_says_what_failed_whatever_was_written(end: End, failure: str) -> None:
    assert read(answer(1), end=end) == Execution(failure=failure, cpu_seconds=end.cpu_seconds)


def test_a_reason_is_printable_and_short() -> None:
    execution = read(json.dumps({"reason": "\x1b[2Jé\n" + "x" * 500}).encode())
    assert execution.answers == (Answer(reason="�[2Jé�" + "x" * 194),)
