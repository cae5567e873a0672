"""A project's own code: modules in its folder that settings name as `module:name`, and those that they import.

Decides which files and folders belong to it. Stages depend on them, and they travel with stages that run elsewhere.
"""

import ast
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

GRADUS = frozenset({"components", "flows", "monitoring"})


def own(module: str, among: Path = Path()) -> str | None:
    """The file or folder of a module's top level in the project; None for Gradus's code and what is installed.

    Found as Python finds it: a package before a file, a file before a folder that is no package.
    """
    name = module.partition(".")[0]
    folder, file = among / name, among / f"{name}.py"
    if not name or name in GRADUS:
        return None
    if file.is_file() and not (folder / "__init__.py").is_file():
        return str(file)
    return str(folder) if any(folder.rglob("*.py")) else None


def with_imports(code: Iterable[str], among: Path = Path()) -> list[str]:
    """Files and folders of code, and after them those of the project's own that they import, each once.

    `among` is the folder that imports begin in. Gradus's code is not read: it imports none of a project's.
    """
    found = list(dict.fromkeys(code))
    for path in found:  # grows meanwhile
        if Path(path).parts[0] not in GRADUS:
            here = {place for name in _imported(Path(path)) if (place := own(name, among)) is not None}
            found += sorted(here - {*found})
    return found


def _imported(code: Path) -> Iterator[str]:
    """The modules that a file or folder of code imports; of a relative import the top level that it lies in."""
    for file in sorted(code.rglob("*.py")) if code.is_dir() else [code] if code.suffix == ".py" else []:
        with suppress(SyntaxError, ValueError):  # not every file of a folder has to be code that runs
            for node in ast.walk(ast.parse(file.read_bytes())):
                if isinstance(node, ast.Import):
                    yield from (alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom):
                    yield node.module if node.module and not node.level else file.parts[0]
