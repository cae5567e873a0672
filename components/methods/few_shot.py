"""`few_shot`: shows train examples in the prompt, those most like the input or those that help most on dev.

The cheapest step above a written prompt: nothing is trained, and where the task is a convention that is hard to put
into words, examples show it better.
"""

import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from pydantic import Field
from tqdm import tqdm

from components.data.similarity import near_duplicates
from components.errors import TrainingError
from components.evaluation.sample import sample
from components.methods.contract import Made, prompted
from components.methods.job import Job
from components.methods.searching import (
    KeptAnswers,
    evaluate,
    keep,
    keep_better,
    search_folder,
    split_dev,
    starting_prompt,
)
from components.opening import Opened
from components.params import Settings
from components.prompts import Prompt
from components.records import Example, Makes, Need
from components.shots import Shot, Shots
from components.tracking import Tracker

log = logging.getLogger(__name__)


class FewShotParams(Settings):
    """Which examples are shown, and how many."""

    chosen: Literal["similar", "greedy"] = Field(
        default="similar",
        description="For each input the train examples most like it; or always the same ones, added one by one, each "
        "the one that raises the dev score most.",
    )
    shown: int = Field(default=4, ge=1, description="Examples in the prompt, at most.")
    most_characters: int = Field(default=4000, ge=1, description="Characters of all shown examples together.")
    bank: int = Field(default=2000, ge=1, description="Train examples that may be shown, drawn by the seed.")
    distinct: float = Field(
        default=0.8, gt=0, le=1, description="Jaccard index of their inputs from which two examples count as the same."
    )
    tried: int = Field(default=12, ge=1, description="For greedy: examples tried at each place.")
    chosen_on: float = Field(default=0.5, gt=0, lt=1, description="For greedy: share of dev that they are chosen on.")
    dev_examples: int = Field(default=300, ge=2)


class FewShot:
    """Shows answered examples in the prompt."""

    label: ClassVar[str] = "Examples in the prompt"
    makes: ClassVar[Makes] = "prompt"
    params: ClassVar[type[Settings]] = FewShotParams

    def needs(self, params: Any) -> frozenset[Need]:
        return frozenset({"demonstrations"})

    def make(self, job: Job, params: FewShotParams, tracker: Tracker) -> Made:
        started, prompt = time.monotonic(), starting_prompt(job)
        bank = bank_of(job, params, prompt)
        log.info("%s: %s examples may be shown.", job.rung, f"{len(bank):,}")
        opened, dev = job.open_prompt(prompt), job.dev_sample(params.dev_examples)
        answers = KeptAnswers(search_folder(job, "few_shot", dev), job.seed)
        if params.chosen == "similar":
            shown = replace(prompt, shots=_shots(params, "similar", bank))
            result = evaluate(job, replace(opened, prompt=shown), dev, answers)
            keep(job, shown)
            made = Made(0.0, result.right, len(dev), result.valid)
        else:
            choosing, held_out = split_dev(dev, params.chosen_on, job.seed)
            best = greedy(job, opened, Search(params, bank, choosing), answers)
            made = keep_better(job, opened, best, held_out, answers)
        made.metrics.update(bank=float(len(bank)), calls=float(len(answers.all)))
        return replace(made, seconds=time.monotonic() - started, prompted=prompted(job, answers.all))


def bank_of(job: Job, params: FewShotParams, prompt: Prompt) -> list[Shot]:
    """Train examples that may be shown: a seeded draw, without near-duplicates and those that are too long.

    Raises:
        TrainingError: None is left.
    """
    drawn = sample(job.train, params.bank, job.seed)
    columns = prompt.placeholders
    shots = [_shot(example, columns) for example in drawn]
    firsts = near_duplicates([shot.text for shot in shots], params.distinct)
    distinct = [shot for at, shot in enumerate(shots) if firsts[at] == at and shot.answer.strip()]
    fitting = [shot for shot in distinct if shot.characters <= params.most_characters]
    if not fitting:
        raise TrainingError(
            f"expected train examples of at most {params.most_characters:,} characters to show (most_characters), "
            f"found none among {len(drawn):,}"
        )
    return fitting


@dataclass(frozen=True)
class Search:
    """A greedy search: the shots to choose from, and the examples to choose them on."""

    params: FewShotParams
    bank: Sequence[Shot]
    choosing: Sequence[Example]


def greedy(job: Job, opened: Opened, search: Search, answers: KeptAnswers) -> Prompt:
    """Add the shot that raises the prompt's score most, one after the other, until no tried shot raises it."""
    params, choosing = search.params, search.choosing
    best = opened.prompt
    assert best is not None, "expected a prompt to start from, found none"
    result, chosen = evaluate(job, opened, choosing, answers), list[Shot]()
    for place in range(params.shown):
        left = [shot for shot in search.bank if shot not in chosen]
        tried = [left[at] for at in _spread(len(left), params.tried, f"{job.seed} {place}")]
        options = [replace(best, shots=_shots(params, "first", [*chosen, shot])) for shot in tried]
        shown = tqdm(options, f"shot {place + 1}")
        results = [evaluate(job, replace(opened, prompt=option), choosing, answers) for option in shown]
        gains = [result.gain(option) for option in results]
        if max(gains, default=0) <= 0:
            break
        top = gains.index(max(gains))
        best, result, chosen = options[top], results[top], [*chosen, tried[top]]
    return best


def _spread(n: int, most: int, seed: str) -> list[int]:
    """At most `most` of n indices, drawn by a seed."""
    return random.Random(seed).sample(range(n), min(n, most))


def _shot(example: Example, columns: Sequence[str]) -> Shot:
    return Shot(id=example.id, input={name: example.input[name] for name in columns}, answer=example.demonstration)


def _shots(params: FewShotParams, chosen: Literal["first", "similar"], bank: Sequence[Shot]) -> Shots:
    return Shots(chosen=chosen, shown=params.shown, most_characters=params.most_characters, bank=tuple(bank))
