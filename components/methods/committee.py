"""A committee that votes on doubted values.

Decides which members vote on which field: TF-IDF with a linear model and nearest neighbours vote on listed values, the
audit on values that are copied from the text, a teacher on all. No member learns from the demonstrations in doubt.
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
from components.schema import Field, fields_of
from components.scorers.answers import NotAnAnswer, read_answer, read_demonstration

Member = Literal["teacher", "classical", "neighbours", "audit"]
Votes = Mapping[tuple[str, str], str]
"""(example id, field) → the value that a member votes for, as JSON or LEFT_OUT; it abstains where there is no entry."""
NULL, LEFT_OUT = "null", ""  # the two ways to say nothing: they count as one value
NEAREST = 7
Schema = Mapping[str, Any]


def by_classifier(
    suspects: Sequence[Suspect], train: Sequence[Example], schema: Schema, columns: tuple[str, ...]
) -> Votes:
    """Votes of a classifier fitted on the demonstrations that are not suspects."""
    doubted, sound = split_by_doubt(suspects, train)
    if not sound:
        return {}
    classifier = classical.fit(sound, schema, columns)
    return of_answers(suspects, classifier.predict(doubted), schema, listed(schema))


def by_neighbours(
    suspects: Sequence[Suspect], train: Sequence[Example], schema: Schema, columns: tuple[str, ...]
) -> Votes:
    """The value in more than half of the nearest sound demonstrations, by cosine over words and characters."""
    doubted, sound = split_by_doubt(suspects, train)
    if len(sound) < NEAREST:
        return {}
    rows = Texts(["\n".join(item.input[column] for column in columns) for item in (*doubted, *sound)]).weighted
    fields = fields_of(schema)
    values = [fields.flat(read_demonstration(item, schema)) for item in sound]
    fields_listed, votes = listed(schema), dict[tuple[str, str], str]()
    wanted = fields_by_example(suspects)
    for at, example in enumerate(doubted):
        similar = (rows[len(doubted) :] @ rows[at].T).toarray().ravel()
        nearest = np.argsort(-similar, kind="stable")[:NEAREST]
        for field in wanted[example.id] & fields_listed:
            value, count = counted([vote_of(values[int(place)], field) for place in nearest])[0]
            if 2 * count > NEAREST:
                votes[example.id, field] = value
    return votes


def by_audit(suspects: Sequence[Suspect], schema: Schema) -> Votes:
    """What the audit suggests for values copied from the text; for listed ones it is itself a classifier."""
    of_lists = listed(schema)
    return {
        (suspect.example_id, suspect.field): suspect.suggested for suspect in suspects if suspect.field not in of_lists
    }


def of_answers(
    suspects: Sequence[Suspect], answers: Sequence[Completion], schema: Schema, only: set[str] | None = None
) -> Votes:
    """The doubted fields of whole answers; an unreadable answer votes for nothing."""
    wanted, fields, votes = fields_by_example(suspects), fields_of(schema), dict[tuple[str, str], str]()
    for answer in answers:
        try:
            flat = fields.flat(read_answer(answer, schema))
        except NotAnAnswer:
            continue
        for field in wanted[answer.example_id]:
            if only is None or field in only:
                votes[answer.example_id, field] = vote_of(flat, field)
    return votes


def vote_of(flat: Mapping[str, Any], field: str) -> str:
    """A field's value in an answer as a vote for it."""
    return to_json(flat[field]) if field in flat else LEFT_OUT


def counted(said: Sequence[str]) -> list[tuple[str, int]]:
    """The values by their votes, the most first; nothing is spelt as the first that says so spells it."""
    nothing = next((value for value in said if value in (NULL, LEFT_OUT)), NULL)
    return Counter(nothing if value in (NULL, LEFT_OUT) else value for value in said).most_common()


def agreed(suspects: Sequence[Suspect], votes: Sequence[Votes], agreeing: int) -> Votes:
    """The values with at least `agreeing` votes, and more votes than any other value."""
    winners: dict[tuple[str, str], str] = {}
    for suspect in suspects:
        key = (suspect.example_id, suspect.field)
        counts = counted([vote[key] for vote in votes if key in vote])
        if counts and counts[0][1] >= agreeing and (len(counts) == 1 or counts[0][1] > counts[1][1]):
            winners[key] = counts[0][0]
    return winners


def put(example: Example, values: Mapping[str, str], schema: Schema) -> dict[str, Any]:
    """The answer in an example's demonstration, with these fields replaced by these values."""
    fields = fields_of(schema)
    by_name, flat = {leaf.name: leaf for leaf in fields.leaves}, fields.flat(read_demonstration(example, schema))
    left_out = {name for name, value in values.items() if _is_left_out(by_name[name], flat, value)}
    written = {name: json.loads(value or NULL) for name, value in values.items() if name not in left_out}
    kept = {name: value for name, value in flat.items() if name not in left_out}
    return fields.answer({**kept, **written})


def _is_left_out(field: Field, flat: Mapping[str, Any], value: str) -> bool:
    """Whether a value is nothing and said by leaving the key out.

    Where the schema allows null as well, nothing stays as the demonstration spells it, or else is spelt as voted.
    """
    if value not in (NULL, LEFT_OUT) or field.required:
        return False
    before = vote_of(flat, field.name)
    return not field.shape.nullable or (before if before in (NULL, LEFT_OUT) else value) == LEFT_OUT


def split_by_doubt(suspects: Sequence[Suspect], train: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """(doubted, sound) examples of train, in its order."""
    doubted = {example.example_id for example in suspects}
    return [example for example in train if example.id in doubted], [
        example for example in train if example.id not in doubted
    ]


def fields_by_example(suspects: Sequence[Suspect]) -> Mapping[str, set[str]]:
    """Example id → its doubted fields."""
    doubted: dict[str, set[str]] = defaultdict(set)
    for suspect in suspects:
        doubted[suspect.example_id].add(suspect.field)
    return doubted


def listed(schema: Schema) -> set[str]:
    """The fields whose values come from a list."""
    return {field.name for field in fields_of(schema).leaves if field.shape.is_listed}
