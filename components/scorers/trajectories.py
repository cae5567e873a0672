"""Scorers of an agent's tries: the state that is left, what was said, what was called, and how many calls it took.

The reference of an example is a JSON object: `calls` leave the right state when they are replayed, each of `must` has
to be made, each text of `said` has to occur in a turn of the assistant. A call is made where its tool has answered with
anything but a failure. A try that an error ended is not decided; one that did not end by itself is wrong.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import takewhile
from typing import Any

from components.errors import ScorerError
from components.params import Limits, TrajectoryParams
from components.records import Completion, Example, Message, Score, Tool, ToolCall, Trajectory
from components.records.messages import is_failure
from components.scorers.matching import occurs
from components.tasks import EnvironmentSpec, Replay, call_text, open_environment, roll, start_of

Call = Mapping[str, Any]
_ASK = Message(role="user", content="-")


def trajectory_of(completion: Completion) -> Trajectory:
    """The try that a completion stands for.

    Raises:
        ScorerError: There is none, or an error ended it that is not the agent's.
    """
    if completion.trajectory is None:
        raise ScorerError(f"expected an agent's trajectory, found a text alone (example {completion.example_id})")
    if (failure := completion.trajectory.error) is not None:
        raise ScorerError(f"expected a try that came to its end, found {failure} (example {completion.example_id})")
    return completion.trajectory


def ended(trajectory: Trajectory) -> Score | None:
    """The score of a try that did not end by itself; None of any other."""
    if trajectory.ended:
        return None
    return Score(value=0.0, passed=False, reason=f"the try ended by {trajectory.stop_reason}")


class FinalStateScorer:
    """1 where the environment is left as the reference's calls leave it under the limits of tries, else 0."""

    def __init__(self, params: TrajectoryParams, limits: Limits) -> None:
        self._spec, self._limits = open_environment(params.environment), limits
        self._states: dict[str, str] = {}

    def score(self, example: Example, completion: Completion) -> Score:
        trajectory = trajectory_of(completion)
        if cut := ended(trajectory):
            return cut
        if trajectory.final_state is None:
            raise ScorerError(f"expected the state that a try left, found none (example {example.id})")
        right = _written(trajectory.final_state) == self._right(example)
        return Score(value=float(right), passed=right, reason="" if right else "another state than the reference's")

    def _right(self, example: Example) -> str:
        key = f"{example.input} {example.reference} {example.evidence}"  # trials of a task have one right end
        if key not in self._states:
            self._states[key] = replayed(self._spec, example, self._limits)
        return self._states[key]


def replayed(spec: EnvironmentSpec, example: Example, limits: Limits) -> str:
    """The state that the reference's calls leave in a fresh environment.

    Raises:
        ScorerError: They cannot be made.
    """
    calls = reference_of(example.reference, example.id).get("calls", [])
    turn = "".join(call_text(call["name"], call.get("arguments", {})) for call in calls)
    once = limits.model_copy(update={"turns": 1, "tool_calls": max(1, len(calls)), "invalid_calls": 1})
    replay = roll(spec, Replay({example.id: [turn]}), [start_of(example, [_ASK])], once)[0].trajectory
    if replay.error or replay.tool_errors or replay.invalid_calls or replay.final_state is None:
        failures = (each.content for each in replay.messages if each.role == "tool" and is_failure(each.content))
        problem = replay.error or next(failures, "no state")
        raise ScorerError(f"expected a reference whose calls can be made, found {problem[:200]} (example {example.id})")
    return _written(replay.final_state)


class SaidScorer:
    """The share of what must be said that the assistant said, as whole words in any case; passed where it is all."""

    def score(self, example: Example, completion: Completion) -> Score:
        trajectory = trajectory_of(completion)
        if cut := ended(trajectory):
            return cut
        turns = [each.content for each in trajectory.messages if each.role == "assistant"]
        wanted: Sequence[str] = reference_of(example.reference, example.id).get("said", [])
        missing = [text for text in wanted if not any(occurs(text, turn) for turn in turns)]
        value = 1 - len(missing) / len(wanted) if wanted else 1.0
        return Score(value=value, passed=not missing, reason=f"not said: {', '.join(missing)}" if missing else "")


class CallsScorer:
    """1 where every call that must be made was, none that must not, and none before what has to come first; else 0.

    A call that must not be made is not tried either.
    """

    def __init__(self, params: TrajectoryParams) -> None:
        self._params = params

    def score(self, example: Example, completion: Completion) -> Score:
        trajectory = trajectory_of(completion)
        if cut := ended(trajectory):
            return cut
        made, wanted = calls_made(trajectory), reference_of(example.reference, example.id).get("must", [])
        tried = [call.name for call in trajectory.calls]
        problems = [f"not called: {call['name']}" for call in wanted if not any(_same(call, each) for each in made)]
        problems += [f"must not be called: {name}" for name in tried if name in self._params.forbidden]
        problems += _too_early(made, trajectory.tools, self._params.before)
        return Score(value=float(not problems), passed=not problems, reason="; ".join(dict.fromkeys(problems)))


class EfficiencyScorer:
    """The reference's calls and some to spare, as a share of those that were made, at most 1; passed where it is 1."""

    def __init__(self, params: TrajectoryParams) -> None:
        self._spare = params.spare_calls

    def score(self, example: Example, completion: Completion) -> Score:
        trajectory = trajectory_of(completion)
        if cut := ended(trajectory):
            return cut
        made = trajectory.tool_calls + trajectory.invalid_calls
        allowed = len(reference_of(example.reference, example.id).get("calls", [])) + self._spare
        value = min(1.0, allowed / made) if made else 1.0
        return Score(value=value, passed=made <= allowed, reason="" if made <= allowed else f"{made} calls")


@lru_cache(maxsize=1024)
def reference_of(text: str, id: str) -> Mapping[str, Any]:
    """What a reference says of a try.

    Raises:
        ScorerError: It is no object with lists of calls and texts.
    """
    try:
        reference: Any = json.loads(text)
    except ValueError as error:
        raise ScorerError(f"expected a JSON object as reference, found {text[:60]!r} (example {id})") from error
    lists = isinstance(reference, dict) and all(
        isinstance(reference.get(name, []), list) for name in ("calls", "must", "said")
    )
    named = lists and all(
        isinstance(call, dict) and isinstance(call.get("name"), str)
        for name in ("calls", "must")
        for call in reference.get(name, [])
    )
    if not named or not all(isinstance(said, str) for said in reference.get("said", [])):
        raise ScorerError(f"expected lists of calls, must and said as reference, found {text[:60]!r} (example {id})")
    return reference


def calls_made(trajectory: Trajectory) -> list[ToolCall]:
    """The calls that were carried out and did not fail, in order.

    Each answer tells whether its call failed: there are tools that tell of a failure in words instead of raising.
    """
    made: list[ToolCall] = []
    for at, turn in enumerate(trajectory.messages):
        answers = _answers(trajectory.messages[at + 1 :]) if turn.tool_calls else []
        for call in turn.tool_calls:
            answer = next((each for each in answers if each.tool_call_id in (call.id, None)), None)
            if answer is not None:
                answers.remove(answer)
                made += [] if is_failure(answer.content) else [call]
    return made


def _answers(after: Sequence[Message]) -> list[Message]:
    """What tools answered to a turn: all answers up to the next turn that calls."""
    turns = takewhile(lambda message: not message.tool_calls, after)
    return [message for message in turns if message.role == "tool"]


def _too_early(made: Sequence[ToolCall], tools: Sequence[Tool], before: Mapping[str, Sequence[str]]) -> list[str]:
    """Calls before what has to come first about the same thing: their first argument."""
    order = {tool.name: list(tool.arguments_schema.get("properties", {})) for tool in tools}
    seen: set[tuple[str, str]] = set()
    problems: list[str] = []
    for call in made:
        first = _first_argument(call, order.get(call.name, ()))
        if needed := before.get(call.name):
            known = any((name, first) in seen for name in needed)
            problems += [] if known else [f"{call.name} before {' or '.join(needed)}"]
        seen.add((call.name, first))
    return problems


def _first_argument(call: ToolCall, order: Sequence[str]) -> str:
    """The first one in the order of the tool's parameters; in that of the call where the tool names none of them."""
    arguments = _arguments(call)
    if not isinstance(arguments, dict):
        return ""
    named = next((name for name in (*order, *arguments) if name in arguments), None)
    return json.dumps(None if named is None else arguments[named])


def _same(call: Call, made: ToolCall) -> bool:
    return made.name == call["name"] and _arguments(made) == call.get("arguments", {})


def _arguments(call: ToolCall) -> Any:
    try:
        return json.loads(call.arguments)
    except (ValueError, RecursionError):
        return None


def _written(state: Mapping[str, Any]) -> str:
    """A state in one form: keys in order, whole numbers without a fraction."""
    return json.dumps(_plain(state), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return int(value) if isinstance(value, float) and value.is_integer() else value
