"""Which conversations of production count as right, and can be learnt from: an agent's counterpart of `candidates`.

Decides what counts: the latest score of a conversation, by people who may judge it or by a scorer, is high enough, and
none of its turns was corrected. Nothing is learnt from conversations in the labelling sample. Right ones that cannot be
learnt from are refused by name.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from components.data.harvest import Candidate
from components.data.joining import MOST_APART_S, Joined, refusal
from components.data.masking import mask
from components.errors import DataError
from components.opening import inputs_of
from components.prompts import Prompt
from components.records import Trajectory
from components.tasks import heard_in, unfit
from monitoring.candidates import Terms
from monitoring.conversations import Heard, Word, heard
from monitoring.labelling import is_drawn
from monitoring.lake import Lake
from monitoring.tries import in_slices

BEYOND_COMPLETIONS = 100  # above the number of any completion of a request, so that ids stay unique


def began_with(name: str) -> str:
    """The id of the trace that a conversation began with, by its candidate's, which has a number for a further try."""
    stem, _, number = name.rpartition("-")
    return stem if number.isdecimal() and int(number) > BEYOND_COMPLETIONS else name


@dataclass(frozen=True)
class Asked:
    """How a workload asks: the prompts that a conversation may begin with, and the columns of its inputs."""

    prompts: Sequence[Prompt]
    columns: tuple[str, ...]

    def inputs(self, trajectory: Trajectory) -> dict[str, str] | None:
        """The inputs that a conversation begins with: in one of the prompts, or in a message after a caller's own.

        None if it does not begin with a single message of the user.
        """
        opening = trajectory.messages[: trajectory.first_turn or 0]
        if not opening or opening[-1].role != "user" or any(message.role != "system" for message in opening[:-1]):
            return None
        system, said = "\n".join(message.content for message in opening[:-1]), opening[-1].content
        own = [prompt.inputs_of(said) for prompt in self.prompts if mask(prompt.system) == system]
        if known := next((inputs for inputs in own if inputs is not None), None):
            return known
        try:
            return inputs_of(self.columns, said)
        except DataError:
            return None


@dataclass(frozen=True)
class RightTries:
    """Candidates for the harvest, oldest first, and why other right tries cannot be learnt from."""

    candidates: Sequence[Candidate]
    refused: Sequence[str]


def right_tries(lake: Lake, workload: str, since: float, terms: Terms, asked: Asked) -> RightTries:
    """The right tries among conversations that ended since a time.

    They are read from a day earlier on, because a conversation's first request decides whether it is in the sample.
    """
    known = heard(lake, workload, (max(0.0, since - MOST_APART_S), float("inf")))
    candidates, refused = list[Candidate](), list[str]()
    for joined in known.conversations:
        word = known.word(joined)
        if joined.at < since or word is None or not _counts(joined, word, known, terms):
            continue
        inputs = asked.inputs(joined.trajectory)
        if why := _problem(joined.trajectory, inputs):
            refused.append(why)
        elif inputs is not None:
            candidates.append(_candidate(joined, inputs, word, terms))
    return RightTries(candidates, refused)


def _counts(joined: Joined, word: Word, known: Heard, terms: Terms) -> bool:
    """Whether a conversation is right in all turns, by words that agree, and may be learnt from."""
    if word.value < terms.min_score or is_drawn(joined.traces[0], terms.labelling.share):
        return False
    return not any(trace in known.voices.conflicts or trace in known.replaced for trace in joined.traces)


def _problem(trajectory: Trajectory, inputs: dict[str, str] | None) -> str | None:
    """Why a right try cannot be learnt from; None if it can."""
    if why := refusal(trajectory):
        return why
    if not trajectory.ended:
        return (
            f"expected a try that ended by itself, found one that ended by {trajectory.stop_reason} ({trajectory.id})"
        )
    if why := unfit(trajectory):
        return f"expected a try that can be learnt from, found {why} ({trajectory.id})"
    if inputs is None:
        return f"expected the workload's inputs as one message of the user, found other turns first ({trajectory.id})"
    return None


def _candidate(joined: Joined, inputs: dict[str, str], word: Word, terms: Terms) -> Candidate:
    demonstration, first, trial = joined.trajectory.demonstration, joined.traces[0], joined.trajectory.trial
    return Candidate(
        trace_id=f"{first}-{BEYOND_COMPLETIONS + trial}" if trial else first,
        input=inputs,
        answer=demonstration,
        source="scored",
        moved=in_slices(joined.trajectory, terms.moved),
        sender=word.sender,
        reviewed=word.reviewer,
        heard=heard_in(demonstration),
    )
