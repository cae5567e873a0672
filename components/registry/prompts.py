"""Prompt versions: one registered prompt a workload, a new version only where the text changed.

Decides names, versions and aliases; which prompt is best is decided by evaluation. MLflow writes a placeholder as
`{{name}}` where Gradus writes `{name}`: only the user message has placeholders, so only it is translated.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from components.prompts import Prompt
from components.registry.store import absent, connect, told

FILE_TAG = "gradus.file"
TEXT_TAG = "gradus.text_hash"
_OURS = re.compile(r"\{(\w+)\}")


def registered_name(workload: str) -> str:
    """The prompt's name in the registry; models have the workload's own, and MLflow keeps both in one list."""
    return f"{workload}-prompt"


def register_prompt(
    workload: str, prompt: Prompt, aliases: Iterable[str] = (), told_of: Mapping[str, str] | None = None
) -> int:
    """Register a prompt and point aliases such as `best` or `trained` to it; return its version.

    A text that is registered under the same name keeps its version; `told_of` are further tags of that version, by
    which they are replaced.

    Raises:
        RegistryError: MLflow refuses a name, an alias or the text, or cannot be reached.
    """
    client, name = connect(), registered_name(workload)
    with told(f"the prompt `{prompt.name}` to be registered as {name}"):
        version = _known(client, name, prompt)
        if version is None:
            version = int(client.register_prompt(name, to_template(prompt), prompt.name, _tags(prompt)).version)
        for key, value in (told_of or {}).items():
            client.set_prompt_version_tag(name, str(version), key, value)
        for alias in aliases:
            client.set_prompt_alias(name, alias, version)
    return version


def to_template(prompt: Prompt) -> list[dict[str, str]]:
    """The prompt as MLflow's chat messages."""
    asked = {"role": "user", "content": _OURS.sub(r"{{\1}}", prompt.user)}
    return [{"role": "system", "content": prompt.system}, asked] if prompt.system else [asked]


def _tags(prompt: Prompt) -> dict[str, str]:
    return {FILE_TAG: prompt.name, TEXT_TAG: prompt.version}


def _known(client: Any, name: str, prompt: Prompt) -> int | None:
    """The newest version with this file name and text, None where there is none."""
    from mlflow.exceptions import MlflowException

    try:
        versions = client.search_prompt_versions(name)
    except MlflowException as error:
        if not absent(error):
            raise
        return None
    same = [int(version.version) for version in versions if _tags(prompt).items() <= version.tags.items()]
    return max(same, default=None)
