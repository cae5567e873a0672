"""The simulated requests for functions: deterministic, varied, tested at their edges, wrong by habit."""

import json
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from random import Random

import pytest

from components.data.sources import generated_example, input_columns
from components.errors import ConfigError, ScorerError
from components.params import Workload, load
from components.records import Completion, Example, Usage
from components.scorers import build
from components.scorers.protocol import score_all
from components.workloads.snippets import Request, generate
from components.workloads.snippets.cases import Case, draw_case
from components.workloads.snippets.programs import HABITS, Part, Program
from components.workloads.snippets.trials import compiled, passes

ROOT = Path(__file__).resolve().parents[3]
WORKLOAD = load(ROOT / "params/workloads/snippets.yaml", Workload)
PROMPTS = ROOT / "params" / "prompts" / "snippets"
SEED = 7


@pytest.fixture(scope="module")
def requests() -> list[Request]:
    return list(generate(3000, SEED))


@cache
def case(group: str) -> Case:
    return draw_case(Random(f"snippets/{SEED}/case/{int(group[1:])}"))


def case_of(request: Request) -> Case:
    return case(request.group)


def completion(example: Example, code: str) -> Completion:
    usage = Usage(input_tokens=0, output_tokens=0)
    return Completion(example_id=example.id, text=json.dumps({"code": code}), usage=usage, latency_ms=0.0)


def test_a_seed_gives_the_same_requests_however_many_are_drawn(requests: list[Request]) -> None:
    assert list(generate(50, SEED)) == requests[:50]
    assert not {r.task for r in generate(300, 1)} & {r.task for r in generate(300, 2)}


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="n must be ≥ 0, found -1"):
        generate(-1, SEED)


def test_right_programs_pass_their_tests_and_the_sealed_ones(requests: list[Request]) -> None:
    for request in requests[:1500]:
        assert passes(request.gold["code"], request.evidence["tests"]), request
        assert passes(request.gold["code"], request.evidence["sealed"]), request


def test_what_the_tests_expect_is_what_python_makes_of_the_request() -> None:
    squares = compiled("def f(xs):\n    return sum(x * x for x in xs if x % 2 == 0)")
    assert squares([1, 2, 3, -4]) == 2 * 2 + 4 * 4
    assert passes("def f(n):\n    return n", '[{"call": "f", "args": [3], "expected": 3}]')
    assert not passes("def f(n):\n    return n", '[{"call": "f", "args": [3], "expected": 4}]')


def test_the_sandbox_agrees_on_right_programs_and_on_slips(requests: list[Request]) -> None:
    wrong = [request for request in requests if request.gold != request.demonstration][:40]
    examples = [generated_example(WORKLOAD, request) for request in wrong]
    pairs = [(e, completion(e, r.gold["code"])) for e, r in zip(examples, wrong, strict=True)]
    pairs += [(e, completion(e, r.demonstration["code"])) for e, r in zip(examples, wrong, strict=True)]
    try:
        outcomes = score_all(build(WORKLOAD.scorer, WORKLOAD.output), pairs)
    except ConfigError as error:
        pytest.skip(f"programs cannot be isolated here: {error}")
    failed = [outcome for outcome in outcomes if isinstance(outcome, ScorerError)]
    assert not failed
    passed = [not isinstance(outcome, ScorerError) and outcome.passed for outcome in outcomes]
    assert passed == [True] * len(wrong) + [False] * len(wrong)


def test_demonstrations_are_wrong_by_one_habit_in_about_one_request_of_ten(requests: list[Request]) -> None:
    wrong = [request for request in requests if request.gold != request.demonstration]
    assert 0.09 < len(wrong) / len(requests) < 0.125
    for request in wrong:
        program = case_of(request).program
        assert request.demonstration["code"] in {program.code(habit) for habit in program.habits}
        assert not passes(request.demonstration["code"], request.evidence["tests"])


def test_within_every_habit_the_majority_is_right(requests: list[Request]) -> None:
    right: dict[str, list[bool]] = defaultdict(list)
    for request in requests:
        for habit in case_of(request).program.habits:
            right[habit].append(request.gold == request.demonstration)
    assert right.keys() == HABITS.keys()
    for habit, verdicts in right.items():
        assert len(verdicts) > 30, habit
        assert 0.5 < sum(verdicts) / len(verdicts) < 0.85, habit


def test_tests_see_through_nearly_every_slip(requests: list[Request]) -> None:
    seen: dict[str, list[bool]] = defaultdict(list)
    for request in requests[:2000]:
        program = case_of(request).program
        for habit in program.habits:
            seen[habit].append(not passes(program.code(habit), request.evidence["tests"]))
    assert min(sum(caught) / len(caught) for caught in seen.values()) > 0.85


def test_tests_begin_with_an_empty_input_and_no_two_splits_of_them_are_alike(requests: list[Request]) -> None:
    empty = {"numbers": [], "words": [], "text": "", "dict": {}, "range": 0}
    for request in requests[:500]:
        tests = json.loads(request.evidence["tests"])
        assert tests[0]["args"] == [empty[request.slices["kind"]]]
        assert 6 <= len(tests) <= 14
    differ = sum(request.evidence["tests"] != request.evidence["sealed"] for request in requests)
    assert differ / len(requests) > 0.95


def test_no_prompt_can_show_a_test() -> None:
    assert input_columns(WORKLOAD) == ("task",)


def test_requests_are_varied_and_kinds_about_equally_frequent(requests: list[Request]) -> None:
    assert len({request.task for request in requests}) / len(requests) > 0.99
    assert len({request.gold["code"] for request in requests}) / len(requests) > 0.6
    counts = Counter(request.slices["kind"] for request in requests)
    assert set(counts) == {"numbers", "words", "text", "dict", "range"}
    assert min(counts.values()) / len(requests) > 0.17
    assert not any("{" in request.task or "  " in request.task for request in requests)


def test_a_group_asks_for_one_program(requests: list[Request]) -> None:
    groups: dict[str, set[str]] = defaultdict(set)
    for request in requests:
        groups[request.group].add(request.gold["code"])
    assert all(len(programs) == 1 for programs in groups.values())
    assert 0.08 < 1 - len(groups) / len(requests) < 0.12


def test_answers_fit_the_tokens_that_nano_may_write(requests: list[Request]) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(ROOT / "models" / "nano")
    answers = [generated_example(WORKLOAD, request).demonstration for request in requests[:1000]]
    assert max(len(ids) for ids in tokenizer(answers)["input_ids"]) < 96  # engine.max_new_tokens, with the end token


def test_a_slip_changes_one_part_of_the_program() -> None:
    parts = (Part("max(["), Part("i for i in range(1, n + 1)", "last", "i for i in range(1, n)"), Part("]"))
    program = Program("n", (*parts, Part(", default=0", "empty"), Part(")")))
    assert program.code() == "def f(n):\n    return max([i for i in range(1, n + 1)], default=0)"
    assert program.code("last") == "def f(n):\n    return max([i for i in range(1, n)], default=0)"
    assert program.code("empty") == "def f(n):\n    return max([i for i in range(1, n + 1)])"
    assert program.habits == ("last", "empty")


@pytest.mark.parametrize("name", ["loose", "schema", "schema_definitions", "short"])
def test_every_prompt_asks_the_task_in_its_user_part_alone(name: str) -> None:
    system, user = (PROMPTS / f"{name}.md").read_text(encoding="utf-8").split("\n---user---\n")
    assert user.strip() == "{task}" and "{task}" not in system
