"""Rows of evaluations go with their example, and the files of runs can be read wherever they lie."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.registry import (
    Row,
    forget_rows,
    idle_versions,
    open_run,
    remove_version,
    retention,
    run_files,
    store_rows,
    traces,
)
from components.registry.models import copy_folder
from tests.shared_storage import needs_s3, s3_service


def row(name: str) -> Row:
    return Row(name, {"text": "Hi"}, "{}", "{}", (1, 1), 1.0, {"valid": True})


def shown(record: Any, workload: str) -> list[str]:
    experiment = record.get_experiment_by_name(workload).experiment_id
    traces = record.search_traces(locations=[experiment], include_spans=False)
    return sorted(trace.info.tags["gradus.example"] for trace in traces)


def test_rows_of_an_example_go_from_all_evaluations_and_no_others(record: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "PAGE", 2)
    names = ["P-chatcmpl-a", "P-chatcmpl-a-1", "P-chatcmpl-a~shadow", "P-chatcmpl-ab", "P-chatcmpl-b", "T1"]
    for rung in ("sft", "grpo"):
        with open_run("rows", rung, {}) as run:
            store_rows(str(run.run_id), [row(name) for name in names])
    assert forget_rows("rows", "P-chatcmpl-a") == 2 * 3
    assert shown(record, "rows") == sorted(2 * names[3:])
    assert forget_rows("rows", "P-chatcmpl-a") == 0
    assert forget_rows("nowhere", "P-chatcmpl-a") == 0


def test_the_copy_of_a_servers_version_goes_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = [
        SimpleNamespace(
            name="shop", version=str(number), source="mlflow-artifacts:/1/run/artifacts/model",
            tags={"gradus.digest": str(number) * 64},
        )
        for number in (1, 2, 3)
    ]  # fmt: skip
    gone: list[str] = []
    server = SimpleNamespace(
        search_model_versions=lambda _: versions,
        search_registered_models=lambda _: [SimpleNamespace(aliases={"champion": "2"})],
        delete_model_version=lambda _, number: gone.append(number),
    )
    monkeypatch.setattr(retention, "connect", lambda: server)
    monkeypatch.chdir(tmp_path)
    copies = [copy_folder(version) for version in versions]
    copies.append(Path("state/models/shop/1"))  # an earlier release's
    for folder in copies:
        folder.mkdir(parents=True)
    (idle,) = idle_versions("shop", 1)
    assert (idle.number, idle.folder) == (1, copies[0])
    remove_version(idle)
    assert gone == ["1"] and [folder.is_dir() for folder in copies] == [False, True, True, False]


def test_all_files_of_runs_are_found_but_for_those_of_versions(record: Any, tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").write_text("P-chatcmpl-a", encoding="utf-8")
    with open_run("files", "ladder", {}) as run:
        for folder in ("reference", "model"):
            run.artifact(tmp_path / "answers.jsonl", folder)
    record.delete_run(run.run_id)  # as in MLflow's pages; the files stay
    ((address, path),) = run_files("files")
    assert address.endswith(f"/{run.run_id}/artifacts/reference/answers.jsonl")
    assert path.read_text(encoding="utf-8") == "P-chatcmpl-a"
    assert list(run_files("nowhere")) == []


@needs_s3
@pytest.mark.slow
def test_files_of_runs_in_a_bucket_can_be_read(record: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "answers.jsonl").write_text("P-chatcmpl-a", encoding="utf-8")
    with s3_service() as bucket:
        places = {"GRADUS_ARTIFACTS": f"s3://{bucket.name}/mlflow", "MLFLOW_S3_ENDPOINT_URL": bucket.endpoint}
        for name, value in {**bucket.environment, **places}.items():
            monkeypatch.setenv(name, value)
        with open_run("far", "ladder", {}) as run:
            for folder in ("reference", "card", "model"):
                run.artifact(tmp_path / "answers.jsonl", folder)
        record.delete_run(run.run_id)
        read = {address: path.read_text(encoding="utf-8") for address, path in run_files("far")}
    home = f"s3://{bucket.name}/mlflow/far/{run.run_id}/artifacts"
    assert read == {f"{home}/{folder}/answers.jsonl": "P-chatcmpl-a" for folder in ("reference", "card")}
