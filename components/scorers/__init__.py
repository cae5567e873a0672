"""Scorers judge completions. The same object evaluates rungs, rewards RL and scores production traffic."""

from components.scorers.failures import Failures, scores_of
from components.scorers.json_schema import JsonSchemaScorer
from components.scorers.protocol import BatchScorer, Outcome, Pair, Scorer, decided, score_all
from components.scorers.registry import build

__all__ = [
    "BatchScorer", "Failures", "JsonSchemaScorer", "Outcome", "Pair", "Scorer", "build", "decided", "score_all",
    "scores_of",
]  # fmt: skip
