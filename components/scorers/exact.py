"""Whether a completion is identical to the reference, apart from surrounding white space."""

from components.records import Completion, Example, Score


class ExactScorer:
    """1 for the reference's exact text, 0 for any other."""

    def score(self, example: Example, completion: Completion) -> Score:
        if completion.error is not None:
            return Score(value=0.0, passed=False, reason=f"no answer: {completion.error}")
        if completion.text.strip() == example.reference.strip():
            return Score(value=1.0, passed=True)
        return Score(value=0.0, passed=False, reason=f"expected {example.reference.strip()[:100]!r}")
