"""One training on one process and on two: benchmarks/scale_training.py, run again, and its record."""

import json
from pathlib import Path

import pytest

from benchmarks.scale_training import FIELD, RECORD, STEPS, apart, compared, launched

LOSS, WEIGHTS = 1e-5, 1e-4


def test_the_record_keeps_the_bounds() -> None:
    record = json.loads(RECORD.read_text(encoding="utf-8"))[FIELD]
    assert record["steps"] == STEPS and record["last_loss"] < 0.7 * record["first_loss"]
    for strategy in ("ddp", "fsdp2"):
        row = record[strategy]
        assert max(row["loss_difference"], row["resumed_loss_difference"]) < LOSS, strategy
        assert max(row["weight_difference"], row["resumed_weight_difference"]) < WEIGHTS, strategy
        assert 0 < row["resumed_from_step"] < STEPS
    assert record["ddp"]["shards"] == 0 and record["fsdp2"]["shards"] >= 4  # of weights and optimiser, on two processes


@pytest.mark.slow
def test_two_processes_end_where_one_does_and_one_goes_on_from_two(tmp_path: Path) -> None:
    figures = compared(tmp_path)
    for strategy in ("ddp", "fsdp2"):
        row = figures[strategy]
        assert max(row["loss_difference"], row["resumed_loss_difference"]) < LOSS, strategy
        assert max(row["weight_difference"], row["resumed_weight_difference"]) < WEIGHTS, strategy
    assert figures["fsdp2"]["shards"] >= 4 and figures["fsdp2"]["resumed_from_step"] == 10
    launched(tmp_path, "other-seed", 1, "ddp", seed=2)  # the bounds tell trainings apart
    loss, weights = apart(tmp_path, "other-seed", "alone")
    assert loss > 100 * LOSS and weights > 10 * WEIGHTS
