"""Whether this machine can isolate a process at all, tried without the product's script inside.

Tests of the sandbox are skipped only where it cannot: a script inside that is broken must fail them.
"""

import subprocess

import pytest

from components.params.sandbox import Isolation as Wanted
from components.scorers.sandbox.isolation import ENVIRONMENT, Isolation, isolated_command, missing

ISOLATIONS: tuple[Isolation, ...] = ("bubblewrap", "unshare")


def fails_here(isolation: Isolation) -> str | None:
    """Why no process starts in this isolation here; None if one does."""
    if reason := missing(isolation):
        return reason
    command = isolated_command(isolation, ["-c", "print('inside')"])
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=60, check=False)
    return None if done.stdout == "inside\n" else f"{isolation}: {done.stderr.strip() or 'it printed nothing'}"


def require(wanted: Wanted = "auto") -> None:
    """Skip the test where this isolation does not work; `auto` is any."""
    reasons = [fails_here(isolation) for isolation in (ISOLATIONS if wanted == "auto" else (wanted,))]
    if all(reasons):
        pytest.skip("; ".join(filter(None, reasons)))
