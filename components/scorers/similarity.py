"""How far a free text resembles the text that would be right: chrF and BLEU by sacrebleu, ROUGE by rouge-score.

Decides which text is compared and from when on it passes; the measures are the libraries'. They reward what is worded
alike, not what is true: a judge or rules belong beside them where that matters.
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
    """The measure's value in [0, 1], 0 where there is no text; passed from `pass_value`."""

    def __init__(self, params: SimilarityParams, schema: Mapping[str, Any]) -> None:
        """Compare one field of answers that obey this schema.

        Raises:
            ConfigError: The field is no property of the schema.
        """
        if params.field not in schema["properties"]:
            known = ", ".join(schema["properties"])
            raise ConfigError(f"scorer.similarity.field: expected one of {known}, found {params.field}")
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
    """The measure of a name in `SimilarityParams`."""
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
    """Within [0, 1]; a perfect match may come out as 1.0000000000000002."""
    return min(max(float(value), 0.0), 1.0)
