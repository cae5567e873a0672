"""Whether a completion is the reference, word for word; white space around either does not count."""

from components.records import Completion, Example, Score


class ExactScorer:
    """1 for the reference's own text, 0 for any other."""

    def score(self, example: Example, completion: Completion) -> Score:
        if completion.error is not None:
            return Score(value=0.0, passed=False, reason=f"no answer: {completion.error}")
        if completion.text.strip() == example.reference.strip():
            return Score(value=1.0, passed=True)
        return Score(value=0.0, passed=False, reason=f"expected {example.reference.strip()[:100]!r}")
