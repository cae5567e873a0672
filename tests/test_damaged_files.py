"""A few of `make bench-fuzz`'s damaged files, and those whose damage once stopped a command or a server."""

import json
from pathlib import Path

import pytest

from benchmarks.fuzz import fuzz_files
from benchmarks.fuzz_files import FILES, Files
from components.base.pretrain import was_made_by
from components.errors import TrainingError
from components.methods.grpo.probe import _kept
from components.methods.grpo.selection import Mix
from components.params import load
from components.params.pretrain import PretrainParams
from components.training.checkpoints import claim, last_checkpoint
from monitoring.lake import Lake
from monitoring.parquet import merged_in

ROOT = Path(__file__).resolve().parents[1]
NO_OBJECTS = [b"", b"{", b"\xff", b"[]", b"null", b"[" * 5000, b"{}", b'{"identity": [1]}']


@pytest.mark.parametrize("files", FILES, ids=lambda files: files.name.replace(" ", "-"))
def test_damaged_files_are_read_refused_or_set_aside(files: Files) -> None:
    outcome = fuzz_files(files, 30, number=1)
    assert (outcome.count, outcome.failures) == (30, [])


@pytest.mark.parametrize("content", NO_OBJECTS)
def test_a_mark_that_names_no_training_is_somebody_elses(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "identity.json").write_bytes(content)
    (tmp_path / "checkpoint-10").mkdir()
    with pytest.raises(TrainingError, match="expected checkpoints of these settings"):
        claim(tmp_path, "0123")


@pytest.mark.parametrize("content", NO_OBJECTS)
def test_a_checkpoint_whose_state_is_damaged_is_torn(tmp_path: Path, content: bytes) -> None:
    for number, state in ((10, b'{"log_history": []}'), (20, content)):
        (tmp_path / f"checkpoint-{number}").mkdir()
        (tmp_path / f"checkpoint-{number}" / "trainer_state.json").write_bytes(state)
    (tmp_path / "checkpoint-copy").mkdir()  # somebody's own
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-copy"]


@pytest.mark.parametrize("content", NO_OBJECTS)
def test_a_choice_of_prompts_that_is_damaged_is_made_again(tmp_path: Path, content: bytes) -> None:
    kept = tmp_path / "selection.json"
    assert _kept(kept, "0123") is None
    kept.write_bytes(content)
    assert _kept(kept, "0123") is None
    kept.write_text(json.dumps({"identity": "0123", "probed": 3, "varied": [2], "easy": [0], "seconds": 1.5}))
    assert _kept(kept, "0123") == Mix((2,), (0,), 1.5)


@pytest.mark.parametrize("content", NO_OBJECTS)
def test_a_model_whose_record_is_damaged_was_made_by_nobody(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "training.json").write_bytes(content)
    assert not was_made_by(load(ROOT / "params/profiles/nano.yaml", PretrainParams, "pretrain"), tmp_path)


def test_a_list_of_merged_files_that_is_no_text_names_none(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from monitoring.parquet import MERGED_KEY

    table = pa.table({"id": ["1"]}).replace_schema_metadata({MERGED_KEY: b"\xff\xfe"})
    pq.write_table(table, tmp_path / "merged-1.parquet")
    assert merged_in(tmp_path / "merged-1.parquet") == frozenset()
    assert Lake(tmp_path).broken == []
