"""The sandbox's input and output: a program with calls, and an answer per call.

A program's output is hostile data: sizes, shapes and nesting are checked.
"""

import json
import signal
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationError

from components.params.sandbox import SandboxParams
from components.records import Record

_MOST_LEVELS = 100  # of nesting in an answer: comparing and showing it is recursive


class Call(Record):
    """A function of the program, and its arguments as JSON values."""

    call: str
    args: tuple[Any, ...] = ()


class Program(Record):
    """Python code that defines functions, and calls to them, made in order in one process."""

    code: str
    calls: tuple[Call, ...]


def _printable(text: str) -> str:
    """A program's own text, made safe to show and to store."""
    return "".join(character if character.isprintable() else "�" for character in text[:200])


class Answer(Record):
    """The result of a call: a JSON value, or the built-in exception that it `raised`; else `reason` says why neither.

    As in JSON, tuples are lists, and the keys of dictionaries are strings.
    """

    value: Any = None
    raised: str | None = None
    reason: Annotated[str, AfterValidator(_printable)] | None = None


class End(Record):
    """How a program's process ended, according to its warden; `broken` says that it did not start."""

    status: int = 0
    signal: int | None = None
    timed_out: bool = False
    cpu_seconds: float = 0.0
    broken: str | None = None


class Execution(Record):
    """An answer to each call, in order, or the `failure` of the whole program, which is the program's own fault."""

    answers: tuple[Answer, ...] = ()
    failure: str | None = None
    cpu_seconds: float = 0.0


def read_execution(program: Program, end: End, written: bytes, params: SandboxParams) -> Execution:
    """The execution, from the process's end and its output."""
    failure = _failure(end, written, params)
    if failure is not None:
        return Execution(failure=failure, cpu_seconds=end.cpu_seconds)
    try:
        answers = tuple(Answer.model_validate(json.loads(line)) for line in written.splitlines())
    except (ValidationError, ValueError, RecursionError) as error:
        return Execution(failure=f"wrote a line that is not an answer: {str(error)[:100]}", cpu_seconds=end.cpu_seconds)
    if len(answers) != len(program.calls):
        failure = f"gave {len(answers)} answers to {len(program.calls)} calls"
        return Execution(failure=failure, cpu_seconds=end.cpu_seconds)
    if any(_nested(answer.value) for answer in answers):
        return Execution(failure=f"returned more than {_MOST_LEVELS} levels of nesting", cpu_seconds=end.cpu_seconds)
    return Execution(answers=answers, cpu_seconds=end.cpu_seconds)


def _nested(value: Any) -> bool:
    """Whether a value is nested too deeply, checked without recursion."""
    level: list[Any] = [value]
    for _ in range(_MOST_LEVELS):
        level = [
            child
            for node in level
            if isinstance(node, list | dict)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
    return bool(level)


def _failure(end: End, written: bytes, params: SandboxParams) -> str | None:
    """Why the process did not end normally, or None."""
    if end.timed_out:
        return f"did not end within {params.wall_seconds:g} s"
    # The kernel counts the limit in ticks, cpu_seconds is exact: on a busy machine they can differ by a third.
    if end.signal == signal.SIGKILL and end.cpu_seconds > params.cpu_seconds / 2:
        return f"used up {params.cpu_seconds} s of CPU"
    if len(written) > params.answer_kb * 1024:
        return f"returned more than {params.answer_kb} KB"
    if end.signal is not None:
        return f"was ended by {signal.Signals(end.signal).name if end.signal in set(signal.Signals) else end.signal}"
    if end.status != 0:
        return f"left with status {end.status}"
    return None
