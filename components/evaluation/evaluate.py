"""One rung on one split: every completion scored, and what reports read of it put together.

Prices come from the caller as a function of what was measured here; nothing is written.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from components.errors import DataError
from components.evaluation.compare import Scores, compare
from components.evaluation.metrics import (
    accuracy,
    field_accuracy,
    latency_percentiles,
    slice_accuracy,
    slice_sizes,
    wilson,
)
from components.records import Completion, Cost, Example, Rung, RungResult
from components.scorers import JsonSchemaScorer, Scorer


@dataclass(frozen=True)
class Exam:
    """What every rung of a run is measured by: the same examples, scorer, schema, slices and seed."""

    examples: Sequence[Example]
    scorer: Scorer
    schema: Mapping[str, Any]
    slices: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True)
class Measured:
    """What a call took on average, and how often it was right: all that a price is made of."""

    input_tokens: float
    output_tokens: float
    accuracy: float


@dataclass(frozen=True)
class Evaluation:
    """A rung's line in the record, and what stands behind it by example id."""

    result: RungResult
    scores: Scores
    valid: Mapping[str, bool]


def evaluate_rung(
    rung: Rung,
    completions: Sequence[Completion],
    exam: Exam,
    cost: Callable[[Measured], Cost],
    parent: Scores | None = None,
) -> Evaluation:
    """Score a rung's completions, in any order; `parent` holds the parent's scores on the same examples.

    A call that failed counts as a wrong answer. Tokens are means a call.

    Raises:
        DataError: The completions are not one for each example, or the parent was scored on others.
        ScorerError: The scorer cannot decide on a completion.
    """
    answers = by_example(exam.examples, completions)
    scores = {e.id: exam.scorer.score(e, answers[e.id]) for e in tqdm(exam.examples, f"score {rung.name}", leave=False)}
    validator = JsonSchemaScorer(exam.schema)
    valid = {example.id: validator.score(example, answers[example.id]).passed for example in exam.examples}
    right = accuracy(scores.values())
    measured = Measured(
        input_tokens=sum(completion.usage.input_tokens for completion in completions) / len(completions),
        output_tokens=sum(completion.usage.output_tokens for completion in completions) / len(completions),
        accuracy=right.value,
    )
    result = RungResult(
        name=rung.name,
        method=rung.method,
        parent=rung.parent,
        n=len(scores),
        accuracy=right,
        validity=wilson(sum(valid.values()), len(valid)),
        fields=field_accuracy(list(scores.values()), exam.schema["properties"]),
        slices=slice_accuracy(exam.examples, scores, exam.slices),
        slice_sizes=slice_sizes(exam.examples, exam.slices),
        usage={"input_tokens": measured.input_tokens, "output_tokens": measured.output_tokens},
        latency_ms=latency_percentiles(completion.latency_ms for completion in completions),
        cost=cost(measured),
        vs_parent=None if parent is None else compare(parent, scores, exam.seed),
        seconds=rung.seconds,
        mlflow_run_id=rung.mlflow_run_id,
    )
    return Evaluation(result, scores, valid)


def by_example(examples: Sequence[Example], completions: Sequence[Completion]) -> dict[str, Completion]:
    """Example id → its completion.

    Raises:
        DataError: There is no example, or not exactly one completion for each.
    """
    found = {completion.example_id: completion for completion in completions}
    expected = {example.id for example in examples}
    if not expected or len(expected) != len(examples):
        raise DataError(f"expected examples with unique ids, found {len(expected):,} ids in {len(examples):,} examples")
    if len(found) != len(completions) or found.keys() != expected:
        odd = min(found.keys() ^ expected, default="one that comes twice")
        raise DataError(
            f"expected one completion for each of {len(expected):,} examples, found {len(completions):,} completions "
            f"of {len(found.keys() & expected):,} of them; see example {odd}"
        )
    return found
