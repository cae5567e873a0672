"""What all methods that train with TRL share: checkpoints, scoring on dev, precision, packing, launching.

Decides how a training resumes and which weights are kept. How a model learns is up to its method, and the caller brings
the reward. Only this package and the methods import trl.
"""

from components.training.hacking_watch import Look
from components.training.task import Draws, Reward, Sample, ScoreDev, Trained, TrainingTask

__all__ = ["Draws", "Look", "Reward", "Sample", "ScoreDev", "Trained", "TrainingTask"]
