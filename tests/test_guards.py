"""The list of guards in benchmarks/guards.py is of today's source; whether their tests notice takes minutes to try."""

from pathlib import Path

from benchmarks.guards import GUARDS

ROOT = Path(__file__).resolve().parents[1]


def test_every_guard_stands_in_its_file_and_has_a_file_of_tests() -> None:
    gone = [one.promise for one in GUARDS if one.source not in (ROOT / one.file).read_text(encoding="utf-8")]
    assert gone == []
    assert [one.tests for one in GUARDS if not (ROOT / one.arguments[0]).is_file()] == []
