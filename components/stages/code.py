"""Gradus's own code as stages depend on it: files of the project, or those of the installed package.

In the repository DVC hashes the files itself. Where Gradus is installed as a package, a project has none of them: their
hashes then stand in runs/RUN/code.yaml, and a stage declares those that decide its results as it declares settings.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

PACKAGE = "components"
INSTALLED = Path(__file__).resolve().parents[2]
CODE = "code.yaml"


def located(path: str | Path) -> Path:
    """Where a path of the project lies that may be Gradus's own code: in the project, else where that is installed."""
    own, elsewhere = Path(path), INSTALLED / path
    return elsewhere if not own.exists() and own.parts[:1] == (PACKAGE,) and elsewhere.exists() else own


def parted(deps: Sequence[str]) -> tuple[list[str], list[str]]:
    """Files of the project, and the code among what a stage depends on that is installed elsewhere."""
    here = [path for path in deps if located(path) == Path(path)]
    return here, [path for path in deps if path not in here]


def key(path: str) -> str:
    """What a file or folder of code is called in code.yaml: without the dot, at which DVC would part it."""
    return path.removesuffix(".py")


def hashed(paths: Sequence[str]) -> dict[str, str]:
    """Key → SHA-256 of the names and contents of all files behind it, without what Python compiles of them."""
    return {key(path): _hash(located(path)) for path in sorted({*paths})}


def _hash(path: Path) -> str:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    said = hashlib.sha256()
    for file in files:
        if file.is_file() and file.suffix != ".pyc":
            content = file.read_bytes()
            said.update(f"{file.relative_to(path.parent).as_posix()} {len(content)}\n".encode() + content)
    return said.hexdigest()
