"""Sources as rows: types, ids, groups, and what is refused as a whole."""

import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from components.data.sources import input_columns, read
from components.errors import ConfigError, DataError
from components.params import Workload, load
from tests.components.data.conftest import MakeWorkload, Rows, WriteCsv

ROOT = Path(__file__).resolve().parents[3]


def source(**columns: Any) -> dict[str, Any]:
    return {"columns": {"input": ["text"], "output": {"intent": "label", "amount": "sum"}} | columns}


def test_csv_rows_become_examples_with_typed_answers_in_schema_order(
    make_workload: MakeWorkload, write_csv: WriteCsv
) -> None:
    folder = write_csv([["Where is it?", "delivery", ""], ["Money back!", "refund", "12.50"]])
    first, second = read(make_workload(source=source(output={"amount": "sum", "intent": "label"})), folder)
    assert (first.example.id, first.part, first.where) == ("all-1", "all", "rows.csv:2")
    assert first.example.input == {"text": "Where is it?"}
    assert first.example.demonstration == '{"intent": "delivery", "amount": null}'
    assert second.example.demonstration == '{"intent": "refund", "amount": 12.5}'
    assert second.example.reference == second.example.demonstration
    assert second.example.group == second.example.id == "all-2"


def test_ids_groups_slices_and_gold_come_from_their_columns(make_workload: MakeWorkload, write_csv: WriteCsv) -> None:
    header = ("key", "text", "label", "sum", "gold", "customer", "channel")
    folder = write_csv([["k1", "Hi", "refund", "3", "delivery", "ann", "mail"]], header=header)
    columns = source(id="key", group="customer", slices=["channel"], reference={"intent": "gold"})
    (row,) = read(make_workload(source=columns), folder)
    assert (row.example.id, row.example.group, row.example.slices) == ("k1", "ann", {"channel": "mail"})
    assert json.loads(row.example.demonstration) == {"intent": "refund", "amount": 3}
    assert json.loads(row.example.reference) == {"intent": "delivery", "amount": 3}


def test_files_name_the_part_of_their_rows(make_workload: MakeWorkload, write_csv: WriteCsv) -> None:
    write_csv([["a", "refund", ""]], "a.csv")
    folder = write_csv([["b", "refund", ""]], "b.csv")
    rows = read(make_workload(source={"files": {"train": "a.csv", "test": "b.csv"}}), folder)
    assert [(row.part, row.example.id) for row in rows] == [("train", "train-1"), ("test", "test-1")]


def test_jsonl_keeps_numbers_and_nulls(make_workload: MakeWorkload, tmp_path: Path) -> None:
    lines = [{"text": "a", "label": "refund", "sum": 4.0}, {"text": None, "label": "delivery"}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    rows = read(make_workload(source={"kind": "jsonl", "files": {"all": "rows.jsonl"}}), tmp_path)
    assert [row.example.demonstration for row in rows] == [
        '{"intent": "refund", "amount": 4}',
        '{"intent": "delivery", "amount": null}',
    ]
    assert rows[1].example.input == {"text": ""}


def hugging_face(make_workload: MakeWorkload, splits: dict[str, str], dataset: str = "saved") -> Workload:
    settings = make_workload().model_dump()
    settings["source"] = {"kind": "hugging_face", "dataset": dataset, "splits": splits, **source()}
    return Workload.model_validate(settings)


def test_a_saved_dataset_gives_class_names(make_workload: MakeWorkload, tmp_path: Path) -> None:
    features = datasets.Features(
        text=datasets.Value("string"),
        label=datasets.ClassLabel(names=["refund", "delivery"]),
        sum=datasets.Value("float32"),
    )
    rows = {"text": ["a", "b", "c"], "label": [1, 0, -1], "sum": [1.5, None, 2.0]}
    dataset = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict({"train": dataset, "validation": dataset.select([0])}).save_to_disk(str(tmp_path / "saved"))
    read_rows = read(hugging_face(make_workload, {"train": "train", "dev": "validation"}), tmp_path)
    assert [row.part for row in read_rows] == ["train", "train", "train", "dev"]
    assert [json.loads(row.example.demonstration) for row in read_rows[:3]] == [
        {"intent": "delivery", "amount": 1.5},
        {"intent": "refund", "amount": None},
        {"intent": None, "amount": 2},
    ]
    assert read_rows[3].where == "validation:1"
    with pytest.raises(DataError, match="expected the split `test`, found train, validation"):
        read(hugging_face(make_workload, {"all": "test"}), tmp_path)


def test_a_missing_dataset_is_refused(make_workload: MakeWorkload, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected a dataset in a folder or in the local cache .*nobody/nothing"):
        read(hugging_face(make_workload, {"all": "train"}, "nobody/nothing"), tmp_path)


def test_generated_rows_have_the_texts_as_input_and_gold_as_reference() -> None:
    triage = load(ROOT / "params" / "workloads" / "triage.yaml", Workload)
    rows = read(triage, ROOT / "data" / "triage", surplus=0.01)
    assert len(rows) == 105  # 1 % of 8,000 + 500 + 1,000 + 1,000
    assert list(rows[0].example.input) == ["message", "channel"] == list(input_columns(triage))
    assert list(json.loads(rows[0].example.reference)) == list(triage.fields)
    assert any(row.example.reference != row.example.demonstration for row in rows)


@pytest.mark.parametrize("generator", ["no.such.module:generate", "components.workloads.triage:nothing"])
def test_an_invalid_generator_is_refused(make_workload: MakeWorkload, tmp_path: Path, generator: str) -> None:
    settings = make_workload().model_dump()
    settings["source"] = {"kind": "generated", "generator": generator, "seed": 1, "sizes": {"train": 1}}
    with pytest.raises(ConfigError, match=r"source\.generator must be module:function, found"):
        read(Workload.model_validate(settings), tmp_path)


def test_a_missing_column_is_named_with_those_found(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows
) -> None:
    folder = write_csv(good_rows, header=("text", "tag", "sum"))
    with pytest.raises(DataError, match=r"expected the column `label`, found text, tag, sum \(.*rows.csv\)"):
        read(make_workload(), folder)


def test_an_id_that_comes_twice_is_named_with_both_places(make_workload: MakeWorkload, write_csv: WriteCsv) -> None:
    folder = write_csv([["k", "a", "refund", ""], ["k", "b", "refund", ""]], header=("key", "text", "label", "sum"))
    with pytest.raises(DataError, match=r"found `k` at rows.csv:2 and rows.csv:3"):
        read(make_workload(source=source(id="key")), folder)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"intnt": "label"}, r"must name fields of output \(intent, amount\), found 'intnt'"),
        ({"intent": "label"}, "must have every required field, found none for 'amount'"),
    ],
)
def test_columns_that_do_not_fit_the_schema_are_refused(
    make_workload: MakeWorkload, write_csv: WriteCsv, good_rows: Rows, output: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read(make_workload(source=source(output=output)), write_csv(good_rows))
