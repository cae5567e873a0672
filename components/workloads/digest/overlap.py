"""The sealed scorer of `digest`: an answer's overlap of words with the reference, whatever they say.

It does not check facts, so tricks that satisfy only the verifier do not satisfy it: listing everything, or the
policy's own private language.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from components.records import Completion, Example, Score
from components.scorers.answers import NotAnAnswer, read_answer, read_reference

PASS_VALUE = 0.8
_WORD = re.compile(r"\w+(?:-\w+)*")


class WordOverlap:
    """The mean over sections of the F1 of words (ROUGE-1; Lin 2004), in [0, 1]; passed from 0.8."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """The sections are the schema's properties."""
        self._sections: tuple[str, ...] = tuple(schema["properties"])

    def score(self, example: Example, completion: Completion) -> Score:
        reference = read_reference(example)
        try:
            answer = read_answer(completion)
        except NotAnAnswer as error:
            return Score(value=0.0, passed=False, reason=str(error))
        parts = {name: f1(str(reference[name]), str(answer.get(name, ""))) for name in self._sections}
        value = sum(parts.values()) / len(parts)
        return Score(value=value, passed=value >= PASS_VALUE, reason=f"words shared: {value:.2f}", parts=parts)


def f1(reference: str, answer: str) -> float:
    """The harmonic mean of the shares of words that two texts have in common, counted as often as both have them."""
    expected, words = (Counter(_WORD.findall(text.casefold())) for text in (reference, answer))
    common = (expected & words).total()
    return 2 * common / (expected.total() + words.total()) if common else 0.0
