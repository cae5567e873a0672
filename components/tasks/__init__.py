"""An agent's try at an example: a trajectory of turns, tool calls and their results.

Decides how a try proceeds and when it ends, the same in evaluation, RL and play; scorers decide how good it was.
"""

from components.tasks.calls import call_text
from components.tasks.demonstrations import can_be_tried, demonstrated, heard_in, is_clean, problem_of, under, unfit
from components.tasks.environment import EnvironmentSpec, open_environment
from components.tasks.policy import Dialogue, EnginePolicy, Policy, Replay, Said
from components.tasks.rollout import Rolled, Start, attempted, completion_of, roll, start_of, trial_id

__all__ = [
    "Dialogue",
    "EnginePolicy",
    "EnvironmentSpec",
    "Policy",
    "Replay",
    "Rolled",
    "Said",
    "Start",
    "attempted",
    "call_text",
    "can_be_tried",
    "completion_of",
    "demonstrated",
    "heard_in",
    "is_clean",
    "open_environment",
    "problem_of",
    "roll",
    "start_of",
    "trial_id",
    "under",
    "unfit",
]
