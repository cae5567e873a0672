"""What every engine offers: messages in, completions out, in order.

Defines a chat request and how it is sampled; each engine decides how to compute the answer.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import Field

from components.records import Completion, Message, Record, Tool, Usage


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A conversation to answer; `sender` says who sent it, where that matters.

    Once one of `stops` stands in its answer an engine may end it, with the stop in it or not; whoever asks cuts it off.
    Once `unwanted` says that nobody waits for it any more, an engine may end it anywhere, as if at its limit.
    """

    example_id: str
    messages: list[Message]
    sender: str = field(default="", repr=False)
    stops: tuple[str, ...] = ()
    unwanted: Callable[[], bool] | None = field(default=None, repr=False, compare=False)


class Calls(Record):
    """What a turn may call: the prompt lists `tools`, and only those in `names` may be called.

    With `least` 0 a turn may be text alone; `most` is 0, 1 or None, which sets no limit.
    """

    tools: tuple[Tool, ...] = ()
    names: tuple[str, ...] = ()
    least: Literal[0, 1] = 0
    most: Literal[0, 1] | None = None


class Sampling(Record):
    """How tokens are chosen.

    With a temperature above 0 an answer depends only on `seed`, the example's id and the sample's number, as far as
    the engine can promise it: not on the batch, nor on the order of the requests.
    """

    temperature: float = Field(default=0.0, ge=0, description="0 takes the likeliest token.")
    top_p: float = Field(default=1.0, gt=0, le=1, description="Share of the probability that is sampled from.")
    max_new_tokens: int = Field(default=128, ge=1)
    n: int = Field(default=1, ge=1, description="Completions for each request.")
    seed: int = Field(default=0, ge=0)
    answer_schema: dict[str, Any] | None = Field(
        default=None, description="JSON Schema that answers are held to while they are written; None: they are free."
    )
    calls: Calls | None = Field(
        default=None,
        exclude_if=lambda calls: calls is None,
        description="Tools that are offered, whose calls are held to their schemas while they are written.",
    )

    @property
    def holds_start(self) -> bool:
        """Whether a schema holds an answer from its first token on, so that no thoughts can stand before it."""
        calls = self.calls
        must_call = calls is not None and bool(calls.names) and calls.least > 0 and calls.most != 0
        return self.answer_schema is not None or must_call


def seed_of(request: ChatRequest, sampling: Sampling, sample: int = 0) -> int:
    """The seed of one of a request's completions, of 31 bits, for engines that draw by a seed of their own."""
    return zlib.crc32(f"{sampling.seed}/{sample}/{request.example_id}".encode()) & 0x7FFFFFFF


class Engine(Protocol):
    """Something that answers."""

    def generate(self, requests: list[ChatRequest], sampling: Sampling) -> list[Completion]:
        """Answer every request: `n` completions in a row for each, in the order of the requests.

        A request that cannot be answered yields completions with `finish_reason` "error" and the reason in `error`.

        Raises:
            EngineError: No request can be answered.
        """
        ...


Listeners = Mapping[int, Callable[[str], None]]  # by the completion's index; called with each new piece of its text


@runtime_checkable
class StreamingEngine(Engine, Protocol):
    """An engine that can stream its answers."""

    def stream(self, requests: list[ChatRequest], sampling: Sampling, listeners: Listeners) -> list[Completion]:
        """Like `generate`, but calls listeners with their completion's text as it is written, in whole characters.

        The completion may end with text that its listener was not called with.

        Raises:
            EngineError: No request can be answered.
        """
        ...


@runtime_checkable
class CallingEngine(StreamingEngine, Protocol):
    """An engine that supports `Sampling.calls`."""

    @property
    def calls_tools(self) -> bool:
        """Whether its model's chat template has a format for tool calls."""
        ...


@runtime_checkable
class ConcurrentEngine(Engine, Protocol):
    """An engine that several threads may call, and that decodes what they ask for together."""

    @property
    def at_once(self) -> int:
        """How many completions it decodes together."""
        ...


def failed(request: ChatRequest, reason: str, *, away: bool = False) -> Completion:
    """The completion of a request that could not be answered; `away` says that the engine was to blame, not it."""
    nothing = Usage(input_tokens=0, output_tokens=0)
    return Completion(
        example_id=request.example_id, text="", usage=nothing, latency_ms=0.0, finish_reason="error", error=reason,
        away=away,
    )  # fmt: skip
