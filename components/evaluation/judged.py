"""Answers with their scores: the only place where a rung's answers are scored. Later stages read the result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from components.errors import DataError, ScorerError
from components.evaluation.compare import Scores
from components.records import Completion, Example, Judged, Score
from components.scorers import Failures, JsonSchemaScorer, Outcome, Scorer, score_all

BATCH = 256  # answers scored between two updates of the progress bar


@dataclass(frozen=True)
class Judging:
    """How answers are judged: the scorer, the schema for validity, and how often the scorer may fail."""

    scorer: Scorer
    schema: Mapping[str, Any]
    max_failed_share: float = 0.0


def judge_answers(
    name: str, examples: Sequence[Example], completions: Sequence[Completion], by: Judging
) -> list[Judged]:
    """Judge completions, in any order; the result is in the order of the examples. `name` labels the progress bar.

    A refused prompt counts as a wrong answer; what the scorer cannot decide, or an engine that was away left
    unanswered, has no score.

    Raises:
        DataError: There is not exactly one completion for each example.
        ScorerError: More than the allowed share has no score.
    """
    by_id, validator = by_example(examples, completions), JsonSchemaScorer(by.schema)
    pairs = [(example, by_id[example.id]) for example in examples]
    outcomes: list[Outcome] = []
    with tqdm(total=len(pairs), desc=f"score {name}", leave=False) as bar:
        for start in range(0, len(pairs), BATCH):
            outcomes += score_all(by.scorer, pairs[start : start + BATCH])
            bar.update(len(outcomes) - bar.n)
    Failures(by.max_failed_share).add(outcomes)
    return [
        Judged(
            example_id=example.id,
            valid=validator.score(example, completion).passed,
            score=outcome if isinstance(outcome, Score) else None,
            failure=str(outcome) if isinstance(outcome, ScorerError) else "",
        )
        for (example, completion), outcome in zip(pairs, outcomes, strict=True)
    ]


def scores_in(judged: Sequence[Judged]) -> Scores:
    """Example id → score, for those that the scorer could decide."""
    return {answer.example_id: answer.score for answer in judged if answer.score is not None}


def by_example(examples: Sequence[Example], completions: Sequence[Completion]) -> dict[str, Completion]:
    """Example id → its completion.

    Raises:
        DataError: There are no examples, or not exactly one completion for each.
    """
    by_id = {completion.example_id: completion for completion in completions}
    expected = {example.id for example in examples}
    if not expected or len(expected) != len(examples):
        raise DataError(f"expected examples with unique ids, found {len(expected):,} ids in {len(examples):,} examples")
    if len(by_id) != len(completions) or by_id.keys() != expected:
        odd = min(by_id.keys() ^ expected, default="one that comes twice")
        raise DataError(
            f"expected one completion for each of {len(expected):,} examples, found {len(completions):,} completions "
            f"of {len(by_id.keys() & expected):,} of them; see example {odd}"
        )
    return by_id
