"""A project's own code: modules in its folder that settings name as `module:name`, and those that they import.

Decides which files and folders belong to it. Stages depend on them, and they travel with stages that run elsewhere;
what was scored or tried with them is kept for as long as they are the same.
"""

import ast
import os.path
import re
import shlex
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from components.params import MCP

ADDRESS = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"  # module:name
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


def package(address: str) -> str | None:
    """The folder that a module lies in; of one at the top of the project its file, or its own folder."""
    module = Path(address.partition(":")[0].replace(".", "/"))
    return own(module.name) if module.parent == Path() else str(module.parent)


def named_by_settings(project: Path) -> list[str]:
    """What a project's settings name in its folder, as paths from there.

    That is code, as module:name or in an MCP server's command, with what it imports, and other files, such as rubrics.
    """
    texts = [file.read_text(encoding="utf-8") for file in sorted((project / "params").rglob("*.yaml"))]
    modules = sorted({address.partition(":")[0] for text in texts for address in re.findall(ADDRESS, text)})
    code = [path for module in modules if (path := own(module, project)) is not None]
    values = list(dict.fromkeys(value for text in texts for value in _values(text)))
    files = [str(project / value) for value in values if os.path.isfile(project / value)]
    for value in values:
        with suppress(ValueError):  # a quote that is not closed: reading the workload refuses it
            files += server_files(value.removeprefix(MCP), project) if value.startswith(MCP) else []
    paths = (os.path.relpath(path, project) for path in (*with_imports(code, project), *files))
    return [path for path in dict.fromkeys(paths) if Path(path).parts[0] != os.pardir]


def _values(text: str) -> Iterator[str]:
    """All texts among the values of a YAML file; none of one that is damaged."""
    waiting: list[Any] = []
    with suppress(yaml.YAMLError):
        waiting.append(yaml.load(text, getattr(yaml, "CBaseLoader", yaml.BaseLoader)))  # every scalar is a text
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value


def server_files(command: str, among: Path = Path()) -> list[str]:
    """The project's files in an MCP server's command; of a script or a module what it imports too.

    `among` is the project's folder.
    """
    words = shlex.split(command)
    # Path.is_file raises where a word is too long for a name. An interpreter is not the server's code.
    files = [among / word for word in words if os.path.isfile(among / word) and not os.path.isabs(word)]
    modules = [path for flag, word in pairwise(words) if flag == "-m" and (path := own(word, among)) is not None]
    # A script's imports begin beside it.
    return [*with_imports(modules, among), *(path for file in files for path in with_imports([str(file)], file.parent))]


def with_imports(code: Iterable[str], among: Path = Path()) -> list[str]:
    """Files and folders of code, and after them those of the project's own that they import, each once.

    `among` is the folder that imports begin in. Gradus's code is not read: it imports none of a project's.
    """
    found = list(dict.fromkeys(code))
    for path in found:  # grows meanwhile
        if Path(path).parts[0] not in GRADUS:
            here = {place for name in _imported(Path(path), among) if (place := own(name, among)) is not None}
            found += sorted(here - {*found})
    return found


def _imported(code: Path, among: Path) -> Iterator[str]:
    """The modules that a file or folder of code imports; of a relative import the top level that it lies in there."""
    for file in sorted(code.rglob("*.py")) if code.is_dir() else [code] if code.suffix == ".py" else []:
        with suppress(SyntaxError, ValueError):  # not every file of a folder has to be code that runs
            for node in ast.walk(ast.parse(file.read_bytes())):
                if isinstance(node, ast.Import):
                    yield from (alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    yield node.module
                elif isinstance(node, ast.ImportFrom) and file.is_relative_to(among):
                    yield file.relative_to(among).parts[0]
