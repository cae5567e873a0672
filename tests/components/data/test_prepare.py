"""The stage `data`: what is kept, refused and written, and that bad input writes nothing."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.data.prepare import DataReport, Quarantined, prepare
from components.data.split import SPLITS
from components.errors import ConfigError, DataError, GradusError
from components.params import Workload, load
from components.prompts import load_prompt
from components.records import Example, read_jsonl, read_record
from components.tracking import NullTracker
from tests.components.data.conftest import MakeWorkload, Rows, WriteCsv, sentence

ROOT = Path(__file__).resolve().parents[3]
BANKING77 = ROOT.parent / "shared" / "data" / "banking77"


class Notes(NullTracker):
    """A tracker that remembers."""

    def __init__(self) -> None:
        self.numbers: dict[str, float] = {}
        self.files: list[Path] = []

    def metrics(self, values: dict[str, float], step: int | None = None) -> None:
        self.numbers |= values

    def artifact(self, path: Path, folder: str | None = None) -> None:
        assert path.exists()
        self.files.append(path)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def refused(out: Path) -> dict[str, tuple[str, ...]]:
    return {row.example.id: row.reasons for row in read_jsonl(out / "quarantine.jsonl", Quarantined)}


def test_a_clean_file_is_split_and_reported(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path
) -> None:
    notes, out = Notes(), tmp_path / "out"
    report = prepare(make_workload(), write_csv(good_rows), out, notes)
    sizes = {split: len(read_jsonl(out / f"{split}.jsonl", Example)) for split in SPLITS}
    assert sizes == {"train": 24, "dev": 12, "test": 12, "sealed": 12}
    assert report == read_record(out / "report.json", DataReport)
    assert (report.rows, report.quarantined, report.warnings) == (60, {}, ())
    assert report.summary.demonstration_accuracy == 1.0
    assert notes.numbers["data/train"] == 24
    assert notes.files == [out / "report.json", out / "data_docs"]
    assert {path.name for path in tmp_path.iterdir()} == {"data", "out"}


def test_the_same_rows_give_the_same_version_and_others_another(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path
) -> None:
    first = prepare(make_workload(), write_csv(good_rows), tmp_path / "out", NullTracker())
    again = prepare(make_workload(), write_csv(good_rows), tmp_path / "other", NullTracker())
    assert again == first
    good_rows[0][2] = "99"
    changed = prepare(make_workload(), write_csv(good_rows), tmp_path / "out", NullTracker())
    assert changed.summary.version != first.summary.version


def test_each_bad_row_is_quarantined_with_its_reason(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path
) -> None:
    bad: Rows = [
        ["an unheard of label", "refnud", "1"],
        ["a label that is not there", "", "1"],
        ["an amount in words", "refund", "ten"],
        ["a negative amount", "refund", "-1"],
        ["", "refund", "1"],
        ["far too long " * 20, "refund", "1"],
        [*good_rows[3]],
        [good_rows[4][0], "refund", "7"],
    ]
    folder, out = write_csv([*good_rows, *bad]), tmp_path / "out"
    workload = make_workload(validation={"max_quarantined_share": 0.2, "max_input_characters": 200})
    report = prepare(workload, folder, out, NullTracker())
    assert refused(out) == {
        "all-61": ("intent is 'refnud', not one of the 2 labels",),
        "all-62": ("intent is empty",),
        "all-63": ("amount: 'ten' is not of type 'number', 'null'",),
        "all-64": ("amount: -1 is less than the minimum of 0",),
        "all-65": ("input is empty",),
        "all-66": ("input has 259 characters, more than 200",),
        "all-67": ("input repeats all-04",),
        "all-68": ("input repeats all-05, with another answer",),
    }
    assert report.quarantined == {
        "amount does not match the schema": 2,
        "input is repeated": 2,
        "intent does not match the schema": 2,
        "input is empty": 1,
        "input is too long": 1,
    }
    assert (report.rows, report.summary.quarantined) == (68, 8)
    kept = {example.id for split in SPLITS for example in read_jsonl(out / f"{split}.jsonl", Example)}
    assert len(kept) == 60
    assert not kept & refused(out).keys()


def test_train_rows_like_test_rows_are_kept_out(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path
) -> None:
    test_rows = [[f"{sentence(60 + number)} and nothing else", "refund", ""] for number in range(8)]
    leak = [[f"{test_rows[0][0]}!", "refund", ""]]
    write_csv(test_rows, "test.csv")
    folder = write_csv([*good_rows, *leak], "train.csv")
    workload = make_workload(source={"files": {"train": "train.csv", "test": "test.csv"}})
    report = prepare(workload, folder, tmp_path / "out", NullTracker())
    assert refused(tmp_path / "out") == {"train-61": ("near-duplicate of test-1 in test",)}
    assert report.quarantined == {"leaks into an evaluation split": 1}
    assert report.summary.test == 8


def test_near_duplicates_without_a_split_stay_together(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path
) -> None:
    long = [f"{text} and the rest of the message is always a little longer" for text, *_ in good_rows]
    rows = [[text + end, "refund", ""] for text in long for end in ("", "!")]
    workload = make_workload(validation={"near_duplicate_similarity": 0.95})
    report = prepare(workload, write_csv(rows), tmp_path / "out", NullTracker())
    assert report.near_duplicates == 60
    for split in SPLITS:
        texts = {
            example.input["text"].rstrip("!") for example in read_jsonl(tmp_path / "out" / f"{split}.jsonl", Example)
        }
        assert 2 * len(texts) == report.summary.model_dump()[split]


def test_wrong_gold_is_distinguished_from_wrong_demonstrations(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path
) -> None:
    rows = [[*cells, "refund" if number else "no such"] for number, cells in enumerate(good_rows)]
    columns = {"input": ["text"], "output": {"intent": "label", "amount": "sum"}, "reference": {"intent": "gold"}}
    folder = write_csv(rows, header=("text", "label", "sum", "gold"))
    report = prepare(make_workload(source={"columns": columns}), folder, tmp_path / "out", NullTracker())
    assert refused(tmp_path / "out") == {"all-01": ("intent is 'no such', not one of the 2 labels (reference)",)}
    # Odd rows are demonstrated as refund, and 30 of the 59 that are left are odd.
    assert report.summary.demonstration_accuracy == pytest.approx(30 / 59)


def test_rare_and_absent_labels_are_warnings(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path
) -> None:
    rows = [[text, "refund" if number else "delivery", ""] for number, (text, *_) in enumerate(good_rows)]
    output = make_workload().model_dump()["output"]
    output["properties"]["intent"] = {"enum": ["refund", "delivery", "praise"]}
    workload = make_workload(output=output, validation={"rare_label_share": 0.05})
    report = prepare(workload, write_csv(rows), tmp_path / "out", NullTracker())
    assert report.warnings == (
        "intent: fewer than 5.00% of 60 rows have delivery (1)",
        "intent: no row has praise",
        "intent: `delivery` has one row, in dev: nothing is learnt about it",
    )
    assert report.quarantined == {}


def test_data_docs_need_no_network(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path
) -> None:
    good_rows[0][1] = "refnud"
    prepare(make_workload(), write_csv(good_rows), tmp_path / "out", NullTracker())
    page = (tmp_path / "out" / "data_docs" / "index.html").read_text(encoding="utf-8")
    assert "refnud" in page
    assert "demonstration.intent" in page
    for remote in ("http://", "https://", 'src="//', "@import"):
        assert remote not in page


def missing_column(folder: Path) -> str:
    (folder / "rows.csv").write_text("text,tag,sum\na,refund,1\n", encoding="utf-8")
    return r"expected the column `label`, found text, tag, sum \(.*rows.csv\)"


def empty_file(folder: Path) -> str:
    (folder / "rows.csv").write_bytes(b"")
    return r"expected rows, found an empty file \(.*rows.csv\)"


def wrong_encoding(folder: Path) -> str:
    (folder / "rows.csv").write_bytes("text,label,sum\ncafé,refund,1\n".encode("latin-1"))
    return r"expected text in utf-8, found byte 0xe9 .*rows.csv:2"


def missing_file(folder: Path) -> str:
    (folder / "rows.csv").unlink()
    return r"expected a data file, found none at .*rows.csv"


def unknown_labels(folder: Path) -> str:
    rows = [f"{sentence(number)},{'refnud' if number < 6 else 'refund'},1\n".replace(", ", " ") for number in range(60)]
    (folder / "rows.csv").write_text("text,label,sum\n" + "".join(rows), encoding="utf-8")
    return (
        r"expected at most 5.0% of the rows to be refused \(validation.max_quarantined_share\), found 6 of 60: "
        r"intent does not match the schema: 6 \(intent is 'refnud', not one of the 2 labels at rows.csv:2\)"
    )


BAD_FILES = [missing_column, empty_file, wrong_encoding, missing_file, unknown_labels]


@pytest.mark.parametrize("spoil", BAD_FILES)
def test_a_bad_file_is_refused_and_nothing_is_written(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path, spoil: Callable[[Path], str]
) -> None:
    folder, earlier = write_csv(good_rows), tmp_path / "earlier"
    earlier.mkdir()
    (earlier / "report.json").write_text("an earlier run's")
    message = spoil(folder)
    before = contents(tmp_path)
    for out in (earlier, tmp_path / "new"):
        with pytest.raises(DataError, match=message):
            prepare(make_workload(), folder, out, NullTracker())
    assert contents(tmp_path) == before
    assert not (tmp_path / "new").exists()


def test_a_failure_while_writing_leaves_the_earlier_output(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    prepare(make_workload(), write_csv(good_rows), out, NullTracker())
    before = contents(out)
    (tmp_path / "out.part").write_text("a file in the way of the folder")
    with pytest.raises(OSError, match=r"out\.part"):
        prepare(make_workload(), write_csv(good_rows[:50]), out, NullTracker())
    assert contents(out) == before


def bad_schema(settings: dict[str, Any]) -> str:
    settings["output"]["properties"]["intent"] = {"type": "text"}
    return r"output must be a JSON Schema, found 'text' is not valid .*shop.yaml"


def bad_key(settings: dict[str, Any]) -> str:
    settings["source"]["colums"] = settings["source"].pop("columns")
    return r"source.csv.columns: field required \(.*shop.yaml\)"


@pytest.mark.parametrize("spoil", [bad_schema, bad_key])
def test_bad_settings_are_refused_before_any_data_is_read(
    make_workload: MakeWorkload, tmp_path: Path, spoil: Callable[[dict[str, Any]], str]
) -> None:
    settings = json.loads(make_workload().model_dump_json(exclude_defaults=True))
    message = spoil(settings)
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match=message):
        prepare(load(tmp_path / "shop.yaml", Workload), tmp_path, tmp_path / "out", NullTracker())
    assert contents(tmp_path) == before


def test_a_prompt_without_its_placeholder_is_refused(make_workload: MakeWorkload, tmp_path: Path) -> None:
    (tmp_path / "loose.md").write_text("Be kind.\n---user---\nthe message\n", encoding="utf-8")
    with pytest.raises(
        GradusError, match=r"expected the placeholder {text} in the user message, found none .*loose.md"
    ):
        load_prompt(tmp_path, "loose", ("text",))


def test_triage_has_exactly_its_sizes_and_no_leak(tmp_path: Path) -> None:
    triage = load(ROOT / "params" / "workloads" / "triage.yaml", Workload)
    sizes = {"train": 150, "dev": 30, "test": 60, "sealed": 60}
    small = triage.model_copy(update={"source": triage.source.model_copy(update={"sizes": sizes})})
    report = prepare(small, tmp_path / "data", tmp_path / "out", NullTracker())
    groups: dict[str, set[str]] = {}
    for split, n in sizes.items():
        examples = read_jsonl(tmp_path / "out" / f"{split}.jsonl", Example)
        assert len(examples) == n
        groups[split] = {example.group for example in examples}
    assert sum(len(split_groups) for split_groups in groups.values()) == len(set.union(*groups.values()))
    assert 0.85 < (report.summary.demonstration_accuracy or 0) < 0.97


@pytest.mark.real_data
def test_banking77_is_split_with_few_rows_refused(tmp_path: Path) -> None:
    if not BANKING77.is_dir():
        pytest.skip(f"needs the Banking77 files in {BANKING77}")
    workload = load(ROOT / "params" / "workloads" / "banking77.yaml", Workload)
    for prompt in (*workload.prompts, workload.trained_prompt):
        load_prompt(ROOT / "params" / "prompts" / "banking77", prompt, ("text",))
    report = prepare(workload, BANKING77, tmp_path / "out", NullTracker())
    assert report.rows == 10_003 + 3_080
    # 11 inputs are repeated; 10 rows of train are near-duplicates of a test row, and one of such a row.
    assert report.quarantined == {"input is repeated": 11, "leaks into an evaluation split": 11}
    assert (report.summary.test, report.summary.dev, report.summary.sealed) == (3_079, 599, 1_397)


def test_banking77_prompt_lists_the_labels_of_its_schema() -> None:
    workload = load(ROOT / "params" / "workloads" / "banking77.yaml", Workload)
    labels = workload.output["properties"]["intent"]["enum"]
    prompt = load_prompt(ROOT / "params" / "prompts" / "banking77", "labels", ("text",))
    listed = [line.strip() for line in prompt.system.splitlines() if line.startswith("  ")]
    assert len(labels) == 77
    assert listed == labels


def test_a_part_of_a_killed_run_is_replaced(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path
) -> None:
    for name in ("out.part", "out.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.jsonl").write_text("half")
    prepare(make_workload(), write_csv(good_rows), tmp_path / "out", NullTracker())
    assert {path.name for path in tmp_path.iterdir()} == {"data", "out"}
    shutil.rmtree(tmp_path / "out")
