"""A first workload from a file: what is guessed, and that it runs as it is."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from components.data.columns import code_pattern, schema_of
from components.data.drafts import _scalar  # pyright: ignore[reportPrivateUsage]
from components.data.init import init_workload, read_input
from components.data.prepare import prepare
from components.errors import ConfigError, DataError
from components.params import FileSource, Workload, load
from components.prompts import load_prompt
from components.tracking import NullTracker
from tests.components.data.conftest import sentence

ROOT = Path(__file__).resolve().parents[3]
PIPELINE = "seed: 7\n"
HEADER = (
    "ticket_id",
    "created_at",
    "customer_id",
    "channel",
    "body",
    "topic",
    "order_no",
    "sum",
    "urgent",
    "stars",
    "tenant",
)


def rows() -> list[list[Any]]:
    return [
        [
            f"T{number:03d}",
            f"2024-05-{number % 28 + 1:02d}",
            f"C{number % 30}",
            "mail" if number % 3 else "chat",
            sentence(number),
            ["refund", "delivery", "no"][number % 3],
            f"XK-{10_000 + number}" if number % 5 else "",
            f"{number}.50" if number % 2 else "",
            "yes" if number % 4 else "no",
            number % 5 + 1,
            "acme",
        ]
        for number in range(60)
    ]


def write(path: Path, delimiter: str = ",") -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([HEADER, *rows()])
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one file that is none of a workload's."""
    pipeline = tmp_path / "project" / "params" / "pipeline.yaml"
    pipeline.parent.mkdir(parents=True)
    pipeline.write_text(PIPELINE, encoding="utf-8")
    return tmp_path / "project"


def init(name: str, path: Path, root: Path) -> list[Path]:
    return init_workload(name, read_input(path), root)


def contents(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}


def test_columns_of_each_kind_are_recognised_and_the_workload_runs(tmp_path: Path, project: Path) -> None:
    written = init("shop", write(tmp_path / "export 2024.csv", ";"), project)
    assert [str(path.relative_to(project)) for path in written] == [
        "params/workloads/shop.yaml",
        "params/prompts/shop/loose.md",
        "params/prompts/shop/schema.md",
        "params/prompts/shop/short.md",
        "data/shop/all.jsonl",
    ]
    workload = load(written[0], Workload)
    assert isinstance(workload.source, FileSource)
    columns = workload.source.columns
    assert (columns.input, columns.id, columns.group, columns.slices) == (
        ("body",),
        "ticket_id",
        "customer_id",
        ("channel", "created_at"),
    )
    assert workload.dated_by == "created_at"
    assert workload.output["properties"] == {
        "topic": {"enum": ["delivery", "no", "refund"]},
        "order_no": {"type": ["string", "null"], "pattern": r"^[A-Z]{2}-\d{5}$"},
        "sum": {"type": ["number", "null"]},
        "urgent": {"type": "boolean"},
        "stars": {"enum": [1, 2, 3, 4, 5]},
    }
    for name in (*workload.prompts, workload.trained_prompt):
        assert load_prompt(project / "params" / "prompts" / "shop", name, columns.input).placeholders == ("body",)
    report = prepare(workload, project / "data" / "shop", tmp_path / "out", NullTracker())
    assert (report.rows, report.quarantined) == (60, {})


def test_the_settings_say_what_was_left_out(tmp_path: Path, project: Path) -> None:
    settings = init("shop", write(tmp_path / "a.csv"), project)[0].read_text(encoding="utf-8")
    assert "# left out: tenant, the same value in every row" in settings
    assert "gradus init shop --from a.csv" in settings


def test_a_jsonl_file_with_two_texts_and_nested_values_works(tmp_path: Path, project: Path) -> None:
    lines = [
        {"subject": f"S {number}", "text": sentence(number), "label": bool(number % 2), "meta": {"a": 1}}
        for number in range(40)
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    settings, loose, *_ = init("mails", tmp_path / "a.jsonl", project)
    workload = load(settings, Workload)
    assert isinstance(workload.source, FileSource)
    assert workload.source.kind == "jsonl"
    assert set(workload.source.columns.input) == {"text", "subject"}
    assert workload.output["properties"] == {"label": {"type": "boolean"}}
    assert loose.read_text(encoding="utf-8").endswith("text: {text}\nsubject: {subject}\n")


@pytest.mark.parametrize("there", ["params/workloads/shop.yaml", "params/prompts/shop/short.md", "data/shop/all.jsonl"])
def test_nothing_is_overwritten(tmp_path: Path, project: Path, there: str) -> None:
    (project / there).parent.mkdir(parents=True, exist_ok=True)
    (project / there).write_text("mine")
    with pytest.raises(ConfigError, match="expected a new name, found a file of the workload 'shop' at"):
        init("shop", write(tmp_path / "a.csv"), project)
    assert contents(project) == {there: "mine", "params/pipeline.yaml": PIPELINE}


@pytest.mark.parametrize("blocked", ["data", "params/prompts"])
def test_a_failure_while_writing_removes_what_was_written(tmp_path: Path, project: Path, blocked: str) -> None:
    (project / blocked).parent.mkdir(parents=True, exist_ok=True)
    (project / blocked).write_text("a file where a folder has to be, or a folder where a file has to be")
    before = contents(project)
    with pytest.raises(OSError, match=r"data|prompts"):
        init("shop", write(tmp_path / "a.csv"), project)
    assert contents(project) == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected rows, found an empty file"),
        (b"text,label\n", "expected rows, found an empty file"),
        (b"a,b\n1,2\n3,4\n", "expected a column of varied text, found none among a, b"),
        (b"text\nhello you\nand you there\n", "expected a column with the answer .* found no other column"),
    ],
)
def test_a_file_that_gives_no_workload_is_refused_and_nothing_written(
    tmp_path: Path, project: Path, content: bytes, message: str
) -> None:
    (tmp_path / "bad.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        init("shop", tmp_path / "bad.csv", project)
    assert contents(project) == {"params/pipeline.yaml": PIPELINE}


@pytest.mark.parametrize("name", ["Shop", "../shop", "", "a b"])
def test_an_invalid_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="name must be of lower-case letters"):
        init(name, write(tmp_path / "a.csv"), tmp_path / "project")
    assert not (tmp_path / "project").exists()


@pytest.mark.parametrize(
    ("values", "schema"),
    [
        (["a", "b"] * 3, {"enum": ["a", "b"]}),
        (["a", None, "b"] * 3, {"enum": ["a", "b", None]}),
        (["a", "b", "c"], {"type": "string"}),
        (["True", "false"], {"type": "boolean"}),
        ([True, False, None], {"type": ["boolean", "null"]}),
        (["1", "2", "3"], {"type": "integer"}),
        ([1, 2.5, 3], {"type": "number"}),
        (["007", "008", "019"], {"type": "string", "pattern": r"^\d{3}$"}),
        ([None, None], None),
        ([["a"], ["b"]], {"type": "array", "items": {"type": "string"}}),
    ],
)
def test_a_schema_follows_from_the_values(values: list[Any], schema: dict[str, Any] | None) -> None:
    assert schema_of(values) == schema


def test_codes_share_a_pattern_and_prose_does_not() -> None:
    assert code_pattern(["AB-1", "CD-123"]) == r"^[A-Z]{2}-\d{1,3}$"
    assert code_pattern(["2024-05-01", "2023-11-30"]) == r"^\d{4}-\d{2}-\d{2}$"
    assert code_pattern(["v1.2", "v10.3"]) == r"^[a-z]\d{1,2}\.\d$"
    assert code_pattern(["room 12", "room 13"]) is None
    assert code_pattern(["AB-1", "12-AB"]) is None


WRITTEN = ["no", "null", "1e3", "a: b", "- a", "2024-01-01", "it's", "a #b", "Refund?", "a ? b"]


@given(st.text() | st.sampled_from(WRITTEN))
def test_yaml_reads_back_what_was_written(value: str) -> None:
    assert yaml.safe_load(f"[{_scalar(value)}]") == [value]
