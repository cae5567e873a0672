"""Scores answers to real data sets with the metrics in papers: frames, intents and slots.

A frame is right if the workload's scorer passes it. F1 is over all pairs of slot and value (micro-averaged), or over
all labels if an example has several; its interval is a bootstrap over examples.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from components.errors import ScorerError
from components.evaluation.metrics import wilson
from components.records import Completion, Example, Interval
from components.scorers import Scorer, score_all
from components.scorers.answers import NotAnAnswer, read_object

RESAMPLES = 1000
Pairs = Counter[tuple[str, str]]


def measure(examples: Sequence[Example], texts: Sequence[str], scorer: Scorer) -> dict[str, Any]:
    """`passed` per example, `metrics` (name → value, low, high), and the number of examples `n`."""
    completions = [Completion.of_text(example.id, text) for example, text in zip(examples, texts, strict=True)]
    outcomes = score_all(scorer, list(zip(examples, completions, strict=True)))
    if failed := [outcome for outcome in outcomes if isinstance(outcome, ScorerError)]:
        raise failed[0]
    passed = [bool(getattr(outcome, "passed", False)) for outcome in outcomes]
    references = [read_object(example.reference) for example in examples]
    answers = [_read(text) for text in texts]
    metrics = {"exact": wilson(sum(passed), len(passed))}
    metrics["valid_json"] = wilson(sum(answer is not None for answer in answers), len(answers))
    if any("intent" in reference for reference in references):
        intents = [
            ((answer or {}).get("intent"), reference["intent"]) for answer, reference in _both(answers, references)
        ]
        right = sum(answered == expected for answered, expected in intents)
        metrics["intent"] = wilson(right, len(references))
    for name, taken in (("slot_f1", slots_of), ("intents_f1", intents_of)):
        pairs = [(taken(answer or {}), taken(reference)) for answer, reference in _both(answers, references)]
        counts = np.array([_counts(*pair) for pair in pairs])
        if counts[:, 2].any():
            metrics[name] = f1(counts)
    return {
        "passed": passed,
        "metrics": {name: interval.model_dump() for name, interval in metrics.items()},
        "n": len(passed),
    }


def _both(answers: Sequence[Any], references: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(answers, references, strict=True)


def _read(text: str) -> Any:
    try:
        return read_object(text)
    except NotAnAnswer:
        return None


def slots_of(answer: Any) -> Pairs:
    """Pairs of slot and value, with a pair for each member of a list."""
    pairs: Pairs = Counter()
    slots = answer.get("slots")
    for name, value in slots.items() if isinstance(slots, dict) else ():
        for member in value if isinstance(value, list) else [value]:
            pairs[name, json.dumps(member, sort_keys=True)] += 1
    return pairs


def intents_of(answer: Any) -> Pairs:
    """The labels in an answer with several."""
    labels = answer.get("intents")
    return Counter({("intent", json.dumps(label)): 1 for label in labels}) if isinstance(labels, list) else Counter()


def _counts(pairs: Pairs, expected: Pairs) -> tuple[int, int, int]:
    """The numbers of right, found and expected pairs."""
    return (pairs & expected).total(), pairs.total(), expected.total()


def f1(counts: Any, seed: int = 0) -> Interval:
    """Micro-averaged F1 of (n, 3) counts of right, found and expected pairs, with its 95 % bootstrap interval."""

    def value(sums: Any) -> Any:
        return 2 * sums[..., 0] / np.maximum(1, sums[..., 1] + sums[..., 2])

    draws = np.random.default_rng(seed).integers(len(counts), size=(RESAMPLES, len(counts)))
    low, high = np.percentile(value(counts[draws].sum(1)), [2.5, 97.5])
    return Interval(value=float(value(counts.sum(0))), low=float(low), high=float(high))
