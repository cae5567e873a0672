"""Which Python a stage's process runs in: the one that started it, or that of the environment that the stage needs.

vLLM and Prefect cannot be installed together. On a machine with a GPU, GRADUS_GPU_PYTHON names the Python of the
environment that requirements-gpu.lock makes; a stage that needs it replaces its process by one in that Python.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from components.errors import ConfigError
from components.params import Environment

PYTHON: dict[Environment, str] = {"gpu": "GRADUS_GPU_PYTHON"}


def other_python(needed: Environment, environment: Mapping[str, str]) -> str | None:
    """The Python that this process has to switch to; None if it runs there already, or none is named.

    Raises:
        ConfigError: The variable names no program.
    """
    name = PYTHON.get(needed)
    wanted = environment.get(name, "") if name else ""
    # Not resolved: the Pythons of two environments are links to the same file.
    if not wanted or Path(wanted).absolute() == Path(sys.executable).absolute():
        return None
    if not os.access(wanted, os.X_OK):
        raise ConfigError(f"expected the Python of the environment `{needed}` in {name}, found no program ({wanted})")
    return str(Path(wanted).absolute())


def go_on_in(python: str, module: str, arguments: list[str]) -> None:
    """Replace this process by the same module in another Python; does not return."""
    os.execv(python, [python, "-m", module, *arguments])
