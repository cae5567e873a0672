"""What methods share that search for a better prompt: where they start and resume, how dev is split, what they keep.

Candidates are compared on one part of dev, and the winner is scored on the other, held-out part. If it is no better
there than the prompt that the search started from, that prompt stays.
"""

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from components.errors import TrainingError
from components.evaluation import Changes, Scores, accuracy, changes, common
from components.methods.contract import Made
from components.methods.job import Job, asked_as_usual
from components.opening import PROMPT_FILE, Opened, prompt_of
from components.prompts import Prompt
from components.records import Completion, Example, Record, read_jsonl, write_jsonl
from components.scorers import JsonSchemaScorer
from components.shots import Shots, keep_shots

ANSWERS = "answers.jsonl"
Counting = Callable[[Sequence[Completion], float], None]
"""Called with new completions and the seconds that they took together, to count them."""


class Answered(Record):
    """An answer under a version of the prompt."""

    version: str
    completion: Completion


class KeptAnswers:
    """A search's greedy answers, kept in its folder, so that an interrupted search pays for none twice."""

    def __init__(self, folder: Path, seed: int, count: Counting | None = None) -> None:
        self._file, self._seed, self._count = folder / ANSWERS, seed, count
        kept = read_jsonl(self._file, Answered) if self._file.is_file() else []
        self._known = {(answer.version, answer.completion.example_id): answer.completion for answer in kept}

    @property
    def all(self) -> list[Completion]:
        """Those of earlier attempts at the search, too."""
        return list(self._known.values())

    def of(self, opened: Opened, examples: Sequence[Example]) -> list[Completion]:
        """One to each example, in order; only new ones are asked for, and another attempt asks again what failed."""
        assert opened.prompt is not None, "expected a prompt to answer with, found none"
        version, known = opened.prompt.version, self._known
        if fresh := [example for example in examples if (version, example.id) not in known]:
            new = opened.answer(fresh, self._seed)
            if self._count is not None:
                self._count(new.completions, new.seconds)
            known |= {(version, completion.example_id): completion for completion in new.completions}
            whole = [(key, completion) for (key, _), completion in known.items() if completion.error is None]
            write_jsonl(self._file, [Answered(version=key, completion=completion) for key, completion in whole])
        return [known[version, example.id] for example in examples]


def search_folder(job: Job, method: str, examples: Sequence[Example], settings: str = "") -> Path:
    """The folder that an interrupted search resumes from; another one if anything that it depends on changed."""
    prompt, api = starting_prompt(job), job.profile.prompting
    texts = (
        settings, prompt.version, str(job.seed), job.profile.engine.model_dump_json(),
        str(api and asked_as_usual(api)), job.profile.model.model_dump_json(), job.workload.incumbent,
        str(prompt.name in job.workload.constrained), job.verdicts_by(job.workload.scorer),
        *(example.model_dump_json() for example in examples),
    )  # fmt: skip
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    return job.work / f"{method}-{digest[:16]}"


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
    """Split dev in two: `share` of it to choose on, the rest held out; groups stay whole, and one at least is held out.

    Raises:
        TrainingError: There are fewer than two groups.
    """
    groups = list(dict.fromkeys(example.group for example in dev))
    random.Random(f"divided/{seed}").shuffle(groups)
    size = Counter(example.group for example in dev)
    chosen, taken = set[str](), 0
    for group in groups[:-1]:
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

    def moved(self, to: "PromptResult") -> Changes:
        """What another prompt fixes and breaks, of what the scorer decided for both: it may leave out some of each."""
        return changes(*common(self.scores, to.scores))

    def gain(self, to: "PromptResult") -> int:
        """How many more another prompt has right, of the same."""
        moved = self.moved(to)
        return len(moved.fixed) - len(moved.broken)


def evaluate(job: Job, opened: Opened, examples: Sequence[Example], answers: KeptAnswers) -> PromptResult:
    """Answer examples with an opened prompt and score them."""
    completions = answers.of(opened, examples)
    scores, schema = job.score(examples, completions), JsonSchemaScorer(job.workload.output)
    valid = accuracy(schema.score(*pair) for pair in zip(examples, completions, strict=True)).value
    return PromptResult(accuracy(scores.values()).value, valid, scores)


def keep_better(job: Job, opened: Opened, candidate: Prompt, held_out: Sequence[Example], answers: KeptAnswers) -> Made:
    """Keep the candidate if it is better than the starting prompt on held-out examples, else the starting prompt.

    `opened` has the starting prompt. The metrics say how many examples the candidate fixed and broke; `seconds` is left
    to the caller.
    """
    before = evaluate(job, opened, held_out, answers)
    changed = opened.prompt is not None and candidate.version != opened.prompt.version
    after = evaluate(job, replace(opened, prompt=candidate), held_out, answers) if changed else before
    better = before.gain(after) > 0
    kept = candidate if better else opened.prompt
    assert kept is not None, "expected a prompt to start from, found none"
    keep(job, kept)
    now = after if better else before
    moved = before.moved(after)
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
