"""Evaluation: a rung's quality with its uncertainty, whether it replaces its parent, and the classical floor."""

from components.evaluation.checks import Level
from components.evaluation.classical import Classifier
from components.evaluation.compare import (
    Changes,
    Layout,
    Scores,
    changes,
    common,
    compare,
    compare_slices,
    slice_members,
    values,
)
from components.evaluation.evaluate import EvalSet, Measured, evaluate_rung
from components.evaluation.gate import Contender, Split, against, judge, measure, repeated
from components.evaluation.judged import Judging, by_example, judge_answers, scores_in
from components.evaluation.looks import NO_CHAMPION, alpha_of_look, holm_climb, shared, sketch
from components.evaluation.metrics import accuracy

__all__ = [
    "NO_CHAMPION", "Changes", "Classifier", "Contender", "EvalSet", "Judging", "Layout", "Level", "Measured", "Scores",
    "Split", "accuracy", "against", "alpha_of_look", "by_example", "changes", "common", "compare", "compare_slices",
    "evaluate_rung", "holm_climb", "judge", "judge_answers", "measure", "repeated", "scores_in", "shared", "sketch",
    "slice_members", "values",
]  # fmt: skip
