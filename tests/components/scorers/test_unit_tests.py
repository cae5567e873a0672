"""unit_tests: known-right and known-wrong programs, and whose fault a failure is."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import ScorerError
from components.params.sandbox import SandboxParams, UnitTestsParams
from components.records import Completion, Example, Score, Usage
from components.scorers.sandbox import Answer, Execution
from components.scorers.unit_tests import UnitTest, UnitTestsScorer, read_tests, same, verdict
from tests.components.scorers.sandbox_here import require

TESTS = [
    {"call": "share", "args": [1, 4], "expected": 0.25},
    {"call": "share", "args": [3, 3], "expected": 1},
    {"call": "share", "args": [1, 0], "raises": "ZeroDivisionError"},
    {"call": "names", "args": [{"b": 1, "a": 2}], "expected": ["a", "b"]},
]
RIGHT = "def share(a, b): return a / b\ndef names(d): return sorted(d)\n"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def example(tests: Any = TESTS) -> Example:
    evidence = {"tests": tests if isinstance(tests, str) else json.dumps(tests)}
    return Example(id="e7", input={}, demonstration="", reference="", group="g", evidence=evidence)


def completion(code: Any, error: str | None = None) -> Completion:
    usage = Usage(input_tokens=1, output_tokens=1)
    return Completion(example_id="e7", text=json.dumps({"code": code}), usage=usage, latency_ms=1.0, error=error)


@pytest.fixture(scope="module")
def scorer() -> Iterator[UnitTestsScorer]:
    require()
    yield UnitTestsScorer(UnitTestsParams(sandbox=SandboxParams(cpu_seconds=1)))


@pytest.mark.parametrize(
    ("code", "value"),
    [
        (RIGHT, 1.0),
        (RIGHT.replace("sorted(d)", "tuple(sorted(d))"), 1.0),  # JSON has no tuple
        (RIGHT.replace("a / b", "round(a / b, 12)"), 1.0),
        (RIGHT.replace("sorted(d)", "list(d)"), 0.75),
        (RIGHT.replace("sorted(d)", "set(d)"), 0.75),
        (RIGHT.replace("a / b", "a / b if b else None"), 0.75),
        (RIGHT.replace("a / b", "str(a / b)"), 0.5),
        (RIGHT.replace("a / b", "a == b or a / b"), 0.75),  # True is not 1
        ("def share(a, b): return a / b", 0.75),
        ("def share(a, b) return a / b", 0.0),
        ("", 0.0),
        (RIGHT + "import os; os._exit(0)", 0.0),
        (RIGHT + "while True: pass", 0.0),
    ],
)
def test_the_value_is_the_share_of_tests_passed(scorer: UnitTestsScorer, code: str, value: float) -> None:
    score = scorer.score(example(), completion(code))
    assert score.value == pytest.approx(value)
    assert score.passed == (value == 1.0)
    assert bool(score.reason) == (value < 1.0)


def test_the_reason_names_the_first_test_that_fails(scorer: UnitTestsScorer) -> None:
    score = scorer.score(example(), completion(RIGHT.replace("a / b", "a * b")))
    assert score.reason == "3 of 4 tests fail: share(1, 4): expected 0.25, found 4"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (completion(5), "code: expected a program, found 5"),
        (completion("\ud800"), "code: expected a program, found '\\ud800'"),
        (completion("x", error="timed out"), "no answer: timed out"),
    ],
)
def test_an_answer_without_a_program_is_worth_nothing(scorer: UnitTestsScorer, answer: Completion, reason: str) -> None:
    assert scorer.score(example(), answer) == Score(value=0.0, passed=False, reason=reason)


@pytest.mark.parametrize(
    ("tests", "problem"),
    [
        ("", "Invalid JSON"),
        ("[]", "an empty one"),
        ('[{"call": "f", "args": [1]}]', "either `expected` or `raises`"),
        ('[{"call": "f", "expected": 1, "raises": "KeyError"}]', "either `expected` or `raises`"),
        ('[{"call": "f", "raises": "NoSuchError"}]', "must be a built-in exception"),
        ('[{"call": "f", "raises": "print"}]', "must be a built-in exception"),
    ],
)
def test_an_example_without_tests_is_the_datas_error_and_not_a_zero(tests: str, problem: str) -> None:
    scorer = UnitTestsScorer(UnitTestsParams())
    with pytest.raises(ScorerError, match=f"expected a list of tests, found .*{problem}.*of example e7"):
        scorer.score(example(tests=tests), completion(RIGHT))


def test_an_expected_null_is_an_expectation() -> None:
    assert read_tests('[{"call": "f", "expected": null}]') == (UnitTest(call="f", expected=None),)


def test_a_batch_keeps_its_order_and_runs_equal_pairs_once(scorer: UnitTestsScorer) -> None:
    slow = RIGHT + "import time\ntime.sleep(0.2)\n"
    pairs = [(example(), completion(slow)), (example(), completion("")), (example("no tests"), completion(slow))] * 20
    started = time.perf_counter()
    outcomes = scorer.score_many(pairs)
    assert time.perf_counter() - started < 2.0  # twenty times 0.2 s would take 2 s on two workers
    assert [outcome.value if isinstance(outcome, Score) else None for outcome in outcomes] == [1.0, 0.0, None] * 20


def test_equal_arguments_of_different_types_are_different_tests(scorer: UnitTestsScorer) -> None:
    code = completion("def f(x): return type(x).__name__")
    pairs = [(example([{"call": "f", "args": [x], "expected": type(x).__name__}]), code) for x in (1, True, 1.0)]
    assert [outcome.passed for outcome in scorer.score_many(pairs) if isinstance(outcome, Score)] == [True] * 3


def test_a_subclass_of_the_expected_exception_passes_and_another_does_not() -> None:
    tests = [UnitTest(call="f", raises="LookupError")]

    def passed(raised: str) -> bool:
        return verdict(tests, Execution(answers=(Answer(raised=raised, reason=""),)), 0.0).passed

    assert passed("LookupError") and passed("KeyError")
    assert not any(passed(name) for name in ("Exception", "ValueError", "print", "", "\ud800", "__name__"))


@given(JSON)
def test_a_json_value_is_the_same_as_itself_written_and_read(value: Any) -> None:
    assert same(value, json.loads(json.dumps(value)), 1e-9)


@pytest.mark.parametrize(
    ("expected", "returned", "equal"),
    [
        (1, 1.0, True), (1, True, False), (0, False, False), (None, False, False), (0.1 + 0.2, 0.3, True),
        (1.0, 1.000001, False), (10**30, 10**30 + 1, False), (1.5, "1.5", False), (1.5, 10**400, False),
        ([1, 2], [2, 1], False), ([1], [1, 1], False), ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": [1.0]}, {"a": [1]}, True), ([], {}, False), ("é", "é", True), (float("inf"), float("inf"), True),
        (0.0, 0.1 + 0.2 - 0.3, True), (0.0, 1e-8, False), (10**10 + 1, 10.0**10 + 2, False), (10**10, 10.0**10, True),
        (1, float("nan"), False),
    ],
)  # fmt: skip
def test_values_are_compared_by_type_and_fractions_with_tolerance(expected: Any, returned: Any, equal: bool) -> None:
    assert same(expected, returned, 1e-9) is equal
