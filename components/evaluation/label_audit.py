"""The audit of demonstrations: which look wrong, how many, and the ceiling for imitation that follows.

Decides what a suspect is and which value it suggests; `doubt` (labels) and `pointing` (extracted values) compute the
doubts. Uses only inputs and demonstrations, even where references exist.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tqdm import tqdm

from components.evaluation import doubt, pointing
from components.params import AuditParams
from components.records import Example, Record, to_json
from components.schema import Shape, fields_of
from components.scorers.answers import read_demonstration

Way = dict[str, list[float]]


class Suspect(Record):
    """A demonstration that looks wrong in a field: its value, a likelier one, and the probability that it is wrong."""

    example_id: str
    field: str
    value: str
    suggested: str
    probability: float
    reason: str
    text: str


class FieldAudit(Record):
    """A field: the models that judged it, and how many of its values are suspect."""

    ways: tuple[str, ...]
    suspects: int


class Audit(Record):
    """The audit of `demonstrations`; `expected_wrong` is the sum of the suspects' probabilities.

    `ceiling` is the accuracy of perfect imitation if the expected number of demonstrations is wrong, None if no field
    could be judged; errors in `unseen` fields can only lower it.
    """

    demonstrations: int
    suspects: int
    expected_wrong: float
    ceiling: float | None
    fields: dict[str, FieldAudit]
    unseen: tuple[str, ...]

    @property
    def wrong_share(self) -> float:
        """The expected share of wrong demonstrations, in [0, 1]."""
        return self.expected_wrong / self.demonstrations if self.demonstrations else 0.0


class Doubts(Record):
    """A field: P(wrong) by model and example, and likelier values; the last model counts."""

    ways: Way
    likelier: list[str]
    reason: str


def doubts(
    examples: Sequence[Example], schema: Mapping[str, Any], columns: Sequence[str], params: AuditParams, seed: int
) -> dict[str, Doubts]:
    """Field → doubts about each demonstration's value; fields with free text are left out.

    Raises:
        DataError: A demonstration cannot be read.
    """
    texts = ["\n".join(example.input[column] for column in columns) for example in examples]
    fields, features = fields_of(schema), doubt.Texts(texts)
    answers = [fields.flat(read_demonstration(example, schema)) for example in examples]
    by_field: dict[str, Doubts] = {}
    for field in tqdm(fields.leaves, "audit: fields", leave=False):
        doubts_of_field = (
            _of_labels(field.name, features, answers, params.folds, seed)
            if field.shape.is_listed
            else _of_extracted(field.name, field.shape, texts, answers, params.folds)
        )
        if doubts_of_field is not None:
            by_field[field.name] = doubts_of_field
    return by_field


def suspects(
    examples: Sequence[Example], by_field: Mapping[str, Doubts], params: AuditParams, schema: Mapping[str, Any]
) -> list[Suspect]:
    """Values whose probability of being wrong exceeds `min_precision`, the most likely first."""
    fields = fields_of(schema)
    values = [fields.flat(read_demonstration(example, schema)) for example in examples]
    listed = [
        Suspect(
            example_id=example.id,
            field=field,
            value=to_json(values[number].get(field)),
            suggested=doubts_of_field.likelier[number],
            probability=probability,
            reason=doubts_of_field.reason,
            text="\n".join(example.input.values()),
        )
        for field, doubts_of_field in by_field.items()
        for number, (example, probability) in enumerate(
            zip(examples, list(doubts_of_field.ways.values())[-1], strict=True)
        )
        if probability > params.min_precision and doubts_of_field.likelier[number] != to_json(values[number].get(field))
    ]
    return sorted(listed, key=lambda suspect: -suspect.probability)


def summarise(
    examples: Sequence[Example], by_field: Mapping[str, Doubts], listed: Sequence[Suspect], fields: Sequence[str]
) -> Audit:
    """The audit in numbers; a demonstration with several suspect fields counts once, with its highest probability."""
    surest: dict[str, float] = {}
    for suspect in listed:
        surest[suspect.example_id] = max(surest.get(suspect.example_id, 0.0), suspect.probability)
    expected = sum(surest.values())
    return Audit(
        demonstrations=len(examples),
        suspects=len(surest),
        expected_wrong=expected,
        ceiling=1 - expected / len(examples) if by_field else None,
        fields={
            field: FieldAudit(
                ways=tuple(doubts_of_field.ways), suspects=sum(suspect.field == field for suspect in listed)
            )
            for field, doubts_of_field in by_field.items()
        },
        unseen=tuple(field for field in fields if field not in by_field),
    )


def _of_labels(
    field: str, texts: doubt.Texts, answers: Sequence[Mapping[str, Any]], folds: int, seed: int
) -> Doubts | None:
    opinions = doubt.judge(field, texts, answers, folds, seed)
    if not opinions:
        return None
    values = [to_json(answer.get(field)) for answer in answers]
    ways = {way: (1 - opinion.of(values)[0]).tolist() for way, opinion in opinions.items()}
    return Doubts(
        ways=ways, likelier=list(opinions.values())[-1].of(values)[1], reason="other demonstrations say otherwise"
    )


def _of_extracted(
    field: str, shape: Shape, texts: Sequence[str], answers: Sequence[Mapping[str, Any]], folds: int
) -> Doubts | None:
    pointed = pointing.point(shape, texts, [answer.get(field) for answer in answers], folds)
    if pointed is None:
        return None
    return Doubts(
        ways={
            "not_in_text": [float(not in_text) for in_text in pointed.found],
            "pointed": (1 - pointed.probability).tolist(),
        },
        likelier=[to_json(value) for value in pointed.likeliest],
        reason="the text offers another that is taken elsewhere in such a place",
    )
