"""Bad input: each is refused with one sentence that names file and field, with code 2, before anything is written."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.errors import DataError, GradusError
from components.registry.store import connect
from components.stages.command import main
from components.stages.run import Run
from tests.flows.conftest import RUN, Project

CSV_RUN = "shop-nano"
WORKLOAD: dict[str, Any] = {
    "name": "shop",
    "description": "Messages to an intent.",
    "source": {
        "kind": "csv",
        "files": {"all": "rows.csv"},
        "columns": {"input": ["text"], "output": {"intent": "label"}},
        "shares": {"dev": 0.2, "test": 0.2, "sealed": 0.2},
    },
    "output": {
        "type": "object",
        "additionalProperties": False,
        "required": ["intent"],
        "properties": {"intent": {"enum": ["refund", "delivery"]}},
    },
    "prompts": ["short"],
    "trained_prompt": "short",
    "scorer": {"weighted": {"json_schema": 1.0}},
    "traffic": {"calls_per_year": 1000},
    "incumbent": "gpt-4.1-mini",
}
NOUNS = ["parcel", "kettle", "router", "jacket", "window", "guitar", "mirror", "bottle", "carpet", "pencil"]
VERBS = ["arrived late", "was broken", "has vanished", "looks wrong", "smells odd", "came twice", "is too big"]
ROWS = [
    [f"{NOUNS[n % 10]} {n * n} {VERBS[n % 7]} {n}, {NOUNS[n // 7 % 10]}", ("refund", "delivery")[n % 2]]
    for n in range(60)
]


@pytest.fixture
def project(make_project: Callable[[], Project], monkeypatch: pytest.MonkeyPatch) -> Project:
    """The small project as the current folder."""
    result = make_project()
    monkeypatch.chdir(result.folder)
    return result


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of an empty record; creating its tables takes seconds, so there is one."""
    address = f"sqlite:///{tmp_path_factory.mktemp('record')}/mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", address)
        connect()
    return address


@pytest.fixture
def rows(project: Project, database: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a workload on csv rows, which are good."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
    add_workload(project)
    file = project.folder / "data" / "shop" / "rows.csv"
    file.parent.mkdir(parents=True)
    write(file, ["text", "label"], ROWS)
    return file


def add_workload(project: Project) -> None:
    prompt = project.folder / "params" / "prompts" / "shop" / "short.md"
    prompt.parent.mkdir()
    prompt.write_text("Sort.\n---user---\n{text}\n", encoding="utf-8")
    (project.folder / "params" / "workloads" / "shop.yaml").write_text("{}\n")
    project.set("workloads/shop.yaml", WORKLOAD)


def write(file: Path, header: list[str], given: list[list[str]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([header, *given])


def refusal(load: Callable[[], Any], kind: type[GradusError] = GradusError) -> str:
    """The sentence with which something is refused, after nothing was written."""
    with pytest.raises(kind) as caught:
        load()
    sentence = str(caught.value)
    assert sentence and "\n" not in sentence
    assert not Path("artifacts").exists() or not any(path.is_file() for path in Path("artifacts").rglob("*"))
    return sentence


@pytest.mark.parametrize(
    ("path", "changes", "said"),
    [
        ("profiles/nano.yaml", {"methods": {"sft": {"epoch": 3}}},
         ["methods.sft.epoch: extra inputs are not permitted"]),
        ("profiles/nano.yaml", {"methods": {"grpo": {"steps": 0}}},
         ["methods.grpo.steps: ", "greater than or equal to 1, found 0"]),
        ("prices.yaml", {"models": {"gpt-4.1-mini": {"input_usd_per_million_tokens": -0.4}}},
         ["models.gpt-4.1-mini.input_usd_per_million_tokens: ", "greater than or equal to 0, found -0.4"]),
        ("workloads/triage.yaml", {"output": {"type": "thing"}}, ["output must be a JSON Schema, found 'thing'"]),
        ("workloads/triage.yaml", {"output": {"properties": {"intent": {"enum": "refund"}}}},
         ["output must be a JSON Schema, found 'refund'"]),
        ("workloads/triage.yaml", {"traffic": {"calls_per_year": "many"}},
         ["traffic.calls_per_year: ", "found 'many'"]),
        ("pipeline.yaml", {"gate": {"alfa": 0.1}}, ["gate.alfa: extra inputs are not permitted"]),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_refused_with_its_file_and_field(
    project: Project, path: str, changes: dict[str, Any], said: list[str]
) -> None:
    project.set(path, changes)
    sentence = refusal(lambda: Run.load(RUN))
    for words in [*said, f"(params/{path})"]:
        assert words in sentence


def test_broken_yaml_is_refused_with_its_file_and_line(project: Project) -> None:
    (project.folder / "params" / "profiles" / "nano.yaml").write_text("name: nano\nsft: [1, 2\n")
    with pytest.raises(GradusError, match=r"(?s)expected YAML in UTF-8.*line 3.*\(params/profiles/nano.yaml\)"):
        Run.load(RUN)


def test_an_unknown_run_is_refused_with_where_it_would_stand(project: Project) -> None:
    sentence = refusal(lambda: Run.load("triage-nono"))
    for words in ("params/workloads", "params/profiles", "found none for the run triage-nono"):
        assert words in sentence


@pytest.mark.parametrize("name", ["schema", "short"])
def test_a_prompt_without_its_placeholder_is_refused(project: Project, name: str) -> None:
    (project.folder / "params" / "prompts" / "triage" / f"{name}.md").write_text("Sort.\n---user---\nmessage\n")
    sentence = refusal(lambda: Run.load(RUN))
    assert "expected the placeholder {message} or {channel} in the user message, found none" in sentence
    assert f"(params/prompts/triage/{name}.md)" in sentence


def test_good_rows_pass(rows: Path) -> None:
    main(["data", CSV_RUN])
    assert (Path("artifacts") / CSV_RUN / "data" / "train.jsonl").is_file()


def test_a_missing_column_is_refused(rows: Path) -> None:
    write(rows, ["text", "lable"], ROWS)
    sentence = refusal(lambda: main(["data", CSV_RUN]), DataError)
    assert sentence == "expected the column `label`, found text, lable (data/shop/rows.csv)"


@pytest.mark.parametrize("header", ["", "text,label\n"])
def test_an_empty_file_is_refused(rows: Path, header: str) -> None:
    rows.write_text(header)
    sentence = refusal(lambda: main(["data", CSV_RUN]), DataError)
    assert sentence == "expected rows, found an empty file (data/shop/rows.csv)"


def test_another_encoding_is_refused_with_the_byte_and_the_line(rows: Path) -> None:
    good = rows.read_bytes().splitlines(keepends=True)
    rows.write_bytes(b"".join([*good[:3], "Käse fehlt,refund\r\n".encode("latin-1"), *good[3:]]))
    sentence = refusal(lambda: main(["data", CSV_RUN]), DataError)
    assert sentence.startswith("expected text in utf-8, found byte 0xe4 at position ")
    assert sentence.endswith("(data/shop/rows.csv:4)")


def test_an_unknown_label_is_refused_with_the_label_and_where_it_stands(rows: Path) -> None:
    bad = [[f"something else number {n * n * n} about a {noun}", "refnud"] for n, noun in enumerate(NOUNS)]
    write(rows, ["text", "label"], [*ROWS, *bad])
    sentence = refusal(lambda: main(["data", CSV_RUN]), DataError)
    assert "expected at most 5.0% of the rows to be refused (validation.max_quarantined_share)" in sentence
    assert "found 10 of 70" in sentence and "intent is 'refnud', not one of the 2 labels at rows.csv:62" in sentence


def test_an_invalid_model_folder_is_refused_before_the_climb(project: Project) -> None:
    (project.folder / "models" / "nano" / "tokenizer.json").unlink()
    result = project.climb()
    assert (result.returncode, result.stdout) == (2, "")
    reported = "gradus: model.path: expected tokenizer.json in the model folder, found none (models/nano) "
    assert result.stderr == f"{reported}(params/profiles/nano.yaml)\n"
    assert not (project.folder / "artifacts").exists()


def test_the_command_reports_a_wrong_setting_in_one_line_with_code_2(project: Project) -> None:
    project.set("prices.yaml", {"machines": {"laptop_2_cores": {"usd_per_hour": -1}}})
    result = project.climb()
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("gradus: machines.laptop_2_cores.usd_per_hour: ") and line.endswith("(params/prices.yaml)")
    assert not (project.folder / "artifacts").exists()


def test_the_stage_reports_wrong_data_in_one_line_with_code_2(rows: Path, project: Project) -> None:
    write(rows, ["text"], [row[:1] for row in ROWS])
    result = project.call("components.stages", "data", CSV_RUN)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "gradus: expected the column `label`, found text (data/shop/rows.csv)\n"
    assert not (project.folder / "artifacts").exists()
