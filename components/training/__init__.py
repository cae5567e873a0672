"""What methods that train with TRL share: checkpoints, scoring on dev, precision, packing, launching.

Decides how a training goes on and which weights are kept; how a model learns is its method's business, and what a
completion is worth is given by the caller. Only this package and the methods import trl.
"""

from components.training.hacking_watch import Look
from components.training.task import Draws, Reward, Sample, ScoreDev, Trained, TrainingTask

__all__ = ["Draws", "Look", "Reward", "Sample", "ScoreDev", "Trained", "TrainingTask"]
