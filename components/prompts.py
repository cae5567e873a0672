"""Prompts: text files with placeholders, rendered into messages.

A file holds the system prompt, a line `---user---`, and the user message; `{name}` stands for an input column.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from components.errors import ConfigError
from components.params import read_text
from components.records import Example, Message

DIVIDER = "---user---"
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Prompt:
    """One version of a prompt."""

    name: str
    system: str
    user: str

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The input columns that the user message refers to, in order."""
        return tuple(_PLACEHOLDER.findall(self.user))

    @property
    def version(self) -> str:
        """A hash of the text."""
        return hashlib.sha256(f"{self.system}\n{DIVIDER}\n{self.user}".encode()).hexdigest()[:12]

    def messages(self, example: Example) -> list[Message]:
        """The conversation that asks for this example's answer."""
        user = _PLACEHOLDER.sub(lambda found: example.input[found[1]], self.user)
        asked = [Message(role="user", content=user)]
        return [Message(role="system", content=self.system), *asked] if self.system else asked


def load_prompt(folder: Path, name: str, columns: tuple[str, ...]) -> Prompt:
    """Read `<folder>/<name>.md` for a workload with these input columns.

    Raises:
        ConfigError: The file is missing, or its user message has no placeholder or one that is no input column.
    """
    path = folder / f"{name}.md"
    if not path.is_file():
        raise ConfigError(f"expected the prompt `{name}`, found no file at {path}")
    text = read_text(path, "a prompt")
    system, divider, user = text.partition(DIVIDER)
    if not divider:
        system, user = "", text
    prompt = Prompt(name, system.strip(), user.strip())
    wanted = " or ".join(f"{{{column}}}" for column in columns)
    if not prompt.placeholders:
        raise ConfigError(f"expected the placeholder {wanted} in the user message, found none ({path})")
    for placeholder in prompt.placeholders:
        if placeholder not in columns:
            raise ConfigError(f"expected the placeholder {wanted}, found {{{placeholder}}} ({path})")
    return prompt
