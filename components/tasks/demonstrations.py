"""Demonstrations of an agent's work: tries that somebody made, as an example holds them and as they are trained on.

Decides how a demonstration is put under another prompt: behind the prompt's messages and the environment's greeting it
stays as it was, so that what is trained on is what a rollout under that prompt would be.
"""

from collections.abc import Sequence

from pydantic import ValidationError

from components.errors import DataError
from components.records import Example, Message, Trajectory
from components.tasks.rollout import greeted


def demonstrated(example: Example) -> Trajectory:
    """The try that an example's demonstration is.

    Raises:
        DataError: It is none.
    """
    trajectory, problem = _read(example.demonstration)
    if trajectory is None:
        raise DataError(f"expected a trajectory as demonstration, found {problem} (example {example.id})")
    return trajectory


def problem_of(demonstration: str) -> str | None:
    """What is wrong with a demonstration's text; None where it is a try that can be learnt from."""
    trajectory, problem = _read(demonstration)
    return problem if trajectory is None else unfit(trajectory)


def unfit(trajectory: Trajectory) -> str | None:
    """Why nothing can be learnt from a try; None where something can."""
    if not trajectory.first_turn:
        return "no turn of the assistant behind what was asked"
    if unknown := trajectory.unknown_tools:
        return f"no schema of the tool {unknown[0]!r:.60}"
    return None


def is_clean(demonstration: str) -> bool:
    """Whether a try can be learnt from, and made no call that could not be carried out: what is right all the same."""
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
    """A try as it would have gone behind other messages: those of a prompt, greeted by the environment."""
    assert trajectory.first_turn is not None, "expected a turn of the assistant"
    opening = (*messages[:-1], greeted(messages[-1], trajectory.greeting))
    return trajectory.model_copy(update={"messages": (*opening, *trajectory.messages[trajectory.first_turn :])})


def _read(text: str) -> tuple[Trajectory | None, str]:
    """The try, or what stands in its way."""
    try:
        return Trajectory.model_validate_json(text), ""
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return None, f"{place}: {first['msg']}" if place else first["msg"]
