"""The verifier of `digest`: whether each section states the thread's facts, nothing false and nothing invented.

It reads the facts from the example's evidence, never the reference's wording: many digests are right. How long a
section may be, `format_rules` decides; how well it reads, a judge.
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
    """The share of facts that are stated, in [0, 1]; 0 where anything is false or invented. Parts by section.

    Passed when every fact is there. Invented is a number, an id or a name (a capital inside a section) that the
    thread does not have.
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
        """What first is false or invented, in words; empty if nothing is."""
        for name, text in texts.items():
            for term in false[name]:
                if says(text, (term,)):
                    return f"{name}: {term!r} is false"
            if inventions := invented(text, thread):
                return f"{name}: {inventions[0]!r} is not in the thread"
        return ""


def says(text: str, wordings: Sequence[str]) -> bool:
    """Whether a text has one of the wordings, as whole words in any case."""
    words = _folded(text)
    return any(f" {_folded(wording)} " in f" {words} " for wording in wordings)


def invented(text: str, source: str) -> list[str]:
    """Words of the text with a digit, or a capital behind its first word, that the source does not have in any case."""
    known = {word.casefold() for word in _WORD.findall(source)}
    words = _WORD.findall(text)
    claims = [word for at, word in enumerate(words) if any(map(str.isdigit, word)) or (at and word[0].isupper())]
    return [word for word in claims if word.casefold() not in known]


def _folded(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))


def _text(answer: Answer, name: str) -> str:
    """A section's text; one that is no text says nothing."""
    value = answer.get(name)
    return value if isinstance(value, str) else ""


def _evidence(example: Example, name: str) -> dict[str, Any]:
    try:
        return json.loads(example.evidence[name])
    except (KeyError, ValueError) as error:
        raise ScorerError(
            f"expected {name} by section in the evidence, found {error!r} (example {example.id})"
        ) from error
