"""What goes into the sandbox and what comes out: a program and calls of it, then an answer a call.

Whatever a program wrote is read here as data that an enemy wrote: sizes, shapes and nesting are checked, never trusted.
"""

import json
import signal
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationError

from components.params.sandbox import SandboxParams
from components.records import Record

_MOST_LEVELS = 100  # of lists and objects in an answer: comparing and showing it recurses


class Call(Record):
    """A function of the program and its arguments, JSON values all of them."""

    call: str
    args: tuple[Any, ...] = ()


class Program(Record):
    """Python that defines functions, and the calls of them, in order and in one process."""

    code: str
    calls: tuple[Call, ...]


def _printable(text: str) -> str:
    """A program's words about itself, harmless where they are shown or stored."""
    return "".join(character if character.isprintable() else "�" for character in text[:200])


class Answer(Record):
    """What a call came to: a JSON value, or the built-in exception that it `raised`; else `reason` says why neither.

    A tuple that was returned is a list here, and a dictionary's keys are text: JSON has nothing else.
    """

    value: Any = None
    raised: str | None = None
    reason: Annotated[str, AfterValidator(_printable)] | None = None


class End(Record):
    """How a program's process ended, as the process that waited for it tells; `broken` says that it never began."""

    status: int = 0
    signal: int | None = None
    timed_out: bool = False
    cpu_seconds: float = 0.0
    broken: str | None = None


class Execution(Record):
    """An answer to each call in order, or the `failure` of the whole program; a failure is the program's own."""

    answers: tuple[Answer, ...] = ()
    failure: str | None = None
    cpu_seconds: float = 0.0


def read_execution(program: Program, end: End, written: bytes, params: SandboxParams) -> Execution:
    """The execution that a process's end and its written answers come to."""
    failure = _failure(end, written, params)
    if failure is not None:
        return Execution(failure=failure, cpu_seconds=end.cpu_seconds)
    try:
        answers = tuple(Answer.model_validate(json.loads(line)) for line in written.splitlines())
    except (ValidationError, ValueError, RecursionError) as error:
        return Execution(failure=f"wrote what is no answer: {str(error)[:100]}", cpu_seconds=end.cpu_seconds)
    if len(answers) != len(program.calls):
        failure = f"gave {len(answers)} answers to {len(program.calls)} calls"
        return Execution(failure=failure, cpu_seconds=end.cpu_seconds)
    if any(_nested(answer.value) for answer in answers):
        return Execution(failure=f"returned more than {_MOST_LEVELS} levels of nesting", cpu_seconds=end.cpu_seconds)
    return Execution(answers=answers, cpu_seconds=end.cpu_seconds)


def _nested(value: Any) -> bool:
    """Whether a value is nested deeper than it may be, found without recursion."""
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
    """Why the process did not end as an honest one does."""
    if end.timed_out:
        return f"did not end within {params.wall_seconds:g} s"
    # The limit is counted in whole ticks, cpu_seconds exactly: on a busy machine they may be a third apart.
    if end.signal == signal.SIGKILL and end.cpu_seconds > params.cpu_seconds / 2:
        return f"used up {params.cpu_seconds} s of CPU"
    if len(written) > params.answer_kb * 1024:
        return f"returned more than {params.answer_kb} KB"
    if end.signal is not None:
        return f"was ended by {signal.Signals(end.signal).name if end.signal in set(signal.Signals) else end.signal}"
    if end.status != 0:
        return f"left with status {end.status}"
    return None
