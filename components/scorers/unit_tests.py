"""Whether generated Python passes its tests, run in the sandbox.

A test is a call, its arguments and the value or exception that it must return or raise, all in JSON. The sandbox gets
only the calls and returns their results as JSON; they are compared with the expectations here, out of reach of the
program. So a program cannot cheat: an object whose `==` is always true, for example, is not JSON.
"""

import builtins
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError, model_validator

from components.errors import ScorerError
from components.params.sandbox import UnitTestsParams
from components.records import Completion, Example, Record, Score
from components.scorers.answers import NotAnAnswer, read_answer
from components.scorers.matching import close
from components.scorers.protocol import Outcome, Pair, decided
from components.scorers.sandbox import Answer, Call, Execution, Program, Sandbox


class UnitTest(Record):
    """A call, and its required result: the JSON value `expected`, or a built-in exception that it `raises`."""

    call: str
    args: tuple[Any, ...] = ()
    expected: Any = None
    raises: str | None = None

    @model_validator(mode="after")
    def _expects_one_thing(self) -> "UnitTest":
        if ("expected" in self.model_fields_set) == (self.raises is not None):
            raise ValueError("a test has either `expected` or `raises`")
        if self.raises is not None and _exception(self.raises) is None:
            raise ValueError(f"`raises` must be a built-in exception, found {self.raises}")
        return self


class Task(Record):
    """A program, and the tests that it must pass."""

    code: str
    tests: tuple[UnitTest, ...]


class UnitTestsScorer:
    """The share of passed tests in [0, 1]; passed if all are; 0 if the program crashes or exceeds a limit."""

    def __init__(self, params: UnitTestsParams, schema: Mapping[str, Any] | None = None) -> None:
        """Prepare the sandbox, which starts with the first program; without a schema, answers are JSON objects."""
        self._params, self._schema = params, schema
        self._sandbox = Sandbox(params.sandbox)

    def score(self, example: Example, completion: Completion) -> Score:
        return decided(self.score_many([(example, completion)])[0])

    def score_many(self, pairs: Sequence[Pair]) -> list[Outcome]:
        """The score of each pair; identical programs with identical tests run once."""
        read = [self._read(*pair) for pair in pairs]
        # Keyed by text: as values, the arguments 1, 1.0 and True would be equal.
        tasks = {task.model_dump_json(): task for task in read if isinstance(task, Task)}
        executions = self._sandbox.run_many([_program(task) for task in tasks.values()])
        judged = {
            key: self._judge(task, execution) for (key, task), execution in zip(tasks.items(), executions, strict=True)
        }
        return [judged[item.model_dump_json()] if isinstance(item, Task) else item for item in read]

    def _judge(self, task: Task, execution: Execution | ScorerError) -> Outcome:
        if isinstance(execution, ScorerError):
            return execution
        return verdict(task.tests, execution, self._params.tolerance)

    def _read(self, example: Example, completion: Completion) -> Task | Outcome:
        """The task; or the score of an answer without a program; or the error of an example without tests."""
        name = self._params.evidence
        try:
            tests = read_tests(example.evidence.get(name, ""))
        except ScorerError as error:
            return ScorerError(f"{error} (evidence `{name}` of example {example.id})")
        field = self._params.field
        try:
            code = read_answer(completion, self._schema).get(field)
        except NotAnAnswer as error:
            return Score(value=0.0, passed=False, reason=str(error))
        if not isinstance(code, str) or any("\ud800" <= character <= "\udfff" for character in code):
            return Score(value=0.0, passed=False, reason=f"{field}: expected a program, found {code!a:.60}")
        return Task(code=code, tests=tests)


@lru_cache(maxsize=4096)  # the rollouts of a group share an example's tests
def read_tests(text: str) -> tuple[UnitTest, ...]:
    """The tests (at least one) in an example's evidence.

    Raises:
        ScorerError: It is not a list of tests.
    """
    try:
        tests = _TESTS.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ScorerError(f"expected a list of tests, found {first['msg']} {place}".rstrip()) from error
    if not tests:
        raise ScorerError("expected a list of tests, found an empty one")
    return tests


def verdict(tests: Sequence[UnitTest], execution: Execution, tolerance: float) -> Score:
    """The score of a program, from its answers to the tests' calls; `tolerance` is of fractions."""
    if execution.failure is not None:
        return Score(value=0.0, passed=False, reason=f"the program {execution.failure}")
    pairs = list(zip(tests, execution.answers, strict=True))
    wrong = [(test, answer) for test, answer in pairs if not _passes(test, answer, tolerance)]
    if not wrong:
        return Score(value=1.0, passed=True)
    share = 1 - len(wrong) / len(pairs)
    return Score(value=share, passed=False, reason=f"{len(wrong)} of {len(pairs)} tests fail: {_difference(*wrong[0])}")


def same(expected: Any, value: Any, tolerance: float) -> bool:
    """Whether two JSON values are equal: true is not 1, 1 is 1.0; fractions are compared with a tolerance."""
    if isinstance(expected, bool) or isinstance(value, bool):
        return expected is value
    if isinstance(expected, float) or isinstance(value, float):
        return _is_number(expected) and _is_number(value) and close(expected, value, tolerance)
    if isinstance(expected, list) and isinstance(value, list):
        return len(expected) == len(value) and all(same(*pair, tolerance) for pair in zip(expected, value, strict=True))
    if isinstance(expected, dict) and isinstance(value, dict):
        return expected.keys() == value.keys() and all(same(expected[key], value[key], tolerance) for key in expected)
    return type(expected) is type(value) and expected == value


_TESTS = TypeAdapter(tuple[UnitTest, ...])


def _program(task: Task) -> Program:
    return Program(code=task.code, calls=tuple(Call(call=test.call, args=test.args) for test in task.tests))


def _passes(test: UnitTest, answer: Answer, tolerance: float) -> bool:
    if answer.reason is not None and answer.raised is None:
        return False
    if test.raises is None:
        return answer.raised is None and same(test.expected, answer.value, tolerance)
    # A subclass is accepted; the program only gives a name, and Python decides what is a subclass.
    raised = _exception(answer.raised or "")
    return raised is not None and issubclass(raised, _exception(test.raises) or ())


def _exception(name: str) -> type[BaseException] | None:
    """The built-in exception with this name, or None."""
    attribute = getattr(builtins, name, None)
    return attribute if isinstance(attribute, type) and issubclass(attribute, BaseException) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _difference(test: UnitTest, answer: Answer) -> str:
    arguments = ", ".join(f"{argument!r:.40}" for argument in test.args)
    expected = f"{test.expected!r:.60}" if test.raises is None else test.raises
    return f"{test.call}({arguments}): expected {expected}, found {answer.reason or repr(answer.value):.100}"
