"""One rung on one split: every completion scored, and what reports read of it put together.

Prices come from the caller as a function of what was measured here; nothing is written.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from components.errors import DataError
from components.evaluation.compare import Scores, common, compare
from components.evaluation.metrics import (
    accuracy,
    field_accuracy,
    latency_percentiles,
    slice_accuracy,
    slice_sizes,
    wilson,
)
from components.records import Completion, Cost, Example, Rung, RungResult
from components.scorers import Failures, JsonSchemaScorer, Outcome, Scorer, score_all, scores_of

BATCH = 256  # answers that are scored between two moves of the bar


@dataclass(frozen=True)
class Exam:
    """What every rung of a run is measured by: the same examples, scorer, schema, slices and seed."""

    examples: Sequence[Example]
    scorer: Scorer
    schema: Mapping[str, Any]
    slices: tuple[str, ...] = ()
    seed: int = 0
    max_failed_share: float = 0.0


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

    A call that failed counts as a wrong answer, an answer that the scorer cannot decide counts as none: it is left
    out of everything that is told of scores, and counted. Tokens are means a call.

    Raises:
        DataError: The completions are not one for each example, or the parent was scored on others.
        ScorerError: The scorer cannot decide on more than `max_failed_share`.
    """
    answers = by_example(exam.examples, completions)
    if parent is not None and (foreign := parent.keys() - answers.keys()):
        raise DataError(f"expected a parent scored on the same examples, found others, such as {min(foreign)}")
    outcomes = _outcomes(rung.name, exam, answers)
    failed = Failures(exam.max_failed_share).add(outcomes)
    scores = scores_of([example.id for example in exam.examples], outcomes)
    judged = [example for example in exam.examples if example.id in scores]
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
        slices=slice_accuracy(judged, scores, exam.slices),
        slice_sizes=slice_sizes(judged, exam.slices),
        usage={"input_tokens": measured.input_tokens, "output_tokens": measured.output_tokens},
        latency_ms=latency_percentiles(completion.latency_ms for completion in completions),
        cost=cost(measured),
        vs_parent=None if parent is None else compare(*common(parent, scores), exam.seed),
        scorer_errors=failed,
        seconds=rung.seconds,
        mlflow_run_id=rung.mlflow_run_id,
    )
    return Evaluation(result, scores, valid)


def _outcomes(name: str, exam: Exam, answers: Mapping[str, Completion]) -> list[Outcome]:
    """What the scorer says of each answer, in the order of the examples."""
    pairs = [(example, answers[example.id]) for example in exam.examples]
    found: list[Outcome] = []
    with tqdm(total=len(pairs), desc=f"score {name}", leave=False) as bar:
        for start in range(0, len(pairs), BATCH):
            found += score_all(exam.scorer, pairs[start : start + BATCH])
            bar.update(len(found) - bar.n)
    return found


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
