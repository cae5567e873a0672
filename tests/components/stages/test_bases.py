"""Comparison of base models: which are available, their memory in training, and a short training's results."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import yaml
from safetensors.numpy import save_file

from components.errors import ConfigError
from components.stages import bases as base_models
from components.stages.bases import base_of, bases, memory, parameters, try_out
from components.stages.run import Run

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "params", tmp_path / "params")
    shutil.copytree(ROOT / "models/nano", tmp_path / "models/nano")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change(project: Path, profile: str, **settings: Any) -> None:
    path = project / f"params/profiles/{profile}.yaml"
    known = yaml.safe_load(path.read_text(encoding="utf-8"))
    known["model"] |= settings.pop("model", {})
    known["methods"]["sft"] |= settings
    path.write_text(yaml.safe_dump(known), encoding="utf-8")


def test_weights_are_counted_over_all_files_of_a_model(tmp_path: Path) -> None:
    save_file({"a": np.zeros((3, 4), np.float16), "b": np.zeros((), np.float32)}, tmp_path / "model-1.safetensors")
    save_file({"c": np.zeros(5, np.float32)}, tmp_path / "model-2.safetensors")
    assert parameters(tmp_path) == 3 * 4 + 1 + 5


def test_a_missing_model_says_how_to_get_it(project: Path) -> None:
    result = {base.profile: base for base in bases("triage")}
    assert sorted(result) == sorted(path.stem for path in (project / "params/profiles").glob("*.yaml"))
    assert result["nano"].get is None
    assert result["smollm2-135m"].get == "gradus base smollm2-135m"
    assert result["qwen3-0.6b"].get == "from the hub, with HF_HUB_OFFLINE=0"
    assert result["qwen3-0.6b"].fits(10**15) is None
    assert result["nano"].usd_per_hour == 0.0816  # laptop_2_cores in params/prices.yaml


@pytest.mark.parametrize(
    ("settings", "each"),
    [
        ({"optimiser": "muon"}, 12),  # weights, gradients and one moment, 4 bytes each
        ({"optimiser": "adamw"}, 16),  # and a second moment
        ({"optimiser": "adamw", "packed_tokens": None, "lora": {"rank": 2, "alpha": 4}}, 4),
    ],
)
def test_weights_in_training_take_what_the_optimiser_keeps_of_them(
    project: Path, settings: dict[str, Any], each: int
) -> None:
    change(project, "nano", **settings)
    result = base_of(Run.of("triage", "nano"))
    assert result.parameters is not None
    assert result.train_bytes == each * result.parameters
    assert result.fits(each * result.parameters + 1)
    assert not result.fits(each * result.parameters)


def test_a_folder_that_is_no_model_is_refused_and_not_called_missing(project: Path) -> None:
    (project / "models/nano/config.json").unlink()
    with pytest.raises(ConfigError, match=r"model\.path: .*config\.json"):
        bases("triage")


def test_there_is_memory_to_train_in() -> None:
    assert memory().size > 10**9


@pytest.mark.parametrize(
    ("own", "limits", "expected"),
    [
        ("0::/", {"memory.max": "5000000"}, 5_000_000),  # a container's own root
        ("0::/pods/one", {"pods/memory.max": "7000000", "pods/one/memory.max": "max"}, 7_000_000),
        ("4:cpu:/a\n3:memory:/docker/x", {"memory/memory.limit_in_bytes": "6000000"}, 6_000_000),
        ("3:memory:/", {"memory/memory.limit_in_bytes": "9223372036854771712"}, None),
        ("0::/", {"memory.max": "max"}, None),
        (None, {}, None),
    ],
)
def test_a_container_s_limit_bounds_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str | None, limits: dict[str, str], expected: int | None
) -> None:
    monkeypatch.setattr(base_models, "OWN_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(base_models, "GROUPS", tmp_path / "groups")
    if own is not None:
        (tmp_path / "cgroup").write_text(f"{own}\n")
    for name, limit in limits.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{limit}\n")
    assert base_models.main_memory() == (expected or psutil.virtual_memory().total)


@pytest.mark.slow
def test_a_short_training_estimates_what_all_rows_would_take(project: Path) -> None:
    path = project / "params/workloads/triage.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    settings["source"]["sizes"] = {"train": 200, "dev": 40, "test": 40, "sealed": 40}
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    before = {path for path in project.rglob("*") if path.is_file() and path.parts[-2] != "models"}
    result = try_out(Run.of("triage", "nano"), 32, project.parent / "tried")
    assert (result.examples, result.rows, result.dev_examples) == (32, 200, 40)
    # Two epochs of 200 rows at the speed of 32 examples.
    assert result.train_seconds == pytest.approx(2 * 200 / 32 * result.seconds, rel=0.1)
    assert result.serve_seconds_1k > 0
    assert 0 <= result.right <= result.valid <= 1
    assert {path for path in project.rglob("*") if path.is_file()} == before
    assert json.loads((project.parent / "tried/out/config.json").read_text())["model_type"] == "lfm2"


def test_a_ladder_without_a_training_needs_no_memory_for_one(project: Path, tmp_path: Path) -> None:
    run = Run.of("triage", "nano", "prompting")
    base = base_of(run)
    assert base.parameters and base.train_bytes is None and base.fits(1) is None
    with pytest.raises(ConfigError, match="a rung that trains on demonstrations, found prompting"):
        try_out(run, 10, tmp_path / "trial")
    assert not (tmp_path / "trial").exists()
