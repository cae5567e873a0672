"""Which parameters of OpenAI's API ask for nothing here: clients send many that change no answer.

Decides by name and value; what is left asks for something that this server does not do, and is refused by its name.
"""

from collections.abc import Mapping
from typing import Any

from components.serving.refusals import RequestError

# Whatever they say, the answer is the same: notes, accounts, caches, hints.
HARMLESS = frozenset({
    "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
    "prompt_cache_options", "prediction", "parallel_tool_calls", "include", "truncation",
})  # fmt: skip
# Values that ask for what is done anyway; all parameters have None, False, 0 and what is empty besides.
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


def refuse_unknown(extra: Mapping[str, Any]) -> None:
    """Refuse what asks for something that this server does not do.

    Raises:
        RequestError: Names the first such parameter.
    """
    for name, value in extra.items():
        if name not in HARMLESS and value not in NOTHING and not any(_equal(value, one) for one in SAME.get(name, ())):
            raise RequestError(
                400, f"expected a request without `{name[:60]}`, which is not supported here, found {value!r:.60}",
                code="unsupported_parameter", param=name[:60],
            )  # fmt: skip


def _equal(value: Any, same: Any) -> bool:
    """Equal in kind too: True is no 1."""
    return value == same and isinstance(value, bool) == isinstance(same, bool)
