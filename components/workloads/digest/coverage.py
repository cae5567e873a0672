"""The verifier of `digest`: whether each section states the thread's facts, and nothing false or invented.

It compares with the facts in the example's evidence, not with the reference's wording, because many digests are right.
`format_rules` limits the length of sections; a judge decides how well they read.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from components.errors import ScorerError
from components.records import Completion, Example, Score
from components.scorers.answers import Answer, NotAnAnswer, read_answer

_WORD = re.compile(r"\w+(?:-\w+)*")


class FactCoverage:
    """The share of facts that are stated, in [0, 1]; 0 if anything is false or invented. Parts are sections.

    Passed if every fact is stated. Numbers, ids and names (capitalised words inside a section) that are not in the
    thread are invented.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """The sections are the schema's properties."""
        self._sections: tuple[str, ...] = tuple(schema["properties"])

    def score(self, example: Example, completion: Completion) -> Score:
        facts, false = _evidence(example, "facts"), _evidence(example, "false")
        try:
            answer = read_answer(completion)
        except NotAnAnswer as error:
            return Score(value=0.0, passed=False, reason=str(error), parts=dict.fromkeys(self._sections, 0.0))
        texts = {name: _text(answer, name) for name in self._sections}
        missing = {name: [fact for fact in facts[name] if not says(texts[name], fact)] for name in self._sections}
        parts = {name: 1 - len(missing[name]) / len(facts[name]) for name in self._sections}
        if wrong := self._wrong(texts, false, "\n".join(example.input.values())):
            return Score(value=0.0, passed=False, reason=wrong, parts=parts)
        stated = sum(len(facts[name]) - len(missing[name]) for name in self._sections)
        value = stated / sum(len(facts[name]) for name in self._sections)
        reason = "; ".join(f"{name}: expected {fact[0]!r}, not said" for name in missing for fact in missing[name])
        return Score(value=value, passed=not reason, reason=reason, parts=parts)

    def _wrong(self, texts: Mapping[str, str], false: Mapping[str, Sequence[str]], thread: str) -> str:
        """The first falsehood or invention, in words; "" if there is none."""
        for name, text in texts.items():
            for term in false[name]:
                if says(text, (term,)):
                    return f"{name}: {term!r} is false"
            if inventions := invented(text, thread):
                return f"{name}: {inventions[0]!r} is not in the thread"
        return ""


def says(text: str, wordings: Sequence[str]) -> bool:
    """Whether a text contains one of the wordings, as whole words in any case."""
    words = _folded(text)
    return any(f" {_folded(wording)} " in f" {words} " for wording in wordings)


def invented(text: str, source: str) -> list[str]:
    """Words with a digit, or capitalised words after the first, that are not in the source in any case."""
    source_words = {word.casefold() for word in _WORD.findall(source)}
    words = _WORD.findall(text)
    claims = [word for index, word in enumerate(words) if any(map(str.isdigit, word)) or (index and word[0].isupper())]
    return [word for word in claims if word.casefold() not in source_words]


def _folded(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))


def _text(answer: Answer, name: str) -> str:
    """A section's text; "" if it is not a text."""
    value = answer.get(name)
    return value if isinstance(value, str) else ""


def _evidence(example: Example, name: str) -> dict[str, Any]:
    try:
        return json.loads(example.evidence[name])
    except (KeyError, ValueError) as error:
        raise ScorerError(
            f"expected {name} by section in the evidence, found {error!r} (example {example.id})"
        ) from error
