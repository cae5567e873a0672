"""Prompt versions: a registered prompt per workload, with a new version only if the text has changed.

Decides names, versions and aliases; evaluation decides which prompt is best. MLflow writes placeholders as `{{name}}`,
Gradus as `{name}`; only user messages have placeholders, so only they are translated.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from components.prompts import Prompt
from components.registry.store import absent, connect, expecting

FILE_TAG = "gradus.file"
TEXT_TAG = "gradus.text_hash"
_OURS = re.compile(r"\{(\w+)\}")


def registered_name(workload: str) -> str:
    """The prompt's name in the registry; models have the workload's name, and MLflow lists both together."""
    return f"{workload}-prompt"


def register_prompt(
    workload: str, prompt: Prompt, aliases: Iterable[str] = (), more_tags: Mapping[str, str] | None = None
) -> int:
    """Register a prompt, point aliases such as `best` or `trained` to it, and return its version.

    A text that is already registered under the same name keeps its version. `more_tags` are set on that version,
    replacing earlier values.

    Raises:
        RegistryError: MLflow refuses a name, an alias or the text, or cannot be reached.
    """
    client, name = connect(), registered_name(workload)
    with expecting(f"the prompt `{prompt.name}` to be registered as {name}"):
        version = _known(client, name, prompt)
        if version is None:
            version = int(client.register_prompt(name, to_template(prompt), prompt.name, _tags(prompt)).version)
        for key, value in (more_tags or {}).items():
            client.set_prompt_version_tag(name, str(version), key, value)
        for alias in aliases:
            client.set_prompt_alias(name, alias, version)
    return version


def to_template(prompt: Prompt) -> list[dict[str, str]]:
    """The prompt as MLflow's chat messages."""
    user = {"role": "user", "content": _OURS.sub(r"{{\1}}", prompt.user)}
    return [{"role": "system", "content": prompt.system}, user] if prompt.system else [user]


def _tags(prompt: Prompt) -> dict[str, str]:
    return {FILE_TAG: prompt.name, TEXT_TAG: prompt.version}


def _known(client: Any, name: str, prompt: Prompt) -> int | None:
    """The newest version with this file name and text, or None."""
    from mlflow.exceptions import MlflowException

    try:
        versions = client.search_prompt_versions(name)
    except MlflowException as error:
        if not absent(error):
            raise
        return None
    same = [int(version.version) for version in versions if _tags(prompt).items() <= version.tags.items()]
    return max(same, default=None)
