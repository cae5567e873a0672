"""What methods share that search for a better prompt: where they start, how dev is split, and which prompt they keep.

Candidates are compared on one part of dev, and the winner is scored on the other, held-out part. If it is no better
there than the prompt that the search started from, that prompt stays.
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
"""Called with completions and the seconds that they took together, to count them."""


def starting_prompt(job: Job) -> Prompt:
    """The prompt that a rung starts from, with its shots; the job's prompt where it starts from none.

    Raises:
        TrainingError: It starts from a model or a classifier.
    """
    if job.start is None:
        return job.prompt
    if job.start.makes != "prompt":
        raise TrainingError(f"expected {job.rung} to start from a prompt, found a {job.start.makes}")
    return prompt_of(job.start, job.columns)


def split_dev(dev: Sequence[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Split dev in two: `share` of it to choose on, the rest held out; groups stay whole.

    Raises:
        TrainingError: A part would be empty.
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
    parts = [item for item in dev if item.group in chosen], [item for item in dev if item.group not in chosen]
    if not all(parts):
        raise TrainingError(f"expected dev examples of several groups to divide, found {len(dev)} of {len(groups)}")
    return parts


@dataclass(frozen=True)
class PromptResult:
    """How a prompt does on examples: right and valid shares, and the scores by example id."""

    right: float
    valid: float
    scores: Scores


def evaluate(job: Job, opened: Opened, examples: Sequence[Example], answered: Answered | None = None) -> PromptResult:
    """Answer examples with an opened prompt and score them; calls `answered` with the answers and their seconds."""
    answers = opened.answer(examples, job.seed)
    completions = answers.completions
    if answered is not None:
        answered(completions, answers.seconds)
    scores, schema = job.score(examples, completions), JsonSchemaScorer(job.workload.output)
    valid = accuracy(schema.score(*pair) for pair in zip(examples, completions, strict=True)).value
    return PromptResult(accuracy(scores.values()).value, valid, scores)


def keep_better(job: Job, opened: Opened, candidate: Prompt, held_out: Sequence[Example], answered: Answered) -> Made:
    """Keep the candidate if it is better than the starting prompt on held-out examples, else the starting prompt.

    `opened` has the starting prompt. The metrics say how many examples the candidate fixed and broke; `seconds` is left
    to the caller.
    """
    before = evaluate(job, opened, held_out, answered)
    changed = opened.prompt is not None and candidate.version != opened.prompt.version
    after = evaluate(job, replace(opened, prompt=candidate), held_out, answered) if changed else before
    better = after.right > before.right
    kept = candidate if better else opened.prompt
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
    return Made(0.0, now.right, len(held_out), now.valid, metrics=metrics)


def keep(job: Job, prompt: Prompt) -> None:
    """Write a prompt and its shots to the rung's folder."""
    job.out.mkdir(parents=True, exist_ok=True)
    prompt.write(job.out / f"{PROMPT_FILE}.md")
    if isinstance(prompt.shots, Shots):
        keep_shots(job.out, prompt.shots)
