"""Training rungs with TRL: supervised fine-tuning on demonstrations, and reinforcement learning on outcomes.

Decides how a model is trained and which weights are kept; what a completion is worth, and how dev is scored, is given
by the caller. Only this package imports trl.
"""

from components.training.hacking_watch import Look
from components.training.rl import train_rl
from components.training.sft import train_sft
from components.training.task import Draws, Reward, Sample, ScoreDev, Trained, TrainingTask

__all__ = ["Draws", "Look", "Reward", "Sample", "ScoreDev", "Trained", "TrainingTask", "train_rl", "train_sft"]
