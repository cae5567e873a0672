"""Prompts: text files with placeholders, rendered into messages.

A file holds the system prompt, a line `---user---`, and the user message; `{name}` stands for an input column.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from components.errors import ConfigError
from components.params import read_text
from components.records import Example, Message

DIVIDER = "---user---"
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class Answered(Protocol):
    """An input with its answer."""

    @property
    def input(self) -> dict[str, str]: ...

    @property
    def answer(self) -> str: ...


class Shown(Protocol):
    """Answered examples that a prompt shows before it asks."""

    @property
    def version(self) -> str: ...

    def of(self, example: Example, /) -> Sequence[Answered]:
        """Those that stand before this example, in order."""
        ...


@dataclass(frozen=True)
class Prompt:
    """One version of a prompt; `shots` are shown as earlier turns of the conversation."""

    name: str
    system: str
    user: str
    shots: Shown | None = None

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The input columns that the user message refers to, in order, each once."""
        return tuple(dict.fromkeys(_PLACEHOLDER.findall(self.user)))

    @property
    def version(self) -> str:
        """A hash of the text, and of the shots where there are some."""
        shots = f"\n{self.shots.version}" if self.shots else ""
        return hashlib.sha256(f"{self.system}\n{DIVIDER}\n{self.user}{shots}".encode()).hexdigest()[:12]

    def messages(self, example: Example) -> list[Message]:
        """The conversation that asks for this example's answer."""
        turns: list[Message] = [Message(role="system", content=self.system)] if self.system else []
        for shot in self.shots.of(example) if self.shots else ():
            turns += [self._asked(shot.input), Message(role="assistant", content=shot.answer)]
        return [*turns, self._asked(example.input)]

    def _asked(self, inputs: dict[str, str]) -> Message:
        user = _PLACEHOLDER.sub(lambda placeholder: inputs[placeholder[1]], self.user)
        return Message(role="user", content=user)

    def inputs_of(self, said: str) -> dict[str, str] | None:
        """The inputs in a user message that this prompt made; None where it made none."""
        parts, names = re.split(r"\{\w+\}", self.user), _PLACEHOLDER.findall(self.user)
        groups = [f"(?P<{name}>.*)" if name not in names[:at] else f"(?P={name})" for at, name in enumerate(names)]
        pattern = "".join(re.escape(text) + group for text, group in zip(parts, [*groups, ""], strict=True))
        known = re.fullmatch(pattern, said, re.DOTALL)
        return known.groupdict() if known else None

    def write(self, path: Path) -> None:
        """Write the text as a file that reads back as this prompt; shots lie beside it by themselves."""
        text = f"{self.system}\n{DIVIDER}\n{self.user}\n" if self.system else f"{self.user}\n"
        path.write_text(text, encoding="utf-8")


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
