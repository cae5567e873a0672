"""Mutants run in processes that have imported what stays the same, and nothing that depends on the changed file."""

from pathlib import Path

import pytest

from benchmarks.warm_tests import unaffected

ROOT = Path(__file__).resolve().parents[1]


def test_what_depends_on_the_changing_file_is_not_imported_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    early = unaffected("components/data/personal.py", ["tests/components/data/test_masking.py", "-k", "stays"])
    assert {"components.data.check_digits", "components.data.names", "components.params"} <= set(early)
    assert {"components.data.personal", "components.data.masking", "benchmarks.masking"}.isdisjoint(early)
    assert not any(name.startswith("tests") for name in early)
    assert "components.data.check_digits" not in unaffected(
        "components/data/check_digits.py", ["tests/components/data/test_masking.py"]
    )
