"""Whether generated Python does what its tests say; where it runs, the sandbox decides.

A test is a call, its arguments and what it has to return or raise, all of it JSON. The sandbox gets the calls only and
hands back what they returned as JSON: what was expected is compared here, where no program reaches. So there is nothing
to fake: an answer scores by being right, whoever wrote it, and an object whose `==` always agrees is no JSON.
"""

import builtins
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError, model_validator

from components.errors import ScorerError
from components.params.sandbox import UnitTestsParams
from components.records import Completion, Example, Record, Score
from components.scorers.answers import NotAnAnswer, read_answer
from components.scorers.protocol import Outcome, Pair, decided
from components.scorers.sandbox import Answer, Call, Execution, Program, Sandbox


class UnitTest(Record):
    """A call and what it has to come to: the JSON value `expected`, or a built-in exception that it `raises`."""

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
    """A program that somebody wrote, and the tests it has to pass."""

    code: str
    tests: tuple[UnitTest, ...]


class UnitTestsScorer:
    """The share of tests passed in [0, 1], passed when all are; 0 where the program crashes or exceeds a limit."""

    def __init__(self, params: UnitTestsParams, schema: Mapping[str, Any] | None = None) -> None:
        """Workers are started with the first program; without a schema, answers are JSON objects."""
        self._params, self._schema = params, schema
        self._sandbox = Sandbox(params.sandbox)

    def score(self, example: Example, completion: Completion) -> Score:
        return decided(self.score_many([(example, completion)])[0])

    def score_many(self, pairs: Sequence[Pair]) -> list[Outcome]:
        """The score of each pair; the same program with the same tests runs once."""
        read = [self._read(*pair) for pair in pairs]
        # Keyed as text: among values, the arguments 1, 1.0 and True would be one.
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
        """What has to run; or the score of an answer without a program; or the error of an example without tests."""
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


@lru_cache(maxsize=4096)  # each rollout of a group has the tests of the same example
def read_tests(text: str) -> tuple[UnitTest, ...]:
    """The tests that an example's evidence lists, at least one.

    Raises:
        ScorerError: It is no such list.
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
    """How good a program is, by what it answered to the tests' calls; `tolerance` is relative."""
    if execution.failure is not None:
        return Score(value=0.0, passed=False, reason=f"the program {execution.failure}")
    pairs = list(zip(tests, execution.answers, strict=True))
    wrong = [(test, answer) for test, answer in pairs if not _passes(test, answer, tolerance)]
    if not wrong:
        return Score(value=1.0, passed=True)
    share = 1 - len(wrong) / len(pairs)
    return Score(value=share, passed=False, reason=f"{len(wrong)} of {len(pairs)} tests fail: {_difference(*wrong[0])}")


def same(expected: Any, found: Any, tolerance: float) -> bool:
    """Whether two JSON values are one: true is not 1, 1 is 1.0, fractions are compared with a relative tolerance."""
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected is found
    if isinstance(expected, float) or isinstance(found, float):
        return _is_number(expected) and _is_number(found) and _close(expected, found, tolerance)
    if isinstance(expected, list) and isinstance(found, list):
        return len(expected) == len(found) and all(same(*pair, tolerance) for pair in zip(expected, found, strict=True))
    if isinstance(expected, dict) and isinstance(found, dict):
        return expected.keys() == found.keys() and all(same(expected[key], found[key], tolerance) for key in expected)
    return type(expected) is type(found) and expected == found


_TESTS = TypeAdapter(tuple[UnitTest, ...])


def _program(task: Task) -> Program:
    return Program(code=task.code, calls=tuple(Call(call=test.call, args=test.args) for test in task.tests))


def _passes(test: UnitTest, answer: Answer, tolerance: float) -> bool:
    if answer.reason is not None and answer.raised is None:
        return False
    if test.raises is None:
        return answer.raised is None and same(test.expected, answer.value, tolerance)
    # A subclass will do, and which class is whose is Python's to say: the program gives no more than a name.
    found = _exception(answer.raised or "")
    return found is not None and issubclass(found, _exception(test.raises) or ())


def _exception(name: str) -> type[BaseException] | None:
    """The built-in exception of this name."""
    found = getattr(builtins, name, None)
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _close(expected: float, found: float, tolerance: float) -> bool:
    try:
        return math.isclose(expected, found, rel_tol=tolerance)
    except OverflowError:  # a whole number beyond the range of a float
        return False


def _difference(test: UnitTest, answer: Answer) -> str:
    arguments = ", ".join(f"{argument!r:.40}" for argument in test.args)
    expected = f"{test.expected!r:.60}" if test.raises is None else test.raises
    return f"{test.call}({arguments}): expected {expected}, found {answer.reason or repr(answer.value):.100}"
