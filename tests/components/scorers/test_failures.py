"""A scorer's failure is counted and reported, and never a zero; behind a failed gate no scorer is asked."""

from typing import Any

import pytest

from components.engines.base import ChatRequest, failed
from components.errors import ScorerError
from components.params import ScorerParams
from components.records import Completion, Example, Score, Usage
from components.scorers import Failures, Outcome, build, score_all, scores_of
from components.scorers.weighted import WeightedScorer

RIGHT = Score(value=1.0, passed=True)


def pair(text: str) -> tuple[Example, Completion]:
    usage = Usage(input_tokens=0, output_tokens=0)
    example = Example(id=text, input={}, demonstration="", reference="yes", group="g")
    return example, Completion(example_id=text, text=text, usage=usage, latency_ms=0.0)


class Says:
    """1 for the text `yes`, 0 for others, no decision on `?`; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def score(self, example: Example, completion: Completion) -> Score:
        self.asked.append(completion.text)
        if completion.text == "?":
            raise ScorerError("expected a yes or a no, found ?")
        right = completion.text == "yes"
        return Score(value=float(right), passed=right, parts={"word": float(right)})


class Batches(Says):
    """The same, many at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def score_many(self, pairs: Any) -> list[Outcome]:
        self.batches.append(len(pairs))
        return [
            ScorerError("away") if completion.text == "?" else self.score(example, completion)
            for example, completion in pairs
        ]


PAIRS = [pair(text) for text in ("yes", "?", "no")]


@pytest.mark.parametrize("scorer", [Says(), Batches()])
def test_the_error_stands_in_the_place_of_the_score(scorer: Says) -> None:
    first, second, third = score_all(scorer, PAIRS)
    assert isinstance(first, Score) and first.passed
    assert isinstance(second, ScorerError)
    assert isinstance(third, Score) and not third.passed
    assert list(scores_of(["a", "b", "c"], [first, second, third])) == ["a", "c"]


@pytest.mark.parametrize("scorer", [Says(), Batches(), WeightedScorer({"mine": (Batches(), 1)})])
def test_what_an_engine_that_was_away_left_unanswered_is_undecided_and_a_refused_prompt_wrong(scorer: Any) -> None:
    (example, _), reason = pair("no"), "Error code: 529 - overloaded"
    lost, refused = (failed(ChatRequest("no", []), reason, away=away) for away in (True, False))
    first, second, third, last = score_all(scorer, [(example, lost), pair("yes"), (example, refused), (example, lost)])
    assert isinstance(first, ScorerError) and isinstance(last, ScorerError)
    assert str(first) == f"expected an answer, found none (example no): {reason}"
    assert isinstance(second, Score) and isinstance(third, Score)
    assert (second.passed, third.passed) == (True, False)
    assert isinstance(score_all(scorer, [(example, lost)])[0], ScorerError)


def test_a_scorer_that_takes_batches_gets_one() -> None:
    scorer = Batches()
    score_all(WeightedScorer({"mine": (scorer, 1)}), PAIRS)
    assert scorer.batches == [3]


def test_a_sum_with_an_undecided_part_is_undecided() -> None:
    both = WeightedScorer({"a": (Says(), 1), "b": (Batches(), 1)})
    assert [isinstance(outcome, ScorerError) for outcome in score_all(both, PAIRS)] == [False, True, False]
    with pytest.raises(ScorerError, match="found \\?"):
        both.score(*PAIRS[1])


def test_behind_a_gate_that_does_not_pass_nobody_is_asked_and_nothing_credited() -> None:
    gate, costly = Says(), Batches()
    scorer = WeightedScorer({"costly": (costly, 3), "gate": (gate, 1)}, gates=["gate"])
    right, wrong = score_all(scorer, [pair("yes"), pair("no")])
    assert right == Score(value=1.0, passed=True, parts={"costly": 1.0, "gate": 1.0, "word": 1.0, "gate.word": 1.0})
    assert isinstance(wrong, Score)
    assert (wrong.value, wrong.passed) == (0.0, False)
    assert wrong.parts["costly"] == 0.0
    assert (gate.asked, costly.asked) == (["yes", "no"], ["yes"])


def test_a_gates_own_part_counts_where_it_passes_in_part() -> None:
    class Half:
        def score(self, example: Example, completion: Completion) -> Score:
            return Score(value=0.5, passed=False, reason="half")

    scorer = WeightedScorer({"gate": (Half(), 1), "other": (Says(), 3)}, gates=["gate"])
    score = scorer.score(*pair("yes"))
    assert (score.value, score.passed, score.reason) == (0.125, False, "half")  # 1/4 of 0.5, and nothing else


def test_gates_are_named_in_the_settings() -> None:
    schema = {"type": "object", "properties": {"label": {"enum": ["yes"]}}, "required": ["label"]}
    params = ScorerParams(weighted={"exact": 1, "json_schema": 1}, gates=("json_schema",))
    score = build(params, schema).score(*pair("yes"))  # the reference word for word, and no JSON
    assert (score.value, score.passed) == (0.0, False)
    with pytest.raises(ValueError, match="gates must name some of weighted"):
        ScorerParams(weighted={"exact": 1}, gates=("json_schema",))


@pytest.mark.parametrize("name", ["sql_execution", "judge", "format_rules", "http"])
def test_a_scorer_without_the_settings_that_it_needs_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must have its section"):
        ScorerParams(weighted={name: 1})


def test_failures_up_to_the_share_are_counted_and_beyond_it_stop() -> None:
    failures, failed = Failures(0.02), ScorerError("the judge is away")
    assert failures.add([RIGHT] * 99 + [failed]) == 1
    assert failures.add([RIGHT] * 49 + [failed] * 1) == 1  # 2 of 150
    assert (failures.judged, failures.failed) == (150, 2)
    with pytest.raises(ScorerError, match=r"at most 2.0% of answers .* found 4 of 152, first: the judge is away"):
        failures.add([failed, failed])


def test_few_answers_are_judged_as_part_of_more() -> None:
    lenient = Failures(0.02, of_at_least=100)
    assert lenient.add([RIGHT] * 6 + [ScorerError("x")] * 2) == 2
    with pytest.raises(ScorerError, match="3 of 9"):
        lenient.add([ScorerError("x")])
