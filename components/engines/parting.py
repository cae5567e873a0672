"""Keeps texts from being read as control tokens by an engine elsewhere, which gets texts where engines here get tokens.

Decides how: a blank without width parts a token's name, which so stays readable and is no token. Texts in which no
token is named are sent as they are.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from components.engines.chat import is_control
from components.errors import EngineError

BLANK = "\u200b"


class Parting:
    """Parts the names of control tokens in texts."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        by_length = sorted((name for name in names if len(name) > 1), key=len, reverse=True)
        self._named = re.compile("|".join(map(re.escape, by_length)) or r"(?!)")

    @classmethod
    def of(cls, folder: Path) -> "Parting":
        """For the tokenizer in a model's folder.

        Raises:
            EngineError: There is none.
        """
        try:
            known = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
            tokens = [(str(token["content"]), bool(token["special"])) for token in known["added_tokens"]]
            template = _template(folder)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise EngineError(f"expected a tokenizer's files, found {error!r:.200} ({folder})") from error
        return cls(name for name, special in tokens if is_control(name, template, special=special))

    def __call__(self, value: Any) -> Any:
        """A value of JSON with the names in its texts parted."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
        if isinstance(value, dict):
            return {self(key): self(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
        return value

    def message(self, message: dict[str, Any]) -> dict[str, Any]:
        """A message in OpenAI's form with the names in its texts parted, also in its calls' arguments."""
        calls = [
            {**call, "function": {**call["function"], "arguments": self._arguments(call["function"]["arguments"])}}
            for call in message.get("tool_calls", ())
        ]
        return {**message, "content": self(message["content"]), **({"tool_calls": calls} if calls else {})}

    def _text(self, text: str) -> str:
        while self._named.search(text):  # again where what is left of one name is a part of another
            text = self._named.sub(lambda name: f"{name[0][0]}{BLANK}{name[0][1:]}", text)
        return text

    def _arguments(self, text: str) -> str:
        """Arguments, which are JSON: a template may read them, so that a name may also be written in escapes."""
        try:
            known = json.loads(text)
            parted = self(known)
            return text if parted == known else json.dumps(parted, ensure_ascii=False)
        except (ValueError, RecursionError):  # no JSON, or nested beyond reading
            return self._text(text)


def _template(folder: Path) -> str:
    """The chat template in a model's folder; it has a file of its own, or stands in the tokenizer's settings."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    return str(settings.get("chat_template") or "")
