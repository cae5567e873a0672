"""Tasks of an agent as data: split without leakage, counted in tokens as they are trained on, refused where broken."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.data.harvest import Harvested
from components.data.prepare import Taken, prepare
from components.data.tokens import TokenLimit, TryTokens
from components.errors import DataError
from components.params import GeneratedSource, Workload
from components.records import Example, Trajectory, read_jsonl, write_jsonl
from components.tasks import demonstrated, under
from components.tracking import NullTracker
from components.training.encode import encode_trajectories
from components.workloads.desk import Task, drifted, generate
from tests.components.workloads.desk_settings import PROMPT, SHORT
from tests.components.workloads.desk_settings import WORKLOAD as DESK

ROOT = Path(__file__).resolve().parents[3]
PROMPTS = [SHORT, PROMPT]
SIZES = {"train": 20, "dev": 5, "test": 5, "sealed": 5}


def odd(task: Task, **changes: Any) -> SimpleNamespace:
    """What a generator of one's own may yield: the attributes of a task, some of them otherwise."""
    return SimpleNamespace(**{**vars(task), **changes})


def again(n: int, seed: int) -> Iterator[SimpleNamespace]:
    """The same tasks twice, under other names."""
    for name, task in ((f"{task.id}{end}", task) for task in generate(n, seed) for end in ("", "-again")):
        yield odd(task, id=name, group=name)


def broken(n: int, seed: int) -> Iterator[SimpleNamespace]:
    """Each twentieth demonstration has lost the schemas of its tools."""
    for at, task in enumerate(generate(n, seed)):
        lost = task.demonstration.model_copy(update={"tools": ()}) if at % 20 == 3 else task.demonstration
        yield odd(task, demonstration=lost)


def told(n: int, seed: int) -> Iterator[SimpleNamespace]:
    """Demonstrations that are texts."""
    for task in generate(n, seed):
        yield odd(task, demonstration="Done.")


def workload(generator: str = "components.workloads.desk:generate") -> Workload:
    source = GeneratedSource.model_validate({"kind": "generated", "generator": generator, "seed": 3, "sizes": SIZES})
    return DESK.model_copy(update={"source": source})


def prepared(tmp_path: Path, of: Workload, taken: Taken | None = None) -> dict[str, list[Example]]:
    prepare(of, tmp_path / "none", tmp_path / "out", NullTracker(), *filter(None, (taken,)))
    return {split: read_jsonl(tmp_path / "out" / f"{split}.jsonl", Example) for split in SIZES}


def test_tasks_that_begin_alike_are_tasks_of_their_own_and_no_task_is_in_two_splits(tmp_path: Path) -> None:
    splits = prepared(tmp_path, workload())
    assert {split: len(rows) for split, rows in splits.items()} == SIZES
    tasks = [(*example.input.values(), *example.evidence.values()) for rows in splits.values() for example in rows]
    assert (
        len(set(tasks)) == len(tasks) > len({example.input["message"] for rows in splits.values() for example in rows})
    )
    assert all(demonstrated(example).tool_calls for rows in splits.values() for example in rows[:3])


def test_the_same_task_again_is_left_out(tmp_path: Path) -> None:
    splits = prepared(tmp_path, workload(f"{__name__}:again"))
    assert not [example.id for rows in splits.values() for example in rows if example.id.endswith("-again")]


def test_a_demonstration_without_the_schemas_of_its_tools_is_refused_by_its_rule(tmp_path: Path) -> None:
    of = workload(f"{__name__}:broken")
    of = of.model_copy(update={"validation": of.validation.model_copy(update={"max_quarantined_share": 0.2})})
    report = prepare(of, tmp_path / "none", tmp_path / "out", NullTracker())
    assert report.quarantined == {"demonstration is not a try": 2}
    assert report.summary.demonstration_accuracy is None


def test_a_generator_whose_demonstrations_are_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a Trajectory as demonstration, found str"):
        prepared(tmp_path, workload(f"{__name__}:told"))


def test_tokens_of_a_try_are_those_that_training_reads_under_the_longest_prompt(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(ROOT / "models/nano")
    rows, counted = prepared(tmp_path, workload())["train"][:6], TryTokens(tokenizer)

    def trained(at: int) -> list[int]:
        tries: list[Trajectory] = [under(PROMPTS[at].messages(example), demonstrated(example)) for example in rows]
        return [len(encoded.ids) for encoded in encode_trajectories(tokenizer, tries, 4096)]

    for at in range(2):
        difference = [a - b for a, b in zip(counted.longest([PROMPTS[at]], rows), trained(at), strict=True)]
        assert set(difference) <= {0, 1}  # templates end a turn with a line, which training does not read
    assert counted.longest(PROMPTS, rows) == counted.longest(PROMPTS[1:], rows)
    limit = TokenLimit("max_tokens", min(trained(0)) - 1, partial(counted.longest, PROMPTS[:1]))
    with pytest.raises(DataError, match=r"prompt and answer are too long \(max_tokens\)"):
        prepared(tmp_path, workload(), Taken([limit]))


def production(at: int, task: Any) -> Harvested:
    """A try of production at a task, as a harvest keeps it."""
    example = Example(
        id=f"P-{at}", input={"message": task.message}, demonstration=task.demonstration.demonstration,
        reference="", group=f"P-{at}", slices={"origin": "production"},
    )  # fmt: skip
    return Harvested(example=example, split="train", source="scored")


def test_tries_of_production_train_beside_the_tasks_and_change_no_other_split(tmp_path: Path) -> None:
    drifted_tasks = list(drifted(12, 77, "argument"))
    rows = [production(at, task) for at, task in enumerate(drifted_tasks)]
    bare = drifted_tasks[0].demonstration.model_copy(update={"tools": ()})
    rows += [
        production(12, drifted_tasks[3]),  # the same as one before
        production(13, odd(drifted_tasks[0], message="Hello.", demonstration=bare)),
    ]
    folder = tmp_path / "none" / "harvest"
    folder.mkdir(parents=True)
    write_jsonl(folder / "tries.jsonl", rows)
    lenient = DESK.validation.model_copy(update={"max_quarantined_share": 0.1})
    own = prepared(tmp_path, workload().model_copy(update={"validation": lenient}))
    all_of = prepared(tmp_path, workload().model_copy(update={"harvest": ("tries.jsonl",), "validation": lenient}))
    for split in ("dev", "test", "sealed"):
        assert [example.id for example in all_of[split]] == [example.id for example in own[split]]
    assert [example.id for example in all_of["train"]] == [example.id for example in own["train"]] + [
        f"P-{at}" for at in range(12)
    ]
    assert [demonstrated(example).calls for example in all_of["train"][-12:]] == [
        example.demonstration.calls for example in drifted_tasks
    ]
    refused = (tmp_path / "out" / "quarantine.jsonl").read_text(encoding="utf-8")
    assert "repeats P-3" in refused and "no schema of the tool" in refused
