"""What people said of answers, as methods learn from it: each opinion with the example that it is about.

Decides which opinions may be learnt from: those on examples of train, and on other inputs that no example of dev, test
or the sealed split resembles. A method is told that they do, and sees neither test nor the sealed split.
"""

import logging
from collections.abc import Sequence
from typing import TypeVar

from components.errors import DataError
from components.methods.job import Job
from components.records import Example, Logged, Preference, Thumb

MEASURED = ("dev", "test", "sealed")  # nothing that resembles these is learnt from
Opinion = TypeVar("Opinion", Preference, Thumb, Logged)
log = logging.getLogger(__name__)


def learnable(job: Job, opinions: Sequence[Opinion]) -> list[tuple[Example, Opinion]]:
    """Opinions that may be learnt from, with their examples, in order; those that say the same, once.

    Raises:
        DataError: One brings an input that lacks a column of the prompt.
    """
    train, dev = {one.id: one for one in job.train}, {one.id for one in job.dev}
    distinct = list({one.model_dump_json(): one for one in opinions}.values())
    own = [one for one in distinct if one.example_id not in train and one.example_id not in dev and one.input]
    fresh = dict(zip((one.example_id for one in own), _unseen(job, own), strict=True))
    known = [(train.get(one.example_id) or fresh.get(one.example_id), one) for one in distinct]
    kept = [(example, one) for example, one in known if example is not None]
    if len(kept) < len(distinct):
        log.info(
            "%s: %s of %s opinions are of no example of train.", job.rung, len(distinct) - len(kept), len(distinct)
        )
    return kept


def _unseen(job: Job, opinions: Sequence[Opinion]) -> list[Example | None]:
    """An example of each opinion's input; None where an example that models are measured by resembles it."""
    if not opinions:
        return []
    columns = job.prompt.placeholders
    for one in opinions:
        if missing := [name for name in columns if name not in one.input]:
            raise DataError(f"expected the input {missing[0]} with the opinion on {one.example_id}, found none")
    assert job.resembled is not None, "expected to be told what resembles a split, found nobody"
    examples = [_example(one) for one in opinions]
    places = job.resembled(examples)
    return [None if place in MEASURED else one for one, place in zip(examples, places, strict=True)]


def _example(opinion: Preference | Thumb | Logged) -> Example:
    name = opinion.example_id
    return Example(id=name, input=opinion.input, demonstration="", reference="", group=name)
