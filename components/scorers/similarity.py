"""The similarity of a free text to the reference: chrF and BLEU from sacrebleu, ROUGE from rouge-score.

Decides which text is compared and when it passes; the libraries compute the measures. These reward similar wording, not
truth: combine them with a judge or rules if truth matters.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from components.errors import ConfigError, ScorerError
from components.params import SimilarityParams
from components.records import Completion, Example, Score
from components.scorers.answers import NotAnAnswer, read_answer, read_reference

Measure = Callable[[str, str], float]  # (reference, text) -> [0, 1]


class SimilarityScorer:
    """The measure's value in [0, 1], 0 without a text; passed from `pass_value` on."""

    def __init__(self, params: SimilarityParams, schema: Mapping[str, Any]) -> None:
        """Compare a field of answers with this schema.

        Raises:
            ConfigError: The field is not a property of the schema.
        """
        if params.field not in schema["properties"]:
            properties = ", ".join(schema["properties"])
            raise ConfigError(f"scorer.similarity.field: expected one of {properties}, found {params.field}")
        self._params, self._schema = params, schema

    def score(self, example: Example, completion: Completion) -> Score:
        expected = read_reference(example, self._schema).get(self._params.field)
        if not isinstance(expected, str):
            raise ScorerError(f"expected a text as {self._params.field}, found {expected!r} (example {example.id})")
        try:
            text = read_answer(completion, self._schema).get(self._params.field)
        except NotAnAnswer as error:
            return Score(value=0.0, passed=False, reason=str(error))
        if not isinstance(text, str):
            return Score(value=0.0, passed=False, reason=f"{self._params.field}: no text")
        value = 1.0 if text == expected else measure(self._params.measure)(expected, text)
        if value >= self._params.pass_value:
            return Score(value=value, passed=True)
        return Score(value=value, passed=False, reason=f"{self._params.measure} {value:.2f}")


@lru_cache
def measure(name: str) -> Measure:
    """The measure for a name in `SimilarityParams`."""
    if name == "chrf":
        from sacrebleu import CHRF

        chrf = CHRF(word_order=0)
        return lambda expected, text: _share(chrf.sentence_score(text, [expected]).score / 100)
    if name == "bleu":
        from sacrebleu import BLEU

        bleu = BLEU(effective_order=True)
        return lambda expected, text: _share(bleu.sentence_score(text, [expected]).score / 100)
    from rouge_score.rouge_scorer import RougeScorer

    rouge = RougeScorer([name])
    return lambda expected, text: _share(rouge.score(expected, text)[name].fmeasure)


def _share(value: float) -> float:
    """Clip to [0, 1]; a perfect match may be 1.0000000000000002."""
    return min(max(float(value), 0.0), 1.0)
