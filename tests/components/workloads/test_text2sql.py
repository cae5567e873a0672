"""The simulated questions: deterministic, varied, answerable from their text, wrong by habit."""

import re
import sqlite3
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from random import Random

import pytest

from components.data.sources import generated_example
from components.params import Workload, load
from components.records import Completion, Example, Usage
from components.scorers import build
from components.scorers.protocol import Scorer
from components.workloads.asking import OPENERS, base_index, misspelt
from components.workloads.text2sql import Question, databases, generate, sealed_databases
from components.workloads.text2sql.cases import draw_case, ordinal
from components.workloads.text2sql.queries import HABITS, Part, Query
from components.workloads.text2sql.shop import CATEGORIES, CITIES, SCHEMA, STATUSES, TITLES
from components.workloads.text2sql.wording import Case

ROOT = Path(__file__).resolve().parents[3]
WORKLOAD = load(ROOT / "params/workloads/text2sql.yaml", Workload)
PROMPTS = ROOT / "params" / "prompts" / "text2sql"
SEED = 7


@pytest.fixture(scope="module")
def questions() -> list[Question]:
    return list(generate(3000, SEED))


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return build(WORKLOAD.scorer, WORKLOAD.output)


@cache
def case(group: str) -> Case:
    return draw_case(Random(f"text2sql/{SEED}/case/{int(group[1:])}"))


def case_of(question: Question) -> Case:
    return case(question.group)


def passes(scorer: Scorer, example: Example, text: str) -> bool:
    usage = Usage(input_tokens=0, output_tokens=0)
    return scorer.score(example, Completion(example_id=example.id, text=text, usage=usage, latency_ms=0.0)).passed


def test_a_seed_gives_the_same_questions_however_many_are_drawn(questions: list[Question]) -> None:
    assert list(generate(50, SEED)) == questions[:50]
    assert not {q.question for q in generate(300, 1)} & {q.question for q in generate(300, 2)}


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="n must be ≥ 0, found -1"):
        generate(-1, SEED)


def test_the_right_query_passes_the_verifier(questions: list[Question], scorer: Scorer) -> None:
    for question in questions[:300]:
        example = generated_example(WORKLOAD, question)
        assert passes(scorer, example, example.reference), example.reference


def test_demonstrations_are_wrong_by_one_habit_in_about_nine_questions_of_a_hundred(questions: list[Question]) -> None:
    wrong = [question for question in questions if question.gold != question.demonstration]
    assert 0.075 < len(wrong) / len(questions) < 0.1
    for question in wrong:
        query = case_of(question).query
        assert question.demonstration["sql"] in {query.sql(habit) for habit in query.habits}


def test_no_wrong_demonstration_passes_the_verifier(questions: list[Question], scorer: Scorer) -> None:
    wrong = [question for question in questions[:2000] if question.gold != question.demonstration]
    for question in wrong:
        example = generated_example(WORKLOAD, question)
        assert not passes(scorer, example, example.demonstration), question


def test_within_every_habit_the_majority_is_right(questions: list[Question]) -> None:
    right: dict[str, list[bool]] = defaultdict(list)
    for question in questions:
        for habit in case_of(question).query.habits:
            right[habit].append(question.gold == question.demonstration)
    assert right.keys() == HABITS.keys()
    for habit, verdicts in right.items():
        assert len(verdicts) > 30, habit
        assert 0.5 < sum(verdicts) / len(verdicts) < 0.8, habit


def test_the_verifier_sees_through_most_slips_of_every_habit(questions: list[Question], scorer: Scorer) -> None:
    seen: dict[str, list[bool]] = defaultdict(list)
    for question in questions[:1200]:
        example, query = generated_example(WORKLOAD, question), case_of(question).query
        for habit in query.habits:
            seen[habit].append(not passes(scorer, example, f'{{"sql": "{query.sql(habit)}"}}'))
    shares = {habit: sum(caught) / len(caught) for habit, caught in seen.items()}
    assert min(shares.values()) > 0.6, shares
    assert sum(map(sum, seen.values())) / sum(map(len, seen.values())) > 0.75


def test_names_and_numbers_of_the_query_stand_in_the_question(questions: list[Question]) -> None:
    for question in questions[:3000]:
        sql = question.gold["sql"]
        for value in re.findall(r"(?:=|<>) '([^'\d]+)'", sql):
            assert value in question.question or value == "cancelled", question
        if (limit := re.search(r"limit (\d+)(?: offset (\d+))?$", sql)) is not None:
            said = limit[1] if limit[2] is None else ordinal(int(limit[2]) + 1)
            assert said in question.question, question


def test_questions_are_varied_and_kinds_about_equally_frequent(questions: list[Question]) -> None:
    assert len({question.question for question in questions}) / len(questions) > 0.99
    counts = Counter(question.slices["kind"] for question in questions)
    assert set(counts) == {"filter", "aggregate", "group", "order", "join", "date"}
    assert min(counts.values()) / len(questions) > 0.12
    assert not any("{" in question.question or "  " in question.question for question in questions)


def test_a_group_asks_for_one_query_and_most_groups_are_single(questions: list[Question]) -> None:
    groups: dict[str, set[str]] = defaultdict(set)
    for question in questions:
        groups[question.group].add(question.gold["sql"])
    assert all(len(queries) == 1 for queries in groups.values())
    assert 0.08 < 1 - len(groups) / len(questions) < 0.12


def test_answers_fit_the_tokens_that_nano_may_write(questions: list[Question]) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(ROOT / "models" / "nano")
    answers = [generated_example(WORKLOAD, question).demonstration for question in questions[:1500]]
    assert max(len(ids) for ids in tokenizer(answers)["input_ids"]) < 96  # engine.max_new_tokens, with the end token


def test_databases_share_their_tables_and_no_two_have_the_same_rows() -> None:
    scripts = (*databases(), *sealed_databases())
    assert len(set(scripts)) == 5
    for script in scripts:
        assert script.startswith("\n".join(SCHEMA))
        connection = sqlite3.connect(":memory:")
        connection.executescript(script)
        for table, column, values in (
            ("customers", "city", CITIES),
            ("products", "category", CATEGORIES),
            ("products", "title", TITLES),
            ("orders", "status", STATUSES),
        ):
            distinct = connection.execute(f"select distinct {column} from {table}").fetchall()
            assert {value for (value,) in distinct} == set(values)
        ((names, people),) = connection.execute("select count(distinct name), count(*) from customers").fetchall()
        assert names == people  # so that a group by name is one by customer
        connection.close()


def test_a_slip_changes_one_part_and_a_forgotten_condition_takes_its_and_along() -> None:
    query = Query(
        Part("count(distinct customer_id)", "duplicates", "count(customer_id)"),
        Part("orders"),
        (Part("ordered < '2024-01-01'"), Part("status <> 'cancelled'", "cancelled")),
    )
    where = "from orders where ordered < '2024-01-01'"
    assert query.sql() == f"select count(distinct customer_id) {where} and status <> 'cancelled'"
    assert query.sql("duplicates") == f"select count(customer_id) {where} and status <> 'cancelled'"
    assert query.sql("cancelled") == f"select count(distinct customer_id) {where}"
    assert query.habits == ("duplicates", "cancelled")


def test_misspellings_spare_digits_and_the_words_that_are_kept() -> None:
    typed = misspelt("orders placed before 2024-03-01 that are delivered", 1.0, {"delivered"}, Random(1))
    assert "2024-03-01" in typed and "delivered" in typed
    assert "placed" not in typed and "before" not in typed
    assert misspelt("orders placed", 0.0, (), Random(1)) == "orders placed"


def test_a_request_repeats_an_earlier_one_or_itself() -> None:
    bases = [base_index("any", index, 3) for index in range(500)]
    assert all(base <= index for index, base in enumerate(bases))
    assert all(bases[base] == base for base in bases)


@pytest.mark.parametrize("name", ["loose", "schema", "schema_definitions", "short"])
def test_every_prompt_asks_the_question_in_its_user_part_alone(name: str) -> None:
    system, user = (PROMPTS / f"{name}.md").read_text(encoding="utf-8").split("\n---user---\n")
    assert user.strip() == "{question}" and "{" not in system


@pytest.mark.parametrize("name", ["schema", "schema_definitions"])
def test_prompts_with_a_schema_name_every_table_as_it_is(name: str) -> None:
    text = (PROMPTS / f"{name}.md").read_text(encoding="utf-8")
    for statement in SCHEMA:
        table, columns = re.fullmatch(r"create table (\w+) \((.*)\);", statement).groups()  # type: ignore[union-attr]
        assert f"{table} ({', '.join(column.split()[0] for column in columns.split(', '))})" in text


def test_requests_of_both_kinds_open_in_their_own_ways(questions: list[Question]) -> None:
    terse = [question.question for question in questions if question.slices["style"] == "terse"]
    assert 0.37 < len(terse) / len(questions) < 0.43
    assert not any(text.startswith(OPENERS) or text.endswith((".", "?", "!")) for text in terse)
