"""Gradus's own code as a dependency of stages: files of the project, or of the installed package.

In the repository DVC hashes the files itself. If Gradus is installed as a package, the project has none of them: their
hashes are written to runs/RUN/code.yaml, and stages depend on its entries as they do on settings.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

PACKAGE = "components"
INSTALLED = Path(__file__).resolve().parents[2]
CODE = "code.yaml"


def located(path: str | Path) -> Path:
    """The location of a path that may be Gradus's own code: in the project, else in the installed package."""
    own, elsewhere = Path(path), INSTALLED / path
    return elsewhere if not own.exists() and own.parts[:1] == (PACKAGE,) and elsewhere.exists() else own


def parted(deps: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split a stage's dependencies into files of the project and code of the installed package."""
    here = [path for path in deps if located(path) == Path(path)]
    return here, [path for path in deps if path not in here]


def key(path: str) -> str:
    """The key of a file or folder in code.yaml: without a dot, at which DVC would split it."""
    return path.removesuffix(".py")


def hashed(paths: Sequence[str]) -> dict[str, str]:
    """Key → SHA-256 of the names and contents of all its files, except compiled ones."""
    return {key(path): _hash(located(path)) for path in sorted({*paths})}


def _hash(path: Path) -> str:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    hasher = hashlib.sha256()
    for file in files:
        if file.is_file() and file.suffix != ".pyc":
            content = file.read_bytes()
            hasher.update(f"{file.relative_to(path.parent).as_posix()} {len(content)}\n".encode() + content)
    return hasher.hexdigest()
