"""Advice: the decision rule as code. Takes numbers with intervals, returns the next rung and why. Pure."""

from components.advice.at_hand import AtHand, Feedback, JudgeTrial, Rung, Shown, Takes, Teacher, Thin
from components.advice.evidence import (
    Evidence,
    Headroom,
    Learning,
    Movement,
    Paying,
    Scoring,
    Standing,
    Training,
    Writing,
)
from components.advice.gates import Option
from components.advice.gather import Trial, Workbench, gather, none_standing
from components.advice.measure import Second
from components.advice.record import Advice, Asked, Outcome, advise, outcome, rated
from components.advice.rule import Choice, choose
from components.advice.ways import Way, ways
from components.advice.words import Line

__all__ = [
    "Advice", "Asked", "AtHand", "Choice", "Evidence", "Feedback", "Headroom", "JudgeTrial", "Learning", "Line",
    "Movement", "Option", "Outcome", "Paying", "Rung", "Scoring", "Second", "Shown", "Standing", "Takes", "Teacher",
    "Thin", "Training", "Trial", "Way", "Workbench", "Writing", "advise", "choose", "gather", "none_standing",
    "outcome", "rated", "ways",
]  # fmt: skip
