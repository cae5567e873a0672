"""A committee on doubted values: who votes, and what most of them say.

Decides which members have an opinion on which field: TF-IDF with a linear model and nearest neighbours vote on listed
values, the audit on values that stand in the text, a teacher on all. Nobody votes from the demonstrations in doubt.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from components.evaluation import classical
from components.evaluation.doubt import Texts
from components.evaluation.label_audit import Suspect
from components.records import Completion, Example, to_json
from components.schema import fields_of
from components.scorers.answers import NotAnAnswer, read_answer, read_demonstration

Member = Literal["teacher", "classical", "neighbours", "audit"]
Votes = Mapping[tuple[str, str], str]
"""(example id, field) → the value that a member votes for, as JSON; what it has no opinion on is missing."""
NEAREST = 7
Schema = Mapping[str, Any]


def by_classifier(
    suspects: Sequence[Suspect], train: Sequence[Example], schema: Schema, columns: tuple[str, ...]
) -> Votes:
    """Votes of a classifier that learnt from the demonstrations without suspects."""
    doubted, sound = divided(suspects, train)
    if not sound:
        return {}
    known = classical.fit(sound, schema, columns)
    return of_answers(suspects, known.predict(doubted), schema, listed(schema))


def by_neighbours(
    suspects: Sequence[Suspect], train: Sequence[Example], schema: Schema, columns: tuple[str, ...]
) -> Votes:
    """What more than half of the nearest sound demonstrations have, by the cosine of their words and characters."""
    doubted, sound = divided(suspects, train)
    if len(sound) < NEAREST:
        return {}
    rows = Texts(["\n".join(one.input[column] for column in columns) for one in (*doubted, *sound)]).weighted
    fields = fields_of(schema)
    values = [fields.flat(read_demonstration(one, schema)) for one in sound]
    fields_listed, found = listed(schema), dict[tuple[str, str], str]()
    wanted = fields_by_example(suspects)
    for at, example in enumerate(doubted):
        similar = (rows[len(doubted) :] @ rows[at].T).toarray().ravel()
        nearest = np.argsort(-similar, kind="stable")[:NEAREST]
        for field in wanted[example.id] & fields_listed:
            value, count = Counter(to_json(values[int(place)].get(field)) for place in nearest).most_common(1)[0]
            if 2 * count > NEAREST:
                found[example.id, field] = value
    return found


def by_audit(suspects: Sequence[Suspect], schema: Schema) -> Votes:
    """What the audit suggests for values that stand in the text; of listed ones it thinks as a classifier does."""
    of_lists = listed(schema)
    return {(one.example_id, one.field): one.suggested for one in suspects if one.field not in of_lists}


def of_answers(
    suspects: Sequence[Suspect], answers: Sequence[Completion], schema: Schema, only: set[str] | None = None
) -> Votes:
    """The doubted fields of whole answers; of an answer that is none, no votes."""
    wanted, fields, found = fields_by_example(suspects), fields_of(schema), dict[tuple[str, str], str]()
    for answer in answers:
        try:
            flat = fields.flat(read_answer(answer, schema))
        except NotAnAnswer:
            continue
        for field in wanted[answer.example_id]:
            if only is None or field in only:
                found[answer.example_id, field] = to_json(flat.get(field))
    return found


def agreed(suspects: Sequence[Suspect], votes: Sequence[Votes], agreeing: int) -> Votes:
    """What at least so many members vote for, and more than for anything else."""
    found: dict[tuple[str, str], str] = {}
    for one in suspects:
        key = (one.example_id, one.field)
        counts = Counter(vote[key] for vote in votes if key in vote).most_common(2)
        if counts and counts[0][1] >= agreeing and (len(counts) == 1 or counts[0][1] > counts[1][1]):
            found[key] = counts[0][0]
    return found


def put(example: Example, values: Mapping[str, str], schema: Schema) -> dict[str, Any]:
    """The answer of an example's demonstration with these values (JSON) in these fields."""
    fields = fields_of(schema)
    flat = fields.flat(read_demonstration(example, schema))
    return fields.answer({**flat, **{name: json.loads(value) for name, value in values.items()}})


def divided(suspects: Sequence[Suspect], train: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """(doubted, sound) examples of train, in its order."""
    doubted = {one.example_id for one in suspects}
    return [one for one in train if one.id in doubted], [one for one in train if one.id not in doubted]


def fields_by_example(suspects: Sequence[Suspect]) -> Mapping[str, set[str]]:
    """Example id → its doubted fields."""
    found: dict[str, set[str]] = defaultdict(set)
    for one in suspects:
        found[one.example_id].add(one.field)
    return found


def listed(schema: Schema) -> set[str]:
    """The fields of listed values."""
    return {field.name for field in fields_of(schema).leaves if field.shape.is_listed}
