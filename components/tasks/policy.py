"""Policies, which act as the agent in a try: a model in this process by tokens, or anything else by messages.

A model's tokens are kept as they were sampled, and only the environment's messages are encoded. So training sees
exactly the tokens that were drawn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from components.engines import Sampling
from components.engines.calling import OPEN
from components.engines.thinking import answer_of
from components.engines.turns import Turns
from components.errors import EngineError
from components.params import Limits
from components.records import Message, StopReason, Tool, ToolCall, Usage

_NOTHING = Usage(input_tokens=0, output_tokens=0)


@dataclass
class Dialogue:
    """One try as its policy sees it.

    `ids` are the tokens so far, if the policy is a model in this process; for those after the first `prompt_tokens`,
    `mask` is 1 if sampled and 0 if read, and `logprobs` are those of sampling (0 if read). `read` counts the messages
    in `ids`.
    """

    name: str
    trial: int
    tools: tuple[Tool, ...]
    messages: list[Message]
    turn: int = 0
    ids: list[int] = field(default_factory=list)
    prompt_tokens: int = 0
    mask: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    read: int = 0

    @property
    def completion_ids(self) -> list[int]:
        """The tokens after the prompt."""
        return self.ids[self.prompt_tokens :]


@dataclass(frozen=True)
class Said:
    """A turn of the assistant: text that contains calls, or text and `calls`; `stop` says why it could not go on."""

    text: str = ""
    usage: Usage = _NOTHING
    latency_ms: float = 0.0
    stop: StopReason | None = None
    error: str | None = None
    calls: tuple[ToolCall, ...] | None = None


class Policy(Protocol):
    """Something that takes the agent's turns."""

    def say(self, dialogues: Sequence[Dialogue], limits: Limits) -> list[Said]:
        """The next turn of each dialogue, in order."""
        ...


class EnginePolicy:
    """A model in this process. Draws depend only on the seed, the try and the turn, not on the batch."""

    def __init__(self, engine: Any, temperature: float = 0.0, seed: int = 0) -> None:
        """`engine` is a `TransformersEngine`.

        Raises:
            EngineError: It is another engine, or its model does not write tool calls in the known format.
        """
        if not hasattr(engine, "extend"):
            raise EngineError(
                "expected an agent to be a model of this process (engine.kind: transformers, prompting: null), "
                f"found {type(engine).__name__}"
            )
        if not engine.calls_tools:
            raise EngineError(
                f"expected a chat template that writes calls of tools as {OPEN}, and a tokenizer that decodes this as "
                "text, found others"
            )
        self._engine, self._temperature, self._seed = engine, temperature, seed
        self._turns = Turns(engine.tokenizer, engine.ends, engine.chat)

    def say(self, dialogues: Sequence[Dialogue], limits: Limits) -> list[Said]:
        """The next turns, in one batch.

        Raises:
            EngineError: The batch does not fit into memory, or the template cannot render a tool's answer.
        """
        from components.engines.transformers_engine import Continuation

        said: dict[int, Said] = {}
        asked: list[Continuation] = []
        for at, dialogue in enumerate(dialogues):
            room = self._read(dialogue, limits)
            if isinstance(room, str):
                said[at] = Said(stop=room)
            else:
                name = f"{dialogue.name}/{dialogue.turn}" if dialogue.turn else dialogue.name
                asked.append(Continuation(at, name, dialogue.trial, list(dialogue.ids), room))
        sampling = Sampling(temperature=self._temperature, max_new_tokens=limits.turn_tokens, seed=self._seed)
        for job, drawn in zip(asked, self._engine.extend(asked, sampling), strict=True):
            said[job.place] = self._taken(dialogues[job.place], drawn, job.limit, limits)
        return [said[at] for at in range(len(dialogues))]

    def _read(self, dialogue: Dialogue, limits: Limits) -> int | StopReason:
        """Encode the new messages; returns how many tokens may be sampled next, or why none."""
        first = not dialogue.ids
        if first:
            new = self._turns.opening(dialogue.messages, dialogue.tools)
        else:
            new = self._turns.between(dialogue.messages[dialogue.read :])
        behind = 0 if first else len(dialogue.completion_ids) + len(new)
        if behind >= limits.trajectory_tokens:
            return "max_tokens"
        length = len(dialogue.ids) + len(new)
        if length >= self._engine.context:
            return "context_overflow"
        dialogue.ids += new
        if first:
            dialogue.prompt_tokens = len(new)
        else:
            dialogue.mask += [0] * len(new)
            dialogue.logprobs += [0.0] * len(new)
        dialogue.read = len(dialogue.messages) + 1  # including the turn that is sampled now
        return min(limits.turn_tokens, limits.trajectory_tokens - behind, self._engine.context - length)

    def _taken(self, dialogue: Dialogue, drawn: Any, room: int, limits: Limits) -> Said:
        """Append the sampled tokens to the dialogue; returns the turn."""
        usage = Usage(input_tokens=len(dialogue.ids), output_tokens=len(drawn.tokens))
        dialogue.ids += drawn.tokens
        dialogue.mask += [1] * len(drawn.tokens)
        dialogue.logprobs += drawn.logprobs
        text = self._engine.tokenizer.decode(drawn.tokens, skip_special_tokens=True)
        stop: StopReason | None = None
        if drawn.reason == "length":
            stop = "max_sampled_tokens" if room == limits.turn_tokens else "max_tokens"
            if len(dialogue.ids) >= self._engine.context:
                stop = "context_overflow"
        return Said(answer_of(text, thinking=self._engine.chat.thinking), usage, drawn.milliseconds, stop)


class Replay:
    """Replays recorded turns by example: one text for each turn, in order, then empty ones."""

    def __init__(self, turns: Mapping[str, Sequence[str]]) -> None:
        self._turns = turns

    def say(self, dialogues: Sequence[Dialogue], limits: Limits) -> list[Said]:
        """The next text of each."""
        return [Said(self._next(self._turns[dialogue.name], dialogue.turn)) for dialogue in dialogues]

    def _next(self, turns: Sequence[str], turn: int) -> str:
        return turns[turn] if turn < len(turns) else ""
