"""What methods that look for a better prompt share: where they start, what they choose by, and what they leave.

Dev is divided: candidates are compared on one part of it, and the winner's score is told on the other, which no
candidate was chosen by. Where it is no better there than the prompt that it came from, that prompt stays.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from components.errors import TrainingError
from components.evaluation import Scores, accuracy, changes, common
from components.methods.contract import Made
from components.methods.job import Job
from components.opening import PROMPT_FILE, Opened, prompt_of
from components.prompts import Prompt
from components.records import Completion, Example
from components.scorers import JsonSchemaScorer
from components.shots import Shots, keep_shots

Answered = Callable[[Sequence[Completion], float], None]
"""What counts answers: they, and the seconds that they took together."""


def starting_prompt(job: Job) -> Prompt:
    """The prompt that a rung starts from, with its shots; its own, or the trained models', where it starts from none.

    Raises:
        TrainingError: It starts from a model or a classifier, which no prompt can be searched for.
    """
    if job.start is None:
        return job.prompt
    if job.start.makes != "prompt":
        raise TrainingError(f"expected {job.rung} to start from a prompt, found a {job.start.makes}")
    return prompt_of(job.start, job.columns)


def divided(dev: Sequence[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Dev in two, `share` of it to choose by and the rest to tell by; groups stay whole.

    Raises:
        TrainingError: One of the two would be empty.
    """
    groups = list(dict.fromkeys(example.group for example in dev))
    random.Random(f"divided/{seed}").shuffle(groups)
    size = Counter(example.group for example in dev)
    chosen, taken = set[str](), 0
    for group in groups:
        if taken >= share * len(dev):
            break
        chosen.add(group)
        taken += size[group]
    parts = [one for one in dev if one.group in chosen], [one for one in dev if one.group not in chosen]
    if not all(parts):
        raise TrainingError(f"expected dev examples of several groups to divide, found {len(dev)} of {len(groups)}")
    return parts


@dataclass(frozen=True)
class Told:
    """A prompt on examples: right and valid shares, and the scores by example id."""

    right: float
    valid: float
    scores: Scores


def tell(job: Job, opened: Opened, examples: Sequence[Example], answered: Answered | None = None) -> Told:
    """What an opened prompt answers to examples is worth; `answered` is told of the answers and their seconds."""
    answers = opened.answer(examples, job.seed)
    completions = answers.completions
    if answered is not None:
        answered(completions, answers.seconds)
    scores, schema = job.score(examples, completions), JsonSchemaScorer(job.workload.output)
    valid = accuracy(schema.score(*pair) for pair in zip(examples, completions, strict=True)).value
    return Told(accuracy(scores.values()).value, valid, scores)


def settle(job: Job, opened: Opened, found: Prompt, telling: Sequence[Example], answered: Answered) -> Made:
    """Keep what was found where it is better on examples that it was not chosen by, else what it came from.

    `opened` is what it came from. The record has what was found fixed and broke there; how long all took, the caller
    knows.
    """
    before = tell(job, opened, telling, answered)
    changed = opened.prompt is not None and found.version != opened.prompt.version
    after = tell(job, replace(opened, prompt=found), telling, answered) if changed else before
    better = after.right > before.right
    kept = found if better else opened.prompt
    assert kept is not None, "expected a prompt to start from, found none"
    keep(job, kept)
    now = after if better else before
    moved = changes(*common(before.scores, after.scores))
    metrics = {
        "fixed": float(len(moved.fixed)),
        "broken": float(len(moved.broken)),
        "found_score": after.right,
        "start_score": before.right,
        "kept_start": float(not better),
    }
    return Made(0.0, now.right, len(telling), now.valid, metrics=metrics)


def keep(job: Job, prompt: Prompt) -> None:
    """Leave a prompt and its shots in the rung's folder."""
    job.out.mkdir(parents=True, exist_ok=True)
    prompt.write(job.out / f"{PROMPT_FILE}.md")
    if isinstance(prompt.shots, Shots):
        keep_shots(job.out, prompt.shots)
