"""People's opinions of answers, for methods to learn from: each opinion with the example that it is about.

Decides which opinions may be learnt from: those on train examples, and those on inputs that resemble no example of
dev, test or the sealed split. A method learns which inputs do, but sees neither test nor the sealed split.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import TypeVar

from components.data.texts import clean
from components.errors import DataError
from components.methods.job import Job
from components.records import Example, Logged, Preference, Thumb

MEASURED = ("dev", "test", "sealed")  # inputs that resemble these are not learnt from
Opinion = TypeVar("Opinion", Preference, Thumb, Logged)
log = logging.getLogger(__name__)


def learnable(job: Job, opinions: Sequence[Opinion]) -> list[tuple[Example, Opinion]]:
    """Opinions that may be learnt from, with their examples, in order; equal ones once.

    Raises:
        DataError: An opinion's input lacks a column of the prompt.
    """
    train, dev = ({example.id: example for example in split} for split in (job.train, job.dev))
    distinct = {opinion.model_dump_json(): opinion for opinion in opinions}
    found = {key: named(opinion, train) for key, opinion in distinct.items()}
    own = [
        key for key, opinion in distinct.items() if found[key] is None and named(opinion, dev) is None and opinion.input
    ]
    found |= zip(own, _unseen(job, [distinct[key] for key in own]), strict=True)
    kept = [(example, distinct[key]) for key, example in found.items() if example is not None]
    if len(kept) < len(distinct):
        log.info(
            "%s: %s of %s opinions are of no example of train.", job.rung, len(distinct) - len(kept), len(distinct)
        )
    return kept


def named(opinion: Opinion, examples: Mapping[str, Example]) -> Example | None:
    """The example with an opinion's id; None where there is none, or where something else was asked than there."""
    example = examples.get(opinion.example_id)
    if example is None or any(example.input.get(name, text) != text for name, text in _asked(opinion).items()):
        return None
    return example


def _unseen(job: Job, opinions: Sequence[Opinion]) -> list[Example | None]:
    """An example for each opinion's input; None where it resembles an example of `MEASURED`."""
    if not opinions:
        return []
    columns = job.prompt.placeholders
    for example in opinions:
        if missing := [name for name in columns if name not in example.input]:
            raise DataError(f"expected the input {missing[0]} with the opinion on {example.example_id}, found none")
    assert job.resembled is not None, "expected to be told what resembles a split, found nobody"
    examples = [_example(example) for example in opinions]
    places = job.resembled(examples)
    return [None if place in MEASURED else example for example, place in zip(examples, places, strict=True)]


def _example(opinion: Preference | Thumb | Logged) -> Example:
    name = opinion.example_id
    return Example(id=name, input=_asked(opinion), demonstration="", reference="", group=name)


def _asked(opinion: Preference | Thumb | Logged) -> dict[str, str]:
    """An opinion's input in the form that data and requests have."""
    return {name: clean(text) for name, text in opinion.input.items()}
