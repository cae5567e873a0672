"""The labelled sample that a certificate rests on: answers of which it is known whether they are right.

Decides where the labels come from: people, where a file has some; otherwise references and what is made of them, and
models' answers that surely differ from the reference.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from components.errors import DataError
from components.evaluation.perturbations import mistakes, rewritten, surely_wrong
from components.records import Example, Record
from components.scorers.answers import NotAnAnswer, read

REFERENCE, ONE_FIELD = "reference", "one field wrong"


class Label(Record):
    """A line of labels.jsonl: what one person says of an answer to an example, named by its id or by its input."""

    example_id: str | None = None
    input: dict[str, str] | None = None
    answer: str
    right: bool
    annotator: str | None = None


@dataclass(frozen=True)
class Labelled:
    """An answer, whether it is right, where that is known from, and what each person said where people did."""

    example: Example
    text: str
    right: bool
    origin: str
    people: Mapping[str, bool]


Source = Literal["people", "built"]


def of_people(labels: Sequence[Label], examples: Sequence[Example]) -> list[Labelled]:
    """Answers as most of their annotators see them; those that they are divided on are left out.

    A label without an annotator is another person's each time; of several by the same one the last counts.

    Raises:
        DataError: A label names no known example.
    """
    by_id = {example.id: example for example in examples}
    by_input = {_key(example.input): example for example in examples}
    verdicts: dict[tuple[str, str], dict[str, bool]] = defaultdict(dict)
    for number, label in enumerate(labels, start=1):
        example = by_id.get(label.example_id or "") or by_input.get(_key(label.input or {}))
        if example is None:
            asked = label.example_id or str(label.input)[:60]
            raise DataError(f"expected labels of examples of train or dev, found {asked} (labels.jsonl:{number})")
        said = verdicts[example.id, label.answer]
        said[label.annotator or f"unnamed {len(said) + 1}"] = label.right
    return [
        Labelled(by_id[key], text, 2 * sum(people.values()) > len(people), "people", people)
        for (key, text), people in verdicts.items()
        if 2 * sum(people.values()) != len(people)
    ]


def built(
    examples: Sequence[Example],
    answers: Mapping[str, Mapping[str, str]],
    schema: Mapping[str, Any],
    synonyms: Mapping[str, str],
    rng: random.Random,
) -> list[Labelled]:
    """One right and one wrong answer of each example; an example of which no wrong answer is known gives only one.

    The right one is the reference or the same written otherwise. `answers` maps model → example id → answer: one that
    surely differs from the reference is taken for the wrong one as often as a reference with one field wrong.
    """
    donors = parsed(examples, schema)
    answered: list[Labelled] = []
    for example in examples:
        same = {REFERENCE: example.reference, **rewritten(example.reference, synonyms, schema)}
        origin = rng.choice(sorted(same))
        answered.append(Labelled(example, same[origin], True, origin, {}))
        wrong = {
            f"answer of {model}": texts[example.id]
            for model, texts in answers.items()
            if example.id in texts and surely_wrong(texts[example.id], example.reference, schema)
        }
        made = mistakes(example.reference, schema, donors, rng)
        if made:
            wrong[ONE_FIELD] = made[rng.choice(sorted(made))]
        if wrong:
            origin = rng.choice(sorted(wrong))
            answered.append(Labelled(example, wrong[origin], False, origin, {}))
    return answered


def parsed(examples: Sequence[Example], schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The references that can be read."""
    references: list[Mapping[str, Any]] = []
    for example in examples:
        try:
            references.append(read(example.reference, schema))
        except NotAnAnswer:
            continue
    return references


def origins(sample: Sequence[Labelled]) -> dict[str, int]:
    """How many answers come from where, right and wrong ones counted apart."""
    counts = Counter(f"{'right' if answer.right else 'wrong'}: {answer.origin}" for answer in sample)
    return dict(sorted(counts.items()))


def _key(columns: Mapping[str, str]) -> str:
    return repr(sorted(columns.items()))
