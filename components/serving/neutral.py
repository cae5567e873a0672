"""Which of OpenAI's parameters are ignored: clients send many that change no answer.

Decides by name and value; any other parameter asks for something that this server does not do, and is refused by name.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, model_validator

from components.serving.refusals import RequestError

# Ignored whatever their value: notes, accounts, caches, hints.
HARMLESS = frozenset({
    "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
    "prompt_cache_options", "prediction", "parallel_tool_calls", "include", "truncation", "include_obfuscation",
})  # fmt: skip
# Values that ask for what is done anyway, besides those in NOTHING, which all parameters may have.
SAME: Mapping[str, tuple[Any, ...]] = {
    "best_of": (1,),
    "function_call": ("none", "auto"),
    "length_penalty": (1, 1.0),
    "min_p": (0.0,),
    "modalities": (["text"],),
    "reasoning_effort": ("none",),
    "repetition_penalty": (1, 1.0),
    "tool_choice": ("none", "auto"),
    "top_k": (-1,),
    "verbosity": ("medium",),
}
NOTHING: tuple[Any, ...] = (None, False, 0, [], {}, "")


class Nullable(BaseModel):
    """A request, or a part of one; null counts as absent."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, body: Any) -> Any:
        return {name: value for name, value in body.items() if value is not None} if isinstance(body, dict) else body


def refuse_unknown(extra: Mapping[str, Any]) -> None:
    """Refuse parameters that ask for something that this server does not do.

    Raises:
        RequestError: Names the first such parameter.
    """
    for name, value in extra.items():
        if (
            name not in HARMLESS
            and value not in NOTHING
            and not any(_equal(value, same) for same in SAME.get(name, ()))
        ):
            raise RequestError(
                400, f"expected a request without `{name[:60]}`, which is not supported here, found {value!r:.60}",
                code="unsupported_parameter", param=name[:60],
            )  # fmt: skip


def _equal(value: Any, same: Any) -> bool:
    """Whether two values are equal; True is not 1."""
    return value == same and isinstance(value, bool) == isinstance(same, bool)
