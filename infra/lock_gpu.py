"""Makes requirements-gpu.lock: the environment of stages that train or answer on a GPU, resolved apart from the base's.

`make locks` calls it. It is what pyproject.toml names, without Prefect, and with the group `gpu` in place of what vLLM
wants otherwise. Resolved for CPython 3.11 on Linux, x86-64, which the GPU's image has; each file with its hash.
"""

import argparse
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra.lock import OLDEST, entries, written

LOCK = Path("requirements-gpu.lock")
GROUP = "gpu"
LEFT_OUT = frozenset(
    {"prefect"}
)  # it needs fastapi >= 0.139, vLLM < 0.137; it starts the stage from the base's environment
PLATFORM = "x86_64-manylinux_2_28"
HEADER = "# Made by `make locks`: the environment of stages on a GPU. CPython 3.11, Linux, x86-64.\n"


def wanted(project: dict[str, Any]) -> list[str]:
    """The requirements of the environment: the group's, and the project's that the group does not name."""
    group = list(project["dependency-groups"][GROUP])
    named = LEFT_OUT | {canonicalize_name(Requirement(text).name) for text in group}
    kept = [
        text for text in project["project"]["dependencies"] if canonicalize_name(Requirement(text).name) not in named
    ]
    return [*kept, *group]


def resolved(requirements: list[str], earlier: str, upgrade: bool) -> str:
    """What uv resolves them to, with earlier pins where it can.

    Raises:
        subprocess.CalledProcessError: They contradict each other; uv has said where.
    """
    with tempfile.TemporaryDirectory() as folder:
        listed, output = Path(folder) / "in.txt", Path(folder) / "lock.txt"
        listed.write_text("\n".join(requirements), encoding="utf-8")
        output.write_text(earlier, encoding="utf-8")
        command = [sys.executable, "-m", "uv", "pip", "compile", str(listed), "--output-file", str(output)]
        command += ["--python-version", OLDEST, "--python-platform", PLATFORM, "--generate-hashes"]
        command += ["--no-annotate", "--no-header", "--quiet", *(["--upgrade"] if upgrade else [])]
        subprocess.run(command, check=True)
        return output.read_text(encoding="utf-8")


def main() -> None:
    """Write the lock."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upgrade", action="store_true", help="the newest versions that are allowed")
    options = parser.parse_args()
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    earlier = LOCK.read_text(encoding="utf-8") if LOCK.is_file() else ""
    LOCK.write_text(written(entries(resolved(wanted(project), earlier, options.upgrade)), HEADER), encoding="utf-8")


if __name__ == "__main__":
    main()
