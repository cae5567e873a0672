"""Published files become what a workload reads, row by row; a file that is not as published is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.data.prepare import prepare
from components.data.published import FOLDS, convert
from components.errors import DataError
from components.params import Workload, load
from components.records import Example, read_jsonl
from components.tracking import NullTracker

ROOT = Path(__file__).resolve().parents[3]
REAL = Path(os.environ.get("GRADUS_REAL_DATA", ROOT.parent / "shared" / "data"))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def tagged(folder: Path, words: str, tags: str, intents: str) -> None:
    folder.mkdir(parents=True)
    for name, content in (("seq.in", words), ("seq.out", tags), ("label", intents)):
        (folder / name).write_text(content, encoding="utf-8")


def test_tags_become_slots_with_the_words_of_the_text(tmp_path: Path) -> None:
    words = "put añejo on my list and my other list\nrain in rome\n"
    tags = "O B-track O B-owner B-list O B-owner B-list I-list\nO O I-city\n"
    for split in ("train", "valid", "test"):
        tagged(tmp_path / "from" / split, words, tags, "Put\nWeather\n")
    assert convert("snips", tmp_path / "from", tmp_path / "to") == {"train": 2, "dev": 2, "test": 2}
    first, second = lines(tmp_path / "to" / "dev.jsonl")
    slots = {"track": ["añejo"], "owner": ["my", "my"], "list": ["list", "other list"]}
    assert first == {"id": "dev-0", "text": words.splitlines()[0], "intent": "Put", "slots": slots}
    assert second["slots"] == {"city": ["rome"]}  # an inside without a beginning begins


def test_two_slots_of_one_name_side_by_side_stay_two(tmp_path: Path) -> None:
    for split in ("train", "dev", "test"):
        tagged(tmp_path / "from" / split, "red blue wine\n", "B-c B-c I-d\n", "Buy\n")
    convert("snips", tmp_path / "from", tmp_path / "to")
    assert lines(tmp_path / "to" / "train.jsonl")[0]["slots"] == {"c": ["red", "blue"], "d": ["wine"]}


@pytest.mark.parametrize(
    ("tags", "intents", "expected"),
    [("O O\n", "A\n", "a tag for each of 3 words, found 2"), ("O O O\n", "A\nB\n", "found 1, 1 and 2")],
)
def test_lines_that_do_not_match_are_refused_and_nothing_is_written(
    tmp_path: Path, tags: str, intents: str, expected: str
) -> None:
    for split in ("train", "valid"):
        tagged(tmp_path / "from" / split, "a b c\n", "O O O\n", "A\n")
    tagged(tmp_path / "from" / "test", "a b c\n", tags, intents)
    with pytest.raises(DataError, match=expected):
        convert("snips", tmp_path / "from", tmp_path / "to")
    assert not (tmp_path / "to").exists()


def restaurants(folder: Path, entries: Any) -> None:
    folder.mkdir()
    for name in ("train_0", "test"):
        (folder / f"{name}.json").write_text(json.dumps(entries), encoding="utf-8")


def test_spans_become_the_words_that_they_cover(tmp_path: Path) -> None:
    at_start = {"userInput": {"text": "6 p.m."}, "context": {"requestedSlots": ["time"]},
                "labels": [{"slot": "time", "valueSpan": {"endIndex": 6}}]}  # fmt: skip
    labels = [{"slot": "time", "valueSpan": {"startIndex": at, "endIndex": at + 1}} for at in (7, 13)]
    twice = {"userInput": {"text": "not at 6 but 7"}, "context": {}, "labels": labels}
    restaurants(tmp_path / "from", [at_start, twice, {"userInput": {"text": "Hello"}}])
    assert convert("restaurants8k", tmp_path / "from", tmp_path / "to") == {"train": 3, "test": 3}
    assert lines(tmp_path / "to" / "test.jsonl") == [
        {"id": "test-0", "text": "6 p.m.", "requested": ["time"], "slots": {"time": "6 p.m."}},
        {"id": "test-1", "text": "not at 6 but 7", "requested": [], "slots": {"time": "6"}},
        {"id": "test-2", "text": "Hello", "requested": [], "slots": {}},
    ]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([{"text": "Hello"}], "found no 'userInput' .entry 1"),
        ([{"userInput": {"text": "6"}, "labels": [{"slot": "time"}]}], "found no 'valueSpan'"),
        (["Hello"], "entry 1"),
        ([{"userInput": {"text": "6"}, "labels": None}], "entry 1"),
        ({"data": []}, "a list of examples, found dict"),
    ],
)
def test_entries_of_another_form_are_refused_with_their_place(tmp_path: Path, entries: Any, expected: str) -> None:
    restaurants(tmp_path / "from", entries)
    with pytest.raises(DataError, match=expected):
        convert("restaurants8k", tmp_path / "from", tmp_path / "to")


def folds(folder: Path) -> Path:
    folder.mkdir()
    for fold in FOLDS:
        slots = {"time": {"text": "6", "span": [0, 1], "value": {"hour": 6, "minute": 0}},
                 "days": {"text": "6", "span": [0, 1], "values": {"type": "relative", "days": 6}}}  # fmt: skip
        rows = [{"text": f"{fold}", "intents": ["when"], "slots": slots}, {"text": f"{fold} bye"}]
        (folder / f"fold{fold}.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder


def test_folds_become_train_and_test_with_canonical_values(tmp_path: Path) -> None:
    source = folds(tmp_path / "banking")
    assert convert("nluplusplus-banking", source, tmp_path / "to") == {"train": 36, "test": 4}
    first, second, *_ = lines(tmp_path / "to" / "test.jsonl")
    assert first["id"] == "banking-18-0" and first["intents"] == ["when"]
    assert first["slots"] == {"time": {"hour": 6, "minute": 0}, "days": {"type": "relative", "days": 6}}
    assert (second["intents"], second["slots"]) == ([], {})
    convert("nluplusplus-banking", source, tmp_path / "other", test_folds=(0,))
    assert {row["fold"] for row in lines(tmp_path / "other" / "test.jsonl")} == {0}


def test_a_missing_fold_and_a_broken_file_are_named(tmp_path: Path) -> None:
    source = folds(tmp_path / "banking")
    (source / "fold7.json").write_text("[{")
    with pytest.raises(DataError, match=r"expected JSON, .*fold7\.json"):
        convert("nluplusplus-banking", source, tmp_path / "to")
    (source / "fold7.json").write_bytes(b'[{"text": "caf\xe9"}]')
    with pytest.raises(DataError, match=r"in UTF-8, found .*fold7\.json"):
        convert("nluplusplus-banking", source, tmp_path / "to")
    (source / "fold7.json").unlink()
    with pytest.raises(DataError, match=r"^expected a published file, found No such file.*fold7\.json"):
        convert("nluplusplus-banking", source, tmp_path / "to")


def test_the_command_converts_and_says_in_a_sentence_what_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "components.data.published", "nluplusplus-hotels"]
    options = ["--data", str(tmp_path / "data")]
    done = subprocess.run(
        [*command, str(folds(tmp_path / "hotels")), *options], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.stdout == f"{tmp_path / 'data' / 'nluplusplus-hotels'}: train 36, test 4\n"
    failed = subprocess.run(
        [*command, str(tmp_path / "none"), *options], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert failed.returncode == 2
    assert failed.stderr.startswith("gradus: expected a published file") and "Traceback" not in failed.stderr


@pytest.mark.real_data
def test_snips_keeps_its_published_splits_and_counts_what_leaks(tmp_path: Path) -> None:
    if not (REAL / "snips").is_dir():
        pytest.skip(f"needs the SNIPS files in {REAL / 'snips'} (GRADUS_REAL_DATA names the folder above)")
    workload = load(ROOT / "params" / "workloads" / "snips.yaml", Workload)
    report = prepare(workload, REAL / "snips", tmp_path / "out", NullTracker())
    assert (report.summary.dev, report.summary.test) == (700, 700)
    assert report.quarantined == {} and report.summary.train + report.summary.sealed == 13_084
    assert report.leaked == {"test": 27, "dev": 17}
    assert [row.id for row in read_jsonl(tmp_path / "out" / "test.jsonl", Example)] == [f"test-{n}" for n in range(700)]
