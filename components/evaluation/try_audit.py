"""The audit of an agent's demonstrations: the scorer of tries says of each whether it is right.

Decides how that is reported: as other audits are, each wrong try a suspect of which the scorer is sure.
"""

from collections.abc import Sequence

from components.evaluation.label_audit import Audit, FieldAudit, Suspect
from components.records import Example, Score
from components.scorers import Outcome
from components.tasks import demonstrated

FIELD, WAY = "try", "scorer"


def suspect_tries(examples: Sequence[Example], outcomes: Sequence[Outcome]) -> list[Suspect]:
    """The demonstrations that do not pass."""
    return [
        Suspect(
            example_id=example.id,
            field=FIELD,
            value=demonstrated(example).answer,
            suggested="",
            probability=1.0,
            reason=outcome.reason,
            text="\n".join(example.input.values()),
        )
        for example, outcome in zip(examples, outcomes, strict=True)
        if isinstance(outcome, Score) and not outcome.passed
    ]


def summarise_tries(outcomes: Sequence[Outcome], suspects: Sequence[Suspect]) -> Audit:
    """The audit in numbers, of the demonstrations that the scorer could decide."""
    decided, wrong = sum(isinstance(outcome, Score) for outcome in outcomes), len(suspects)
    return Audit(
        demonstrations=decided,
        suspects=wrong,
        expected_wrong=float(wrong),
        ceiling=1 - wrong / decided if decided else None,
        fields={FIELD: FieldAudit(ways=(WAY,), suspects=wrong)},
        unseen=(),
    )
