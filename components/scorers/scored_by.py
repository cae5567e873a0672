"""What verdicts depend on besides the answers: settings, code and files of a scorer, and of an agent's environment.

Decides when kept verdicts, and checkpoints that learnt from some, are those of another scorer. Not seen: what a server
elsewhere decides, and files that code opens outside of its package. Of a project's own code what stages declare is
seen: what settings name, and what that imports.
"""

import hashlib
import json
import os.path
import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from components.own_code import ADDRESS, own, package, server_files, with_imports
from components.params import MCP, ScorerParams, Workload

OWN, OF_TRIES = "components.scorers", "components.tasks"


def scored_by(workload: Workload, scorer: ScorerParams) -> str:
    """A hash of all that a scorer's verdicts depend on besides the answer, and tries on besides the model."""
    settings = [workload.output, *(params.model_dump(mode="json") for params in (scorer, workload.agent) if params)]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, path in sorted(_files(workload, scorer)):
        with path.open("rb") as file:
            digest.update(f"{name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def _files(workload: Workload, scorer: ScorerParams) -> set[tuple[str, Path]]:
    """The files, each with a name that it has on every machine."""
    texts, modules, code = list(_texts(scorer.model_dump(mode="json"))), [OWN], list[str]()
    if (agent := workload.agent) is not None:
        modules.append(OF_TRIES)
        command, server = agent.environment.removeprefix(MCP), agent.environment.startswith(MCP)
        words = shlex.split(command) if server else [command]
        texts += [word for word in words if not Path(word).is_absolute()]  # an interpreter is not the server's code
        code += server_files(command) if server else []
    addresses = [text for text in texts if re.fullmatch(ADDRESS, text)]
    modules += [address.partition(":")[0] for address in addresses]
    code += with_imports(path for each in addresses if own(each.partition(":")[0]) and (path := package(each)))
    # Path.is_file raises where a text is too long for a name.
    named = [(text, Path(text)) for text in texts if os.path.isfile(text)]
    imported = [(file.as_posix(), file) for path in code for file in _all_of(Path(path))]
    return {*named, *imported, *(file for module in modules for file in _code(module))}


def _code(module: str) -> Iterator[tuple[str, Path]]:
    """A module's file; of a package, and of a module in one, all files of the package."""
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        return
    code = Path(spec.origin)
    if "." not in module and not spec.submodule_search_locations:
        yield from [(module, code)] if code.is_file() else []
        return
    yield from ((f"{module} {path.relative_to(code.parent).as_posix()}", path) for path in _all_of(code.parent))


def _all_of(place: Path) -> Iterator[Path]:
    """A file itself; of a folder all files that are not compiled ones."""
    files = place.rglob("*") if place.is_dir() else [place]
    yield from (path for path in files if path.is_file() and path.suffix != ".pyc")


def _texts(value: Any) -> Iterator[str]:
    """All strings in nested settings, names among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        items: dict[str, Any] = value
        yield from (text for pair in items.items() for item in pair for text in _texts(item))
    elif isinstance(value, list):
        members: list[Any] = value
        yield from (text for item in members for text in _texts(item))
