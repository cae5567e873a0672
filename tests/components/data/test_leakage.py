"""validation.leakage: a published split is kept as it is and its leaks are counted, or they are removed."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from components.data.harvest import Harvested
from components.data.masking import mask
from components.data.prepare import prepare
from components.data.report import DataReport
from components.data.sources import Part, Row
from components.data.split import leaked
from components.errors import DataError
from components.params import SPLITS, SplitName, Workload
from components.records import Example, read_jsonl, write_jsonl
from components.tracking import NullTracker
from tests.components.data.conftest import MakeWorkload, Rows, WriteCsv


def published(make_workload: MakeWorkload, leakage: str | None) -> Workload:
    source = {"files": {"train": "train.csv", "test": "test.csv"}, "shares": {"dev": 0.2, "sealed": 0.2, "seed": 3}}
    validation = {"max_quarantined_share": 0.5} | ({"leakage": leakage} if leakage else {})
    return make_workload(source=source, validation=validation)


def prepared(workload: Workload, write_csv: WriteCsv, rows: Rows, out: Path) -> DataReport:
    """40 rows of train, the first of them twice; 20 of test and after them copies of two rows of train."""
    write_csv([*rows[:40], rows[0]], "train.csv")
    return prepare(workload, write_csv([*rows[40:], rows[3], rows[5]], "test.csv"), out, NullTracker())


def ids(out: Path, split: str) -> list[str]:
    return [row.id for row in read_jsonl(out / f"{split}.jsonl", Example)]


def test_report_keeps_every_published_row_and_counts_those_that_train_has_too(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path
) -> None:
    report = prepared(published(make_workload, "report"), write_csv, good_rows, tmp_path / "out")
    assert ids(tmp_path / "out", "test") == [f"test-{number:02d}" for number in range(1, 23)]
    assert sum(len(ids(tmp_path / "out", split)) for split in ("train", "dev", "sealed")) == 41
    assert (report.quarantined, report.leaked) == ({}, {"test": 2})
    assert report.warnings[-1] == "test: 2 of 22 rows have a near-duplicate in a less strict split, and were kept"


@pytest.mark.parametrize("leakage", ["remove", None])
def test_remove_is_the_default_and_leaves_no_text_on_two_sides(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path, leakage: str | None
) -> None:
    report = prepared(published(make_workload, leakage), write_csv, good_rows, tmp_path / "out")
    texts = [
        row.input["text"]
        for split in ("train", "dev", "test", "sealed")
        for row in read_jsonl(tmp_path / "out" / f"{split}.jsonl", Example)
    ]
    assert len(texts) == len(set(texts)) == 60
    assert sum(report.quarantined.values()) >= 3 and report.leaked == {}


def test_report_still_keeps_like_rows_of_train_in_one_drawn_split(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path
) -> None:
    prepared(published(make_workload, "report"), write_csv, good_rows, tmp_path / "out")
    sides = [
        split for split in ("train", "dev", "sealed") if {"train-01", "train-41"} & set(ids(tmp_path / "out", split))
    ]
    assert len(sides) == 1


def row(number: int, part: Part, group: str | None = None) -> Row:
    example = Example(id=f"{number}", input={}, demonstration="", reference="", group=group or f"{number}")
    return Row(example, part, "")


def test_a_row_leaks_if_a_near_duplicate_or_its_group_is_in_a_less_strict_part() -> None:
    rows = [row(0, "train", "g"), row(1, "dev"), row(2, "test"), row(3, "test", "g"), row(4, "test"), row(5, "dev")]
    alike = [0, 0, 0, 3, 4, 4]
    # dev: 1 by train; test: 2 by train, through 1, 3 by its group, 4 by dev. 5 has its like in a stricter part only.
    assert leaked(rows, alike) == {"test": 3, "dev": 1}
    assert leaked([row(0, "test"), row(1, "test"), row(2, "train")], [0, 0, 2]) == {}


LONG = "My name is Ada Lovelace, call me at +49 170 1234567 or write to ada.lovelace@mail.example: "


@pytest.mark.parametrize("leakage", ["remove", "report"])
def test_what_a_harvest_has_for_train_is_left_out_where_the_source_has_it_by_now(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path, leakage: str
) -> None:
    """The rows that a file got since may be cut into the sealed split, and none of them moves for the harvest."""
    folder, out = write_csv([[f"{LONG}{text}", *rest] for text, *rest in good_rows]), tmp_path / "out"
    validation = {"leakage": leakage, "max_quarantined_share": 0.0}
    prepare(make_workload(validation=validation), folder, out, NullTracker())
    before = {name: ids(out, name) for name in SPLITS}
    known = read_jsonl(out / "sealed.jsonl", Example)[0]
    again, new = (
        known.model_copy(update={"id": name, "group": name, "input": {"text": asked}})
        for name, asked in (
            ("P-1", mask(f"{known.input['text']}!")),
            ("P-2", "Nothing of the kind was ever said by anybody."),
        )
    )
    harvest = [Harvested(example=example, split="train", source="corrected") for example in (again, new)]
    write_jsonl(folder / "harvest" / "first.jsonl", harvest)
    workload = make_workload(validation=validation, harvest=["first.jsonl"])
    report = prepare(workload, folder, out, NullTracker())
    assert {name: ids(out, name) for name in SPLITS} == before | {"train": [*before["train"], "P-2"]}
    assert report.quarantined == {"input is repeated": 1}
    assert report.warnings == ("1 harvested row resembles rows of the source, and is left out",)


def harvested(folder: Path, split: SplitName, inputs: Sequence[dict[str, str]], intent: str = "refund") -> None:
    answer = f'{{"intent": "{intent}", "amount": null}}'
    examples = [
        Example(id=f"P-{number}", input=given, demonstration=answer, reference=answer, group=f"P-{number}")
        for number, given in enumerate(inputs)
    ]
    harvest = [Harvested(example=example, split=split, source="corrected") for example in examples]
    write_jsonl(folder / "harvest" / "first.jsonl", harvest)


def test_a_customers_empty_input_is_not_one_that_a_version_did_not_ask_for(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path
) -> None:
    rows = [[text, f"{LONG}{text}", *rest] for text, *rest in good_rows]
    folder = write_csv(rows, header=("text", "history", "label", "sum"))
    columns = {"input": ["text", "history"], "output": {"intent": "label", "amount": "sum"}}
    workload = make_workload(source={"columns": columns}, harvest=["first.jsonl"])
    for other, kept in (({"history": ""}, True), ({}, False)):
        harvested(folder, "train", [{"text": rows[0][0]} | other])
        prepare(workload, folder, tmp_path / "out", NullTracker())
        assert ("P-0" in ids(tmp_path / "out", "train")) is kept


@pytest.mark.parametrize(("split", "more"), [("train", ""), ("train", "!"), ("sealed", "")])
def test_what_production_was_asked_may_join_the_source_where_conflicts_refuse_it(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, split: SplitName, more: str
) -> None:
    folder = write_csv([[text, "refund", ""] for text, *_ in good_rows])
    harvested(folder, split, [{"text": f"{text}{more}"} for text, *_ in good_rows[:20]])
    workload = make_workload(validation={"conflicting_inputs": "refuse"}, harvest=["first.jsonl"])
    report = prepare(workload, folder, folder.with_name("out"), NullTracker())
    assert report.quarantined == {"input is repeated": 20}


@pytest.mark.parametrize("split", ["train", "sealed"])
def test_what_production_was_answered_otherwise_than_the_source_says_is_a_conflict(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path, split: SplitName
) -> None:
    folder = write_csv([[text, "delivery", ""] for text, *_ in good_rows])
    harvested(folder, split, [{"text": text} for text, *_ in good_rows[:20]])
    workload = make_workload(validation={"conflicting_inputs": "refuse"}, harvest=["first.jsonl"])
    with pytest.raises(DataError, match=r"found 20 of 80: input is repeated: 20 .*with another answer"):
        prepare(workload, folder, tmp_path / "out", NullTracker())


def test_a_harvested_row_that_is_left_out_joins_no_rows_of_the_source(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, tmp_path: Path
) -> None:
    asked = (
        "where is the parcel with the coffee machine that was ordered on monday of last week and paid at once by card "
    )
    taught, between, tested = (f"{asked}{more}" for more in ("x", "xyzw", "xyzwvutsr"))
    write_csv([*good_rows[:40], [taught, "refund", ""]], "train.csv")
    folder = write_csv([*good_rows[40:], [tested, "refund", ""]], "test.csv")
    harvested(folder, "train", [{"text": between}])
    files = {"train": "train.csv", "test": "test.csv"}
    workload = make_workload(
        source={"files": files}, validation={"near_duplicate_similarity": 0.95}, harvest=["first.jsonl"]
    )
    report = prepare(workload, folder, tmp_path / "out", NullTracker())
    assert report.quarantined == {"input is repeated": 1}
