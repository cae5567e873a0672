"""What verdicts depend on besides the answers: settings, code and files of a scorer, and of an agent's environment.

Decides when kept verdicts, and checkpoints that learnt from some, are those of another scorer. Not seen: what a server
elsewhere decides, and files that code opens outside of its package.
"""

import hashlib
import json
import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from components.params import MCP, ScorerParams, Workload

ADDRESS = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"  # module:name
OWN, OF_TRIES = "components.scorers", "components.tasks"
LONGEST_PATH = 255  # characters, beyond which a setting is no file's path


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
    texts, modules = list(_texts(scorer.model_dump(mode="json"))), [OWN]
    if (agent := workload.agent) is not None:
        modules.append(OF_TRIES)
        server = agent.environment.startswith(MCP)
        words = shlex.split(agent.environment.removeprefix(MCP)) if server else [agent.environment]
        texts += [word for word in words if not Path(word).is_absolute()]  # an interpreter is not the server's code
    modules += [text.partition(":")[0] for text in texts if re.fullmatch(ADDRESS, text)]
    named = [(text, Path(text)) for text in texts if len(text) <= LONGEST_PATH and Path(text).is_file()]
    return {*named, *(file for module in modules for file in _code(module))}


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
    for path in code.parent.rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            yield f"{module} {path.relative_to(code.parent).as_posix()}", path


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
