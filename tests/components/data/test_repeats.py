"""Texts and labels that are the same in another form, inputs that repeat, and splits that stay empty for a reason."""

import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from components.data.labels import counted, forms, labels_of
from components.data.prepare import DataReport, prepare
from components.data.sources import read
from components.data.split import SPLITS
from components.errors import ConfigError, DataError
from components.params import Workload
from components.records import Example, read_jsonl
from components.tracking import NullTracker
from tests.components.data.conftest import MakeWorkload, Rows, WriteCsv

TEMPLATE = (
    "Dear Sir or Madam, thank you for the order that arrived on Tuesday. The parcel with the number {} was damaged "
    "when it came to my door, so that I would like to ask you for a replacement. Kind regards, your customer."
)


def split_texts(out: Path) -> dict[str, list[str]]:
    return {
        split: [example.input["text"] for example in read_jsonl(out / f"{split}.jsonl", Example)] for split in SPLITS
    }


def prepared(workload: Workload, folder: Path, out: Path) -> DataReport:
    return prepare(workload, folder, out, NullTracker())


@pytest.mark.parametrize(
    "twin",
    [
        lambda text: unicodedata.normalize("NFD", f"{text} für Zoë"),
        lambda text: f"{text} f\u200bür Zoë",
        lambda text: f"\ufeff{text} für\u00a0Zo\u00adë",
    ],
)
def test_twins_that_differ_in_form_alone_are_repeated_inputs(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path, twin: Callable[[str], str]
) -> None:
    rows = [[f"{text} für Zoë", *rest] for text, *rest in good_rows]
    twins = [[twin(text), *rest] for text, *rest in good_rows]
    report = prepared(make_workload(), write_csv([*rows, *twins]), tmp_path / "out")
    assert report.quarantined == {"input is repeated": len(good_rows)}
    assert report.warnings[0] == "60 rows repeat the input and the answer of another, and are left out"
    assert sum(map(len, split_texts(tmp_path / "out").values())) == len(good_rows)


@pytest.mark.parametrize("twin", [str.upper, lambda text: text.replace(" ", "  ")])
def test_twins_in_another_case_or_with_other_blanks_are_never_in_two_splits(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path, twin: Callable[[str], str]
) -> None:
    rows = [[text, *rest] for text, *rest in good_rows]
    twins = [[twin(text), *rest] for text, *rest in good_rows]
    prepared(make_workload(), write_csv([*rows, *twins]), tmp_path / "out")
    sides = [{" ".join(text.lower().split()) for text in texts} for texts in split_texts(tmp_path / "out").values()]
    assert sum(map(len, sides)) == len(set.union(*sides)) == len(good_rows)


def conflicting(good_rows: Rows) -> Rows:
    """Ten of sixty inputs come again with the other answer, which is more than 5 %."""
    other = {"refund": "delivery", "delivery": "refund"}
    return [*good_rows, *([text, other[label], amount] for text, label, amount in good_rows[:10])]


def test_a_draft_runs_although_inputs_repeat_with_other_answers(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path
) -> None:
    report = prepared(make_workload(), write_csv(conflicting(good_rows)), tmp_path / "out")
    assert (report.rows, report.summary.quarantined) == (70, 10)
    assert report.warnings == (
        "10 rows repeat the input of another with another answer, such as all-61 at rows.csv:62: the first of them "
        "stays (validation.conflicting_inputs)",
    )


def test_conflicting_rows_are_all_left_out_on_request(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path
) -> None:
    workload = make_workload(validation={"conflicting_inputs": "none"})
    report = prepared(workload, write_csv(conflicting(good_rows)), tmp_path / "out")
    assert report.quarantined == {"input is repeated": 20}
    kept = {text for texts in split_texts(tmp_path / "out").values() for text in texts}
    assert kept == {text for text, *_ in good_rows[10:]}


def test_conflicting_rows_refuse_the_source_on_request(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path
) -> None:
    workload = make_workload(validation={"conflicting_inputs": "refuse"})
    with pytest.raises(DataError, match=r"at most 5\.0% .* found 10 of 70: input is repeated: 10 .*another answer"):
        prepared(workload, write_csv(conflicting(good_rows)), tmp_path / "out")


@pytest.mark.parametrize("conflicts", ["first", "none"])
def test_a_row_that_nobody_answered_right_stands_in_the_way_of_none_that_repeats_its_input(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path, conflicts: str
) -> None:
    asked = "when will the money for my kettle be back"
    unanswered = [[asked, "", ""], [asked, "refnud", ""], [asked, "refund", "12"], [f"{asked}!", "delivery", "-3"]]
    workload = make_workload(validation={"conflicting_inputs": conflicts})
    report = prepared(workload, write_csv([*unanswered, *good_rows]), tmp_path / "out")
    kept = [text for texts in split_texts(tmp_path / "out").values() for text in texts]
    assert kept.count(asked) == 1 and len(kept) == 61
    assert report.quarantined == {"intent does not match the schema": 2, "amount does not match the schema": 1}
    assert (report.near_duplicates, report.warnings) == (0, ())


def test_a_row_of_test_that_is_refused_for_its_answer_takes_none_of_train_with_it(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path
) -> None:
    write_csv(good_rows[:40], "train.csv")
    refused = [[good_rows[0][0], "", ""], [f"{good_rows[1][0]}!", "", ""]]
    folder = write_csv([*good_rows[40:], *refused], "test.csv")
    workload = make_workload(source={"files": {"train": "train.csv", "test": "test.csv"}})
    report = prepared(workload, folder, tmp_path / "out")
    assert report.quarantined == {"intent does not match the schema": 2}


def test_a_row_of_test_that_is_left_out_takes_no_row_of_its_group_with_it(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path
) -> None:
    header = ("text", "label", "sum", "customer")
    rows = [[*cells, f"c{at % 40 // 10}" if at < 40 else f"c{at}"] for at, cells in enumerate(good_rows)]
    write_csv(rows[:40], "train.csv", header)
    refused = [["a question of another kind", "", "", "c0"], [*rows[40][:3], "c1"]]
    folder = write_csv([*rows[40:], *refused], "test.csv", header)
    columns = {"input": ["text"], "output": {"intent": "label", "amount": "sum"}, "group": "customer"}
    files = {"train": "train.csv", "test": "test.csv"}
    cut = {"dev": 0.25, "sealed": 0.25, "seed": 3}
    report = prepared(
        make_workload(source={"files": files, "columns": columns, "shares": cut}), folder, tmp_path / "out"
    )
    assert report.quarantined == {"input is repeated": 1, "intent does not match the schema": 1}


def test_rows_whose_label_only_another_field_forbids_are_in_no_split(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path
) -> None:
    charged = {"properties": {"amount": {"type": "number", "minimum": 1000}}, "required": ["amount"]}
    output = make_workload().output | {"if": charged, "then": {"properties": {"intent": {"const": "delivery"}}}}
    asked = "when will the money for my kettle be back"
    folder = write_csv([*good_rows, *[[asked, "refund", "2000"]] * 10])
    report = prepared(make_workload(output=output, validation={"max_quarantined_share": 0.5}), folder, tmp_path / "out")
    assert report.quarantined == {"answer does not match the schema": 10}
    assert asked not in {text for texts in split_texts(tmp_path / "out").values() for text in texts}


@pytest.mark.parametrize("conflicts", ["none", "refuse"])
def test_conflicting_rows_cannot_be_left_out_of_splits_that_are_kept_as_they_are(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path, conflicts: str
) -> None:
    workload = make_workload(validation={"conflicting_inputs": conflicts, "leakage": "report"})
    with pytest.raises(ConfigError, match=rf"no validation\.conflicting_inputs beside `leakage.*found `{conflicts}`"):
        prepared(workload, write_csv(conflicting(good_rows)), tmp_path / "out")


WORDS = ["Lieferung", "lieferung", "Liefer\u200bung", "Rückgabe", unicodedata.normalize("NFD", "Rückgabe")]


def labelled(make_workload: MakeWorkload, labels: list[str], **validation: object) -> Workload:
    output = make_workload().model_dump()["output"]
    output["properties"]["intent"] = {"enum": labels}
    return make_workload(output=output, validation=validation)


def test_labels_that_differ_in_form_or_case_are_told_with_both_and_their_counts(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path
) -> None:
    rows = [[text, WORDS[at % 5], amount] for at, (text, _, amount) in enumerate(good_rows)]
    report = prepared(labelled(make_workload, WORDS), write_csv(rows), tmp_path / "out")
    assert report.quarantined == {}  # composed on the way in, as the schema is
    assert (
        "intent: `Lieferung` (12) and `lieferung` (12) and `Liefer\\u200bung` (12) differ only in case; "
        "validation.mend_labels makes them one"
    ) in report.warnings


def test_labels_are_mended_on_request_to_the_commonest_that_the_schema_knows(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path
) -> None:
    rows = [[text, WORDS[at % 5 if at % 7 else 0], amount] for at, (text, _, amount) in enumerate(good_rows)]
    workload = labelled(make_workload, ["Lieferung", "lieferung", "Rückgabe"], mend_labels=True)
    folder = write_csv(rows)
    labels = labels_of(read(workload, folder), workload)
    assert forms(counted(labels), workload) == {"intent": [["Lieferung", "lieferung", "Liefer\u200bung"]]}
    report = prepared(workload, folder, tmp_path / "out")
    assert report.quarantined == {}
    answers = {
        example.demonstration
        for split in SPLITS
        for example in read_jsonl(tmp_path / "out" / f"{split}.jsonl", Example)
    }
    assert all('"Lieferung"' in answer or '"Rückgabe"' in answer for answer in answers)


def test_labels_of_which_nothing_is_learnt_or_measured_are_told(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path
) -> None:
    rows = [[text, "delivery" if at else "refund", amount] for at, (text, _, amount) in enumerate(good_rows)]
    folder = write_csv(rows)
    said = {
        prepared(make_workload(source={"shares": shares(seed)}), folder, tmp_path / f"{seed}").warnings
        for seed in range(30)
    }
    assert ("intent: `refund` has one row, in sealed: nothing is learnt about it",) in said
    assert ("intent: `refund` has one row, in train: no split measures it",) in said


def shares(seed: int) -> dict[str, float]:
    return {"dev": 0.15, "test": 0.15, "sealed": 0.2, "seed": seed}


def test_near_duplicates_that_hold_all_rows_are_named_as_the_cause(
    make_workload: MakeWorkload, write_csv: WriteCsv, tmp_path: Path
) -> None:
    rows = [[TEMPLATE.format(number), "refund", ""] for number in range(100, 190)]
    said = (
        r"none for dev: 90 of 90 rows \(100%\) belong together and go into one split, since they are near-duplicates, "
        r"such as all-01 and all-90; raise validation\.near_duplicate_similarity, now 0\.9, or give dev and test and "
        r"sealed a file"
    )
    with pytest.raises(DataError, match=said):
        prepared(make_workload(), write_csv(rows), tmp_path / "out")
    prepared(make_workload(validation={"near_duplicate_similarity": 1.0}), write_csv(rows), tmp_path / "out")


def test_a_group_that_holds_most_rows_is_named_as_the_cause(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path
) -> None:
    rows = [[*cells, "ACME" if at < 31 else "Bolt"] for at, cells in enumerate(good_rows)]
    columns = {"input": ["text"], "output": {"intent": "label", "amount": "sum"}, "group": "customer"}
    folder = write_csv(rows, header=("text", "label", "sum", "customer"))
    said = (
        r"none for dev: 31 of 60 rows \(52%\) .* of the group `ACME`; choose another column for source\.columns\.group"
    )
    with pytest.raises(DataError, match=said):
        prepared(make_workload(source={"columns": columns}), folder, tmp_path / "out")


MEASURED = """
import re, sys
from pathlib import Path
from components.data.similarity import near_duplicates
texts = [sys.argv[1].format(10_000 + number) for number in range(20_000)]
assert set(near_duplicates(texts, 0.9)) == {0}
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())  # not ru_maxrss: that counts the parent
print(int(peak[1]) // 1024)
"""


def test_twenty_thousand_rows_of_one_template_take_less_than_half_a_gigabyte() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, TEMPLATE], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert int(done.stdout) < 500
