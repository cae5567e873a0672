"""Runs tests in processes with almost everything already imported: a line of JSON requests a run, a line its outcome.

Started by `benchmarks.mutants` in a copy of the tree, with the file that changes between runs and the tests. A new
process is forked for each run, before anything is imported that depends on that file, so that runs see the current
tree and are independent.
"""

import ast
import gc
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

PROJECT = ("components", "flows", "monitoring", "benchmarks", "tests")
LIBRARIES = (
    "pytest", "numpy", "pandas", "pyarrow.parquet", "pydantic", "fastapi", "uvicorn", "httpx", "jsonschema", "yaml",
    "hypothesis", "regex", "duckdb", "sqlglot", "sqlalchemy", "prometheus_client", "llguidance", "torch",
    "transformers", "sklearn", "phonenumbers",
)  # fmt: skip


def main() -> None:
    """Import what stays the same, then run requests until the input ends."""
    changing, *tests = sys.argv[1:]
    for name in ("tests.conftest", *LIBRARIES, *unaffected(changing, tests)):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # pytest collects garbage after each run, which would look through all of this, and copy it
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            run(request["tests"])
        print(json.dumps(passed(child, request["seconds"])), flush=True)
    os._exit(0)  # at once: libraries complain of what is frozen


def unaffected(changing: str, tests: Sequence[str]) -> list[str]:
    """The project's modules that the tests import and that do not import a file, not even indirectly."""
    imports, names = dict[str, set[str]](), {named(path) for test in tests for path in files(test)}
    while names:
        name = names.pop()
        imports[name] = set(imported(name))
        names |= imports[name] - imports.keys()
    affected, size = {named(Path(changing))}, 0
    while size < len(affected):
        size = len(affected)
        affected |= {name for name, others in imports.items() if others & affected}
    return sorted(name for name in imports if name not in affected and not name.startswith("tests"))


def files(test: str) -> list[Path]:
    """The test files that an argument of pytest means, with those that pytest imports before; none for options."""
    path = Path(test.partition("::")[0])
    if not path.exists():
        return []
    shared = [folder / "conftest.py" for folder in path.parents if (folder / "conftest.py").is_file()]
    return [*shared, *(path.rglob("*.py") if path.is_dir() else [path])]


def imported(name: str) -> Iterator[str]:
    """The project's modules that a module imports anywhere in its text, with the package around it."""
    if "." in name:
        yield name.rpartition(".")[0]
    path = source(name)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if path else ():
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            wanted = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (other for other in wanted if other.split(".")[0] in PROJECT and source(other))


def source(name: str) -> Path | None:
    """The file of a module; None if there is no such module."""
    path = Path(*name.split("."))
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


def named(path: Path) -> str:
    """The module of a file."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def run(tests: list[str]) -> NoReturn:
    """Run the tests and exit with their status."""
    import pytest

    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nowhere, number)
    code = 1
    try:
        code = int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *tests]))
    finally:
        os._exit(code)


def passed(child: int, seconds: float) -> bool:
    """Whether a process succeeded in time; it is ended with all that it started."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        number, status = os.waitpid(child, os.WNOHANG)
        if number:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


if __name__ == "__main__":
    main()
