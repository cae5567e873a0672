"""Evaluation: what a rung is worth, how sure that is, whether it replaces its parent, and the classical floor."""

from components.evaluation.checks import Level
from components.evaluation.classical import Classifier
from components.evaluation.compare import (
    Changes,
    Scores,
    changes,
    common,
    compare,
    compare_slices,
    slice_members,
    values,
)
from components.evaluation.evaluate import Evaluation, Exam, Measured, by_example, evaluate_rung
from components.evaluation.gate import Contender, against, decide, judge, measure, repeated
from components.evaluation.looks import NO_CHAMPION, alpha_of_look, holm_climb, shared, sketch
from components.evaluation.metrics import accuracy

__all__ = [
    "NO_CHAMPION", "Changes", "Classifier", "Contender", "Evaluation", "Exam", "Level", "Measured", "Scores",
    "accuracy", "against", "alpha_of_look", "by_example", "changes", "common", "compare", "compare_slices", "decide",
    "evaluate_rung", "holm_climb", "judge", "measure", "repeated", "shared", "sketch",
    "slice_members", "values",
]  # fmt: skip
