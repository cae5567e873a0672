"""What a model answers, or an agent does, and what that is worth."""

from typing import Any, Literal

from pydantic import Field, FiniteFloat

from components.records.messages import Message, Tool, ToolCall
from components.records.record import Record


class Usage(Record):
    """Tokens of one call."""

    input_tokens: int
    output_tokens: int


StopReason = Literal[
    "completed",
    "tool_stopped",
    "max_turns",
    "max_tool_calls",
    "max_tokens",
    "max_sampled_tokens",
    "context_overflow",
    "parse_error",
    "rollout_timeout",
    "environment_error",
    "engine_error",
    "imported",
]
"""Why a trajectory ended: the assistant or its user was done; a tool ended it; the limit of turns, of calls, of the
trajectory's tokens, of a turn's; the model's context; too many calls that could not be made; time; a failure of the
environment or the engine; unknown, since it comes from elsewhere."""


class Trajectory(Record):
    """One try at an example by an agent: what was said and called, how it ended and what state it left.

    `tool_calls` counts calls that were carried out, `tool_errors` those of them that failed, `invalid_calls` what
    could not be carried out: no JSON, an unknown tool, arguments against the schema. `turn_scores` has what the
    environment gave by turn of the assistant, where it tells; `reward` what it gave in the end. `greeting` is what the
    environment said at first, which joined the last message before the assistant's first. `error` says why the try says
    nothing about the agent: it is then no failure of its, and nobody scores it.
    """

    id: str
    example_id: str
    trial: int = Field(default=0, ge=0)
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    stop_reason: StopReason
    turns: int = Field(default=0, ge=0)
    tool_calls: int = Field(default=0, ge=0)
    tool_errors: int = Field(default=0, ge=0)
    invalid_calls: int = Field(default=0, ge=0)
    usage: Usage
    latency_ms: float = 0.0
    final_state: dict[str, Any] | None = None
    turn_scores: tuple[float | None, ...] = ()
    reward: FiniteFloat | None = None
    policy_version: str = ""
    greeting: str = ""
    error: str | None = None

    @property
    def ended(self) -> bool:
        """Whether it came to its end by itself, and no limit cut it."""
        return self.error is None and self.stop_reason in ("completed", "tool_stopped", "imported")

    @property
    def demonstration(self) -> str:
        """It as JSON without what is this try's alone: equal ones are equal texts, whoever made them."""
        free = Usage(input_tokens=0, output_tokens=0)
        plain = {"id": self.example_id, "trial": 0, "usage": free, "latency_ms": 0.0, "policy_version": ""}
        return self.model_copy(update=plain).model_dump_json(exclude_defaults=True)

    @property
    def answer(self) -> str:
        """The last text that the assistant said; empty where it said none."""
        said = (turn.content for turn in reversed(self.messages) if turn.role == "assistant" and turn.content)
        return next(said, "")

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """All calls, in order."""
        return tuple(call for turn in self.messages for call in turn.tool_calls)

    @property
    def unknown_tools(self) -> tuple[str, ...]:
        """The tools that were called and whose schemas are not here: nobody can learn to call them."""
        return tuple(sorted({call.name for call in self.calls} - {tool.name for tool in self.tools}))

    @property
    def first_turn(self) -> int | None:
        """The place of the assistant's first message, None where it said nothing."""
        return next((at for at, message in enumerate(self.messages) if message.role == "assistant"), None)


class Completion(Record):
    """What a model answered to one example; `error` says why there is no answer.

    `away` says of an error that the engine was to blame, and not the request.

    Of an agent's trajectory `text` is the last answer.

    `confidence` is the probability in [0, 1] that the model gave the whole answer, None where an engine does not tell.
    """

    example_id: str
    text: str
    usage: Usage
    latency_ms: float
    finish_reason: Literal["stop", "length", "error"] = "stop"
    error: str | None = None
    away: bool = Field(default=False, exclude_if=lambda away: not away)
    confidence: float | None = None
    trajectory: Trajectory | None = None

    @property
    def given(self) -> str:
        """All that was given: the text, of an agent the whole try as a demonstration has it."""
        return self.trajectory.demonstration if self.trajectory else self.text

    @classmethod
    def of_text(cls, example_id: str, text: str) -> "Completion":
        """An answer that is only to be scored: whoever wrote it, no tokens and no time are counted."""
        return cls(example_id=example_id, text=text, usage=Usage(input_tokens=0, output_tokens=0), latency_ms=0.0)


class Score(Record):
    """How good a completion is: `value` in [0, 1]; `passed` when nothing is wrong; `parts` by field or scorer."""

    value: float
    passed: bool
    reason: str = ""
    parts: dict[str, float] = Field(default={})


class Judged(Record):
    """What an answer is worth: its score, or why the scorer could not decide, and whether its schema allows it."""

    example_id: str
    valid: bool
    score: Score | None
    failure: str = ""
