"""What every engine offers: messages in, completions out, in order.

Decides the shape of a question and of sampling; how answers are computed is each engine's own matter.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import Field

from components.records import Completion, Message, Record, Tool, Usage


@dataclass(frozen=True, slots=True)
class Ask:
    """One conversation that waits for an answer; `sender` is whose it is, where that matters."""

    example_id: str
    messages: list[Message]
    sender: str = field(default="", repr=False)  # answers that are kept are kept by what an ask looks like


class Calls(Record):
    """What a turn may call: the prompt offers `tools`, those of these `names` may be called.

    Without `least` a turn may be text alone; `most` is 1, 0 or None, any number.
    """

    tools: tuple[Tool, ...] = ()
    names: tuple[str, ...] = ()
    least: Literal[0, 1] = 0
    most: Literal[0, 1] | None = None


class Sampling(Record):
    """How tokens are chosen.

    With a temperature above 0 an answer depends on `seed`, the example's id and the number of the sample alone, as
    far as the engine can promise it: neither on the batch nor on the order of the asks.
    """

    temperature: float = Field(default=0.0, ge=0, description="0 takes the likeliest token.")
    top_p: float = Field(default=1.0, gt=0, le=1, description="Share of the probability that is sampled from.")
    max_new_tokens: int = Field(default=128, ge=1)
    n: int = Field(default=1, ge=1, description="Completions of one prompt.")
    seed: int = Field(default=0, ge=0)
    answer_schema: dict[str, Any] | None = Field(
        default=None, description="JSON Schema that answers are held to while they are written; None: they are free."
    )
    calls: Calls | None = Field(
        default=None,
        exclude_if=lambda calls: calls is None,
        description="Tools that are offered, whose calls are held to their schemas while they are written.",
    )


class Engine(Protocol):
    """Something that answers."""

    def generate(self, prompts: list[Ask], sampling: Sampling) -> list[Completion]:
        """Answer every prompt: `n` completions in a row for each, in the order of the prompts.

        A prompt that cannot be answered yields completions with `finish_reason` "error" and the reason in `error`.

        Raises:
            EngineError: Nothing can be answered at all.
        """
        ...


Listeners = Mapping[int, Callable[[str], None]]  # by a completion's place; each is told what its text goes on by


@runtime_checkable
class StreamingEngine(Engine, Protocol):
    """An engine that tells of answers while it writes them."""

    def stream(self, prompts: list[Ask], sampling: Sampling, listeners: Listeners) -> list[Completion]:
        """As `generate`; a listener has been told the beginning of its completion's text, in whole characters.

        Raises:
            EngineError: Nothing can be answered at all.
        """
        ...


@runtime_checkable
class CallingEngine(StreamingEngine, Protocol):
    """An engine that may take `Sampling.calls`."""

    @property
    def calls_tools(self) -> bool:
        """Whether its model has a form for calls of tools."""
        ...


def failed(ask: Ask, reason: str) -> Completion:
    """The completion of a prompt without an answer."""
    usage = Usage(input_tokens=0, output_tokens=0)
    return Completion(
        example_id=ask.example_id, text="", usage=usage, latency_ms=0.0, finish_reason="error", error=reason
    )
