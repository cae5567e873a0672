"""Two versions of a run side by side: what the second fixed, what it broke, on which slices, with examples.

Decides what a version may be: a rung of the run, a registered version by number or alias, a prompt of the workload.
Uses dev or test, never the sealed split.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from components.engines import open_prompting
from components.evaluation import changes, common, compare, compare_slices, slice_members, values
from components.evaluation.clusters import codes_of
from components.evaluation.compare import Layout
from components.evaluation.paired import holm
from components.opening import Opened, over
from components.records import (
    Comparison,
    Completion,
    Example,
    Record,
    SliceComparison,
    read_jsonl,
    write_jsonl,
)
from components.registry import registered, registered_number
from components.stages.answers import MUST_PASS, answered, answers_folder, opened_rung, opened_version, rows_of
from components.stages.run import PROMPTS, STATE, Run, digest
from components.stages.scoring import score

Split = Literal["dev", "test"]


class ChangedAnswer(Record):
    """An example that changed sides: its input, both answers and the right one."""

    example_id: str
    input: dict[str, str]
    before: str
    after: str
    reference: str


class SliceChange(SliceComparison):
    """A slice's comparison, with its p-value corrected for all compared slices (Holm)."""

    adjusted_p: float


class VersionComparison(Record):
    """What a version changed on a split; `failed_cases` are the must-pass cases that it fails."""

    before: str
    after: str
    split: Split
    n: int
    accuracy: tuple[float, float]
    overall: Comparison
    slices: tuple[SliceChange, ...]
    fixed: tuple[ChangedAnswer, ...]
    broken: tuple[ChangedAnswer, ...]
    failed_cases: tuple[str, ...]


def compare_versions(run: Run, names: tuple[str, str], split: Split = "test") -> VersionComparison:
    """Compare the second version with the first; a version without stored answers answers now.

    Raises:
        RegistryError: A name is no rung or prompt of the run, and no version or alias either.
    """
    examples = run.asked("test") if split == "test" else run.examples(split)
    answers = [answers_of(run, name, split, examples) for name in names]
    was, now = common(*(score(run, examples, completions) for completions in answers))
    before, after = (values(scores, was, "accuracy") for scores in (was, now))
    groups = {example.id: example.group for example in examples}
    members = slice_members(was, run.slices_of(examples))
    layout = Layout(members, run.seed, codes_of([groups[key] for key in was]))
    of_slices = compare_slices(before, after, layout, "accuracy")
    moved = changes(was, now)
    return VersionComparison(
        before=names[0],
        after=names[1],
        split=split,
        n=len(was),
        accuracy=(float(before.mean()), float(after.mean())),
        overall=compare(was, now, run.seed, groups=groups),
        slices=tuple(
            SliceChange(adjusted_p=p, **slice_change.model_dump())
            for slice_change, p in zip(
                of_slices, holm([slice_change.p_value for slice_change in of_slices]), strict=True
            )
        ),
        fixed=_changed(examples, answers, moved.fixed),
        broken=_changed(examples, answers, moved.broken),
        failed_cases=_failed_cases(run, names[1]),
    )


def answers_of(
    run: Run, name: str, split: Literal["dev", "test", "must_pass"], examples: Sequence[Example]
) -> list[Completion]:
    """A version's completions: the evaluation's, or new ones, which are kept for the next time."""
    evaluated = answers_folder(run, name) / f"{split}.jsonl"
    if _answers(evaluated, examples) and _was_asked(run, name, split, examples):
        return read_jsonl(evaluated, Completion)
    path = _kept(run, name, split, examples)
    if not _answers(path, examples):
        opened = _opened(run, name)
        if split == "test":  # as in the evaluation, where an agent has several trials
            answers = opened.attempt(run.examples("test"), run.seed, run.trials)
        else:
            answers = opened.answer(examples, run.seed)
        write_jsonl(path, answers.completions)
    return read_jsonl(path, Completion)


def _kept(run: Run, name: str, split: str, examples: Sequence[Example]) -> Path:
    """The file of what a version answers to these examples, as they read, from an earlier comparison or from now on."""
    if run.is_made(name):
        label = f"{name}-{digest(run.rung(name).model_dump_json())}"
    elif (number := _version(run, name)) is not None:
        label = f"version-{number}"
    else:
        label = f"{name}-{run.prompt(name).version}"
    return STATE / "compare" / run.name / split / f"{label}-{_asked(run, examples)}.jsonl"


def _asked(run: Run, examples: Sequence[Example]) -> str:
    """A hash of what is asked, and of who is asked how."""
    workload, profile = run.workload, run.profile
    parts = (profile.model, profile.engine, profile.prompting, workload.agent)
    return digest(run.seed, workload.incumbent, *filter(None, parts), *rows_of(examples))


def _version(run: Run, name: str) -> int | None:
    """The number of a registered version, by number or alias; None if the name is a rung's or a prompt's."""
    if run.is_made(name) or (PROMPTS / run.workload.name / f"{name}.md").is_file():
        return None
    return int(name) if name.isdigit() else registered(run.workload.name, name).number


def _opened(run: Run, name: str) -> Opened:
    """A version, opened."""
    if run.is_made(name):
        return opened_rung(run, run.rung(name))
    if (number := _version(run, name)) is not None:
        return opened_version(run, registered_number(run.workload.name, number))
    return over(open_prompting(run.profile, run.workload.incumbent), run.prompt(name), run.workload, run.profile)


def _answers(path: Path, examples: Sequence[Example]) -> bool:
    """Whether a file has the answers to exactly these examples."""
    if not path.is_file():
        return False
    return {row.example_id for row in read_jsonl(path, Completion)} == {row.id for row in examples}


def _was_asked(run: Run, name: str, split: str, examples: Sequence[Example]) -> bool:
    """Whether an evaluated rung was asked these examples as they read; of must-pass cases its record has to say so."""
    finished = (answers_folder(run, name) / "answered.json").is_file()
    then = answered(run, name).asked.get(split) if finished else None
    return then == digest(*rows_of(examples)) or (then is None and split != MUST_PASS)


def _failed_cases(run: Run, name: str) -> tuple[str, ...]:
    if not (cases := run.must_pass):
        return ()
    scores = score(run, cases, answers_of(run, name, "must_pass", cases))
    return tuple(case.id for case in cases if case.id not in scores or not scores[case.id].passed)


def _changed(
    examples: Sequence[Example], answers: Sequence[Sequence[Completion]], ids: Sequence[str]
) -> tuple[ChangedAnswer, ...]:
    by_id = {example.id: example for example in examples}
    before, after = ({example.example_id: example.text for example in completions} for completions in answers)
    return tuple(
        ChangedAnswer(
            example_id=key, input=by_id[key].input, before=before[key], after=after[key],
            reference=by_id[key].reference,
        )
        for key in ids
    )  # fmt: skip
