"""Demonstrations for agents: recorded tries, as examples hold them and as models are trained on them.

Decides how a demonstration is moved to another prompt: after the prompt's messages and the environment's greeting its
turns are unchanged, so that training sees what a rollout with that prompt would look like.
"""

from collections.abc import Sequence

from pydantic import ValidationError

from components.errors import DataError
from components.records import Example, Message, Trajectory
from components.tasks.rollout import greeted


def demonstrated(example: Example) -> Trajectory:
    """The try in an example's demonstration.

    Raises:
        DataError: The demonstration is not a try.
    """
    trajectory, problem = _read(example.demonstration)
    if trajectory is None:
        raise DataError(f"expected a trajectory as demonstration, found {problem} (example {example.id})")
    return trajectory


def problem_of(demonstration: str) -> str | None:
    """What is wrong with a demonstration; None if it is a try that can be learnt from."""
    trajectory, problem = _read(demonstration)
    return problem if trajectory is None else unfit(trajectory)


def unfit(trajectory: Trajectory) -> str | None:
    """Why a try cannot be learnt from; None if it can."""
    if not trajectory.first_turn:
        return "no turn of the assistant behind what was asked"
    if unknown := trajectory.unknown_tools:
        return f"no schema of the tool {unknown[0]!r:.60}"
    return None


def is_clean(demonstration: str) -> bool:
    """Whether a try can be learnt from and has no invalid call."""
    trajectory, _ = _read(demonstration)
    return trajectory is not None and unfit(trajectory) is None and not trajectory.invalid_calls


def can_be_tried(example: Example) -> bool:
    """Whether an agent's task has a right end that is known; a try of production is imitated, and not tried."""
    return bool(example.reference)


def heard_in(demonstration: str) -> tuple[str, ...]:
    """What an agent was told after its first turn, by its user and its tools; nothing where there is no try.

    It tells tries at the same request apart whose environment's beginning nobody knows.
    """
    trajectory, _ = _read(demonstration)
    turns = () if trajectory is None else trajectory.messages[trajectory.first_turn or 0 :]
    return tuple(turn.content for turn in turns if turn.role in ("user", "tool"))


def under(messages: Sequence[Message], trajectory: Trajectory) -> Trajectory:
    """A try as it would be after another prompt's messages, with the environment's greeting."""
    assert trajectory.first_turn is not None, "expected a turn of the assistant"
    opening = (*messages[:-1], greeted(messages[-1], trajectory.greeting))
    return trajectory.model_copy(update={"messages": (*opening, *trajectory.messages[trajectory.first_turn :])})


def _read(text: str) -> tuple[Trajectory | None, str]:
    """The try in a text, or None and the problem."""
    try:
        return Trajectory.model_validate_json(text), ""
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return None, f"{place}: {first['msg']}" if place else first["msg"]
