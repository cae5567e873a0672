"""The weighted share of the answer's fields that equal the reference's; other keys are ignored."""

from collections.abc import Mapping

from components.errors import ScorerError
from components.params import FieldMatch
from components.records import Completion, Example, Score
from components.scorers.answers import Answer, NotAnAnswer, read_answer, read_reference
from components.scorers.matching import MATCHES

_ABSENT = object()


class FieldMatchScorer:
    """The weighted share of right fields in [0, 1]; `parts` has 0 or 1 per field; passed if all are right."""

    def __init__(self, fields: Mapping[str, FieldMatch], schema: Answer | None = None) -> None:
        """Compare these fields (at least one); without a schema, answers are JSON objects."""
        self._schema = schema
        total = sum(field.weight for field in fields.values())
        self._fields = {name: (MATCHES[field.match], field.tolerance) for name, field in fields.items()}
        self._shares = {name: field.weight / total for name, field in fields.items()}

    def score(self, example: Example, completion: Completion) -> Score:
        reference = read_reference(example, self._schema)
        try:
            answer = read_answer(completion, self._schema)
        except NotAnAnswer as error:
            return Score(value=0.0, passed=False, reason=str(error), parts=dict.fromkeys(self._shares, 0.0))
        try:
            parts = {name: 1.0 if self._right(name, reference, answer) else 0.0 for name in self._shares}
        except ScorerError as error:
            raise ScorerError(f"{error} (example {example.id})") from error
        wrong = [name for name, part in parts.items() if not part]
        if not wrong:
            return Score(value=1.0, passed=True, parts=parts)
        value = sum(self._shares[name] * part for name, part in parts.items())
        reason = "; ".join(_difference(name, reference, answer) for name in wrong)
        return Score(value=value, passed=False, reason=reason, parts=parts)

    def _right(self, name: str, reference: Answer, answer: Answer) -> bool:
        """Whether a field is right; a missing key equals only a missing key in the reference."""
        expected, value = reference.get(name, _ABSENT), answer.get(name, _ABSENT)
        if expected is _ABSENT or value is _ABSENT:
            return expected is value
        match, tolerance = self._fields[name]
        try:
            return match(expected, value, tolerance)
        except ScorerError as error:
            raise ScorerError(f"{name}: {error}") from error


def _difference(name: str, reference: Answer, answer: Answer) -> str:
    expected = f"{reference[name]!r:.60}" if name in reference else "no such key"
    written = f"{answer[name]!r:.60}" if name in answer else "none"
    return f"{name}: expected {expected}, found {written}"
