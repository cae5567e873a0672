"""Tests in processes that find the libraries imported: a line of JSON asks for a run, a line says whether it passed.

Started by `benchmarks.mutants` in a copy of the tree. A process of its own is forked for each run, before anything of
the tree has been imported, so that runs see the tree as it is then and nothing of each other.
"""

import importlib
import json
import os
import signal
import sys
import time
from typing import NoReturn

LIBRARIES = (
    "pytest", "numpy", "pandas", "pyarrow.parquet", "pydantic", "fastapi", "uvicorn", "httpx", "jsonschema", "yaml",
    "hypothesis", "regex", "duckdb", "sqlglot", "sqlalchemy", "prometheus_client", "llguidance", "torch",
    "transformers", "sklearn", "phonenumbers",
)  # fmt: skip


def main() -> None:
    """Import, then run whatever is asked for until nothing more is."""
    for name in LIBRARIES:
        importlib.import_module(name)
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            run(asked["tests"])
        print(json.dumps(passed(child, asked["seconds"])), flush=True)


def run(tests: list[str]) -> NoReturn:
    """The tests' exit status is this process's."""
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
    """Whether a process ended well in time; what it started goes with it."""
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
