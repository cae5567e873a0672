"""Whether texts keep to the rules of their form: length, sections, terms, a pattern. What they say is not asked."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from components.errors import ConfigError
from components.params import FormatRulesParams, TextRules
from components.records import Completion, Example, Score
from components.scorers.answers import NotAnAnswer, read_answer
from components.scorers.patterns import TooSlow, compiled

# From the first mark on, and never twice over the same marks.
_SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)\]]*+(?=\s|$)")


class FormatRulesScorer:
    """The share of kept rules in [0, 1], of the whole text and of each field; passed when all are kept."""

    def __init__(self, params: FormatRulesParams, schema: Mapping[str, Any]) -> None:
        """Rules of fields that the schema has.

        Raises:
            ConfigError: A field is no property of the schema.
        """
        for name in params.fields:
            if name not in schema["properties"]:
                known = ", ".join(schema["properties"])
                raise ConfigError(f"scorer.format_rules.fields: expected one of {known}, found {name}")
        self._params = params

    def score(self, example: Example, completion: Completion) -> Score:
        if completion.error is not None:
            return Score(value=0.0, passed=False, reason=f"no answer: {completion.error}")
        kept, broken = 0, list[str]()
        for place, rules, text in self._texts(completion):
            found = list(broken_rules(rules, text))
            kept += number_of(rules) - len(found)
            broken += [f"{place}: {reason}" for reason in found]
        value = kept / (kept + len(broken))
        return Score(value=value, passed=not broken, reason="; ".join(broken)[:500])

    def _texts(self, completion: Completion) -> Iterator[tuple[str, TextRules, str | None]]:
        """(name, rules, text) of each; a field that is missing or no string has no text."""
        if self._params.text is not None:
            yield "text", self._params.text, completion.text
        if not self._params.fields:
            return
        try:
            answer: Mapping[str, Any] = read_answer(completion)
        except NotAnAnswer:
            answer = {}
        for name, rules in self._params.fields.items():
            text = answer.get(name)
            yield name, rules, text if isinstance(text, str) else None


def number_of(rules: TextRules) -> int:
    """How many rules there are; each section and term is one."""
    listed = len(rules.sections) + len(rules.required) + len(rules.forbidden)
    return listed + len(rules.model_dump(exclude_defaults=True, exclude={"sections", "required", "forbidden"}))


def broken_rules(rules: TextRules, text: str | None) -> Iterator[str]:
    """What is wrong with a text, one sentence for each broken rule; None breaks all."""
    if text is None:
        yield from ["no text"] * number_of(rules)
        return
    yield from _lengths(rules, text)
    yield from (f"section {title!r} is missing or misplaced" for title in _misplaced(rules.sections, text))
    yield from (f"{term!r} is missing" for term in rules.required if not occurs(term, text))
    yield from (f"{term!r} is forbidden" for term in rules.forbidden if occurs(term, text))
    if rules.pattern is not None:
        yield from _unmatched(rules.pattern, text)


def _unmatched(pattern: str, text: str) -> Iterator[str]:
    try:
        if not compiled(pattern).fullmatch(text):
            yield f"does not match {pattern}"
    except TooSlow as slow:
        yield str(slow)


def _lengths(rules: TextRules, text: str) -> Iterator[str]:
    counted = (
        ("characters", len(text), rules.min_characters, rules.max_characters),
        ("words", len(text.split()), None, rules.max_words),
        ("sentences", sentences(text), None, rules.max_sentences),
    )
    for unit, found, least, most in counted:
        if least is not None and found < least:
            yield f"{found:,} {unit}, at least {least:,} expected"
        if most is not None and found > most:
            yield f"{found:,} {unit}, at most {most:,} expected"


def sentences(text: str) -> int:
    """How many sentences a text has: each ends in . ! ? or …, the last one also without."""
    ends = list(_SENTENCE_END.finditer(text))
    rest = text[ends[-1].end() :] if ends else text
    return len(ends) + bool(rest.strip())


def occurs(term: str, text: str) -> bool:
    """Whether a term stands in a text as whole words, in any case and spacing."""
    words = r"\s+".join(map(re.escape, term.split()))
    return re.search(rf"(?<!\w){words}(?!\w)", text, re.IGNORECASE) is not None


def _misplaced(titles: tuple[str, ...], text: str) -> Iterator[str]:
    """Titles that begin no line after the title before them."""
    lines, start = [line.strip().lower() for line in text.splitlines()], 0
    for title in titles:
        place = next((i for i in range(start, len(lines)) if lines[i].startswith(title.lower())), None)
        if place is None:
            yield title
        else:
            start = place + 1
