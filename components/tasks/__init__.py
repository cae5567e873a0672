"""What one try at an example is: for an agent, a trajectory of turns, calls of tools and what came back.

Decides how a try goes on and when it ends, the same in evaluation, RL and play; how good it was, scorers decide.
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
