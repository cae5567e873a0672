"""docs/results.md says what benchmarks/real.json holds, and nothing else."""

import copy
import json

from benchmarks.results import PAGE, RECORD, page

FIELDS = {"set", "model", "method", "noise", "seed", "metric", "value", "low", "high", "n", "train_examples", "seconds",
          "machine"}  # fmt: skip
KNOWN = json.loads(RECORD.read_text(encoding="utf-8"))


def test_the_page_is_what_the_record_gives() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(KNOWN), "make results writes it anew"


def test_every_row_has_the_fields_of_the_record_and_lies_in_its_interval() -> None:
    assert all(row.keys() >= FIELDS for row in KNOWN["rows"])
    assert all(0 <= row["low"] <= row["value"] <= row["high"] <= 1 and row["n"] > 0 for row in KNOWN["rows"])


def test_another_measurement_gives_another_page() -> None:
    changed = copy.deepcopy(KNOWN)
    for row in changed["rows"]:
        if (row["set"], row["metric"]) == ("snips", "exact") and row["method"] == "sft":
            row["value"] = row["high"] = 0.95
    assert "reached." in page(changed) and "missed by every seed" in page(KNOWN)
    assert "missed by every seed" not in page(changed)


def test_the_rate_is_the_one_that_was_better_on_dev_not_on_test() -> None:
    changed = copy.deepcopy(KNOWN)
    for row in changed["rows"]:
        if row["set"] == "snips" and row.get("rate") == 0.001:
            row["dev_score"] = 0.99  # worse on test, as before
    assert "0.001 for SNIPS" in page(changed) and "0.0004 for SNIPS" in page(KNOWN)
