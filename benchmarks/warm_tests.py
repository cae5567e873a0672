"""Runs tests in processes with libraries already imported: a line of JSON requests a run, a line gives its outcome.

Started by `benchmarks.mutants` in a copy of the tree. A new process is forked for each run, before anything from the
tree is imported, so that runs see the current tree and are independent.
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
    """Import the libraries, then run requests until the input ends."""
    for name in LIBRARIES:
        importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            run(request["tests"])
        print(json.dumps(passed(child, request["seconds"])), flush=True)


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
