"""Advice: the decision rule, executed. Numbers with intervals in, the next rung out, and why. Pure."""

from components.advice.evidence import (
    Evidence,
    Feedback,
    Headroom,
    Learning,
    Movement,
    Paying,
    Rung,
    Scoring,
    Standing,
    Training,
    Writing,
)
from components.advice.gather import Trial, Workbench, gather, none_standing
from components.advice.measure import Second
from components.advice.record import Advice, Asked, Outcome, advise, outcome, rated
from components.advice.rule import Choice, Option, choose
from components.advice.ways import Way, ways
from components.advice.words import Line

__all__ = [
    "Advice", "Asked", "Choice", "Evidence", "Feedback", "Headroom", "Learning", "Line", "Movement", "Option",
    "Outcome", "Paying", "Rung", "Scoring", "Second", "Standing", "Training", "Trial", "Way", "Workbench",
    "Writing", "advise", "choose", "gather", "none_standing", "outcome", "rated", "ways",
]  # fmt: skip
