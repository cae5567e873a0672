"""The loop that runs many of an agent's tries at once: a turn of each, its calls' results, and so on until all end.

Decides when a try ends and how errors are counted. The agent is told of its own errors and goes on; an error of the
environment or the engine ends the try with `error`, which does not count as the agent's result. No try ends others.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json

from components.params import Limits
from components.records import Completion, Example, Message, StopReason, ToolCall, Trajectory, Usage, encodable, to_json
from components.tasks.calls import InvalidCall, Written, arguments_of, split
from components.tasks.environment import (
    EnvironmentFailure,
    EnvironmentSpec,
    EnvironmentThread,
    Hung,
    NoResult,
    ToolError,
    text_of,
    told,
)
from components.tasks.policy import Dialogue, Policy, Said

THREADS = 32  # tries whose environments are called at the same time
AT_ONCE = 256  # open tries, each with an environment and a thread of its own
MOST_STATE = 10_000_000  # characters of a final state


@dataclass(frozen=True)
class Start:
    """A try to run: its opening conversation, and the row that the environment is reset with."""

    example_id: str
    trial: int
    messages: tuple[Message, ...]
    row: Mapping[str, str]


def start_of(example: Example, messages: Sequence[Message], trial: int = 0) -> Start:
    """A try at an example: the environment is reset with its inputs and its evidence."""
    return Start(example.id, trial, tuple(messages), {**example.input, **example.evidence})


def trial_id(example_id: str, trial: int, trials: int) -> str:
    """The id of one of several trials of an example; a single trial has the example's id."""
    return example_id if trials == 1 else f"{example_id}#{trial}"


def attempted(examples: Sequence[Example], trials: int) -> list[Example]:
    """Each example once for each trial; all trials of a task are in the task's group, because they belong together."""
    return [
        example.model_copy(update={"id": trial_id(example.id, trial, trials)})
        for example in examples
        for trial in range(trials)
    ]


@dataclass(frozen=True)
class Rolled:
    """A finished try, and its tokens if a model in this process made it."""

    trajectory: Trajectory
    dialogue: Dialogue


def roll(spec: EnvironmentSpec, policy: Policy, starts: Sequence[Start], limits: Limits) -> list[Rolled]:
    """Run all tries, at most `AT_ONCE` at a time; returns them in order.

    Raises:
        EngineError: The engine cannot answer.
    """
    blocks = [starts[first : first + AT_ONCE] for first in range(0, len(starts), AT_ONCE)]
    return [attempt for block in blocks for attempt in _rolled(spec, policy, block, limits)]


def _rolled(spec: EnvironmentSpec, policy: Policy, starts: Sequence[Start], limits: Limits) -> list[Rolled]:
    tries = [Try(start, spec, limits) for start in starts]
    with ThreadPoolExecutor(max(1, min(THREADS, len(tries)))) as pool:
        try:
            list(pool.map(Try.begin, tries))
            while active := [attempt for attempt in tries if attempt.stop is None]:
                said = policy.say([attempt.dialogue for attempt in active], limits)
                list(pool.map(Try.take, active, said))
            return list(pool.map(Try.ended, tries))
        finally:
            list(pool.map(Try.close, tries))


def completion_of(trajectory: Trajectory) -> Completion:
    """A trajectory as a completion for scorers, with its last answer as text."""
    failed, cut = trajectory.error is not None, trajectory.stop_reason in ("max_tokens", "max_sampled_tokens")
    return Completion(
        example_id=trajectory.example_id,
        text=trajectory.answer,
        usage=trajectory.usage,
        latency_ms=trajectory.latency_ms,
        finish_reason="error" if failed else "length" if cut else "stop",
        error=trajectory.error,
        trajectory=trajectory,
    )


@dataclass
class Counts:
    """What happened in a try."""

    turns: int = 0
    tool_calls: int = 0
    tool_errors: int = 0
    invalid_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    latency_ms: float = 0.0
    turn_scores: list[float | None] = field(default_factory=list)


class Try:
    """A try in progress."""

    def __init__(self, start: Start, spec: EnvironmentSpec, limits: Limits) -> None:
        self._start, self._limits, self._counts = start, limits, Counts()
        self.environment = EnvironmentThread(spec, limits.call_seconds, limits.trajectory_seconds)
        self.dialogue = Dialogue(start.example_id, start.trial, spec.tools, list(start.messages))
        self.stop: StopReason | None = None
        self._error: str | None = None
        self._greeting = ""

    def begin(self) -> None:
        """Reset the environment; its greeting is appended to the last message."""
        with _Failing(self):
            if first := self.environment.begin(self._start.row):
                self._greeting = encodable(first)
                self.dialogue.messages[-1] = greeted(self.dialogue.messages[-1], self._greeting)

    def take(self, said: Said) -> None:
        """Process a turn of the assistant: carry out its calls, or ask the user."""
        counts = self._counts
        if said.error is not None:
            self.stop, self._error = "engine_error", encodable(said.error)
            return
        if said.stop is not None and not said.usage.output_tokens:  # there was no room for a turn
            self.stop = said.stop
            return
        counts.turns += 1
        counts.input_tokens += said.usage.input_tokens
        counts.output_tokens += said.usage.output_tokens
        counts.latency_ms += said.latency_ms
        self.dialogue.turn += 1
        if said.stop is not None:  # cut off in the middle of the turn
            self.dialogue.messages.append(Message(role="assistant", content=encodable(said.text)))
            self.stop = said.stop
            return
        with _Failing(self):
            if calls := self._append_turn(said):
                self._carry_out(calls)
            else:
                self._ask_user()
            counts.turn_scores.append(_number(self.environment.hook("_score")))
        if self.stop is None and counts.turns >= self._limits.turns:
            self.stop = "max_turns"

    def _append_turn(self, said: Said) -> list[tuple[ToolCall, Written]]:
        """Append the assistant's message; returns its calls, each with an id."""
        text, written = split(said.text)
        if said.calls is not None:
            text, written = said.text, [Written(call.name, call.arguments) for call in said.calls]
        first = sum(len(message.tool_calls) for message in self.dialogue.messages)
        ids = [call.id for call in said.calls or ()] or [f"call_{first + at}" for at in range(len(written))]
        calls = [
            ToolCall(id=id, name=encodable(call.name), arguments=encodable(call.arguments))
            for id, call in zip(ids, written, strict=True)
        ]
        self.dialogue.messages.append(Message(role="assistant", content=encodable(text), tool_calls=tuple(calls)))
        return list(zip(calls, written, strict=True))

    def _carry_out(self, calls: list[tuple[ToolCall, Written]]) -> None:
        """Carry out calls in order, until the try ends."""
        for call, written in calls:
            if self._counts.tool_calls >= self._limits.tool_calls:
                self.stop = "max_tool_calls"
                return
            result = self._result(written)
            answer = Message(role="tool", content=result, tool_call_id=call.id, name=call.name or None)
            self.dialogue.messages.append(answer)
            if self._counts.invalid_calls >= self._limits.invalid_calls:
                self.stop = "parse_error"
                return
            if self.environment.hook("_done"):
                self.stop = "tool_stopped"
                return

    def _result(self, written: Written) -> str:
        """A call's result for the agent, or the error."""
        counts = self._counts
        try:
            arguments = arguments_of(written, self.dialogue.tools)
        except InvalidCall as error:
            counts.invalid_calls += 1
            return to_json({"error": encodable(str(error))})
        counts.tool_calls += 1
        try:
            return text_of(self.environment.call(written.name, arguments), self._limits.result_characters)
        except (ToolError, NoResult) as error:
            counts.tool_errors += 1
            return to_json({"error": encodable(str(error))[: self._limits.result_characters]})

    def _ask_user(self) -> None:
        """Let the user reply to an answer; if there is no user or no reply, the try is completed."""
        reply: Any = None
        if self.environment.has("_user"):
            reply = self.environment.hook("_user", [message.openai for message in self.dialogue.messages])
        if reply is None:
            self.stop = "completed"
        elif isinstance(reply, str):
            self.dialogue.messages.append(Message(role="user", content=encodable(reply)))
        else:
            raise EnvironmentFailure(f"expected _user to return a text or None, found {type(reply).__name__}")

    def fail(self, error: Exception) -> None:
        """End the try without a result for the agent."""
        self.stop = "rollout_timeout" if isinstance(error, Hung) else "environment_error"
        self._error = encodable(str(error) if isinstance(error, EnvironmentFailure) else told(error))[:500]

    def close(self) -> None:
        """Release the environment."""
        self.environment.close()

    def ended(self) -> Rolled:
        """The finished try, with its final state and reward unless it failed."""
        state, reward = None, None
        if self._error is None:
            with _Failing(self):
                state = _state(self.environment.hook("_state"))
                reward = _reward(self.environment)
        counts, start = self._counts, self._start
        assert self.stop is not None
        trajectory = Trajectory(
            id=f"{start.example_id}#{start.trial}",
            example_id=start.example_id,
            trial=start.trial,
            messages=tuple(self.dialogue.messages),
            tools=self.dialogue.tools,
            stop_reason=self.stop,
            turns=counts.turns,
            tool_calls=counts.tool_calls,
            tool_errors=counts.tool_errors,
            invalid_calls=counts.invalid_calls,
            usage=Usage(input_tokens=counts.input_tokens, output_tokens=counts.output_tokens),
            latency_ms=counts.latency_ms,
            final_state=state if self._error is None else None,
            turn_scores=tuple(counts.turn_scores),
            reward=reward if self._error is None else None,
            greeting=self._greeting,
            error=self._error,
        )
        return Rolled(trajectory, self.dialogue)


class _Failing:
    """Ends a try if its environment fails within the block, in whichever way it breaks the contract."""

    def __init__(self, attempt: Try) -> None:
        self._try = attempt

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> bool:
        if isinstance(error, Exception):
            self._try.fail(error)
            return True
        return False


def greeted(last: Message, greeting: str) -> Message:
    """The last message with the environment's greeting appended."""
    return last.model_copy(update={"content": last.content + greeting})


def _state(state: Any) -> dict[str, Any] | None:
    """The state as JSON has it, in which every key is a text."""
    if state is None:
        return None
    if not isinstance(state, dict):
        raise EnvironmentFailure(f"expected _state to return a dict, found {type(state).__name__}")
    try:
        return from_json(f"[[{text_of(state, MOST_STATE)}]]")[0][0]  # as deep as in a record, which is read
    except (NoResult, ValueError) as error:
        raise EnvironmentFailure(f"expected _state to return JSON, found {error}") from error


def _reward(environment: EnvironmentThread) -> float | None:
    if not environment.has("get_reward"):
        return None
    value = _number(environment.hook("get_reward"))
    if value is None:
        raise EnvironmentFailure("expected get_reward to return a finite number, found something else")
    return value


def _number(value: Any) -> float | None:
    """A finite number; None for anything else."""
    from math import isfinite

    try:
        return float(value) if isinstance(value, int | float) and isfinite(value) else None
    except OverflowError:  # a whole number beyond all floats
        return None
