"""One rung on one split: what reports read of its answers and their scores.

Prices come from the caller as a function of what was measured here; nothing is scored, nothing is written.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.errors import DataError
from components.evaluation.compare import Scores, common, compare
from components.evaluation.judged import by_example, scores_in
from components.evaluation.metrics import (
    accuracy,
    effective,
    field_accuracy,
    latency_percentiles,
    share_of,
    slice_accuracy,
    slice_sizes,
)
from components.evaluation.trials import tries_of
from components.records import Completion, Cost, Example, Judged, Rung, RungResult


@dataclass(frozen=True)
class EvalSet:
    """What every rung of a run is measured by: the same examples, schema, slices and seed."""

    examples: Sequence[Example]
    schema: Mapping[str, Any]
    slices: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True)
class Measured:
    """What a call took on average, and how often it was right: all that a price is made of."""

    input_tokens: float
    output_tokens: float
    accuracy: float


def evaluate_rung(
    rung: Rung,
    answers: tuple[Sequence[Completion], Sequence[Judged]],
    measured_by: EvalSet,
    cost: Callable[[Measured], Cost],
    parent: Scores | None = None,
) -> RungResult:
    """A rung's line in the record, from its completions and what they are worth; `parent` are the other's scores.

    An answer that the scorer could not decide is left out of all figures of scores, and counted. Tokens
    are means a call.

    Raises:
        DataError: The completions are not one for each example, the parent was scored on others, or the scorer decided
            no answer of the rung, or none that it decided for the parent.
    """
    completions, judged = answers
    by_id = by_example(measured_by.examples, completions)
    if parent is not None and (foreign := parent.keys() - by_id.keys()):
        raise DataError(f"expected a parent scored on the same examples, found other examples, such as {min(foreign)}")
    scores = scores_in(judged)
    for name, others in ((rung.name, scores), (f"{rung.name} and {rung.compared_with}", parent)):
        if others is not None and not scores.keys() & others.keys():
            raise DataError(f"expected answers of {name} that the scorer decides, found none of {len(judged):,}")
    decided = [example for example in measured_by.examples if example.id in scores]
    groups = {example.id: example.group for example in measured_by.examples}
    right = accuracy(scores.values(), [groups[key] for key in scores])
    measured = Measured(
        input_tokens=sum(completion.usage.input_tokens for completion in completions) / len(completions),
        output_tokens=sum(completion.usage.output_tokens for completion in completions) / len(completions),
        accuracy=right.value,
    )
    tries = tries_of(completions, judged)
    # Of a try the scorers' parts tell what is right and wrong, of an answer its fields.
    of_scorers = dict.fromkeys(part for score in scores.values() for part in score.parts)
    parts = measured_by.schema["properties"] if tries is None else of_scorers
    return RungResult(
        name=rung.name,
        method=rung.method,
        makes=rung.makes,
        parent=rung.compared_with,
        starts_from=rung.starts_from,
        needs=rung.needs,
        n=len(scores),
        accuracy=right,
        validity=share_of((answer.valid for answer in judged), [groups[answer.example_id] for answer in judged]),
        fields=field_accuracy(list(scores.values()), parts),
        slices=slice_accuracy(decided, scores, measured_by.slices),
        slice_sizes=slice_sizes(decided, measured_by.slices),
        usage={"input_tokens": measured.input_tokens, "output_tokens": measured.output_tokens},
        latency_ms=latency_percentiles(completion.latency_ms for completion in completions),
        cost=cost(measured),
        vs_parent=None if parent is None else compare(*common(parent, scores), measured_by.seed, groups=groups),
        scorer_errors=len(judged) - len(scores),
        effective_n=effective([score.passed for score in scores.values()], [groups[key] for key in scores]),
        tries=tries,
        seconds=rung.seconds,
        mlflow_run_id=rung.mlflow_run_id,
    )
