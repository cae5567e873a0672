"""Evaluation: what a rung is worth, how sure that is, whether it replaces its parent, and the classical floor."""

from components.evaluation.classical import Classifier
from components.evaluation.compare import Changes, Scores, changes, compare
from components.evaluation.evaluate import Evaluation, Exam, Measured, by_example, evaluate_rung
from components.evaluation.gate import Contender, decide
from components.evaluation.metrics import accuracy

__all__ = [
    "Changes", "Classifier", "Contender", "Evaluation", "Exam", "Measured", "Scores", "accuracy", "by_example",
    "changes", "compare", "decide", "evaluate_rung",
]  # fmt: skip
