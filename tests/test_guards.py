"""The list of guards in benchmarks/guards.py is of today's source; whether their tests notice takes minutes to try."""

import ast
from pathlib import Path

from benchmarks.guards import GUARDS, Guard

ROOT = Path(__file__).resolve().parents[1]


def _unknown(guard: Guard) -> list[str]:
    """The words after the file of a guard's tests that no name of a test there has."""
    file, _, words = guard.tests.partition(" ")
    nodes = ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8")))
    names = [node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    tests = [name for name in names if name.startswith("test_")]
    return [word for word in words.split(" or ") if not any(word in name for name in tests)]


def test_every_guard_stands_in_its_file_and_has_a_file_of_tests() -> None:
    gone = [guard.promise for guard in GUARDS if guard.source not in (ROOT / guard.file).read_text(encoding="utf-8")]
    assert gone == []
    assert [guard.tests for guard in GUARDS if not (ROOT / guard.arguments[0]).is_file()] == []


def test_every_guards_tests_are_there_by_their_names() -> None:
    assert {guard.promise: words for guard in GUARDS if (words := _unknown(guard))} == {}
