"""Whether texts obey rules of form (length, sections, terms, a pattern), whatever their content."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from components.errors import ConfigError
from components.params import FormatRulesParams, TextRules
from components.records import Completion, Example, Score
from components.schema.patterns import TooSlow, compiled
from components.scorers.answers import NotAnAnswer, read_answer
from components.scorers.matching import occurs, plain

# Anchored at the first mark, so that no marks are scanned twice.
_SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)\]]*+(?=\s|$)")


class FormatRulesScorer:
    """The share of obeyed rules in [0, 1], over the whole text and each field; passed if all are obeyed."""

    def __init__(self, params: FormatRulesParams, schema: Mapping[str, Any]) -> None:
        """Use these rules; their fields must be in the schema.

        Raises:
            ConfigError: A field is not a property of the schema.
        """
        for name in params.fields:
            if name not in schema["properties"]:
                properties = ", ".join(schema["properties"])
                raise ConfigError(f"scorer.format_rules.fields: expected one of {properties}, found {name}")
        self._params, self._schema = params, schema

    def score(self, example: Example, completion: Completion) -> Score:
        if completion.error is not None:
            return Score(value=0.0, passed=False, reason=f"no answer: {completion.error}")
        obeyed, broken = 0, list[str]()
        for place, rules, text in self._texts(completion):
            reasons = list(broken_rules(rules, text))
            obeyed += number_of(rules) - len(reasons)
            broken += [f"{place}: {reason}" for reason in reasons]
        value = obeyed / (obeyed + len(broken))
        return Score(value=value, passed=not broken, reason="; ".join(broken)[:500])

    def _texts(self, completion: Completion) -> Iterator[tuple[str, TextRules, str | None]]:
        """(name, rules, text) for each set of rules; the text is None if the field is missing or not a string."""
        if self._params.text is not None:
            yield "text", self._params.text, completion.text
        if not self._params.fields:
            return
        try:
            answer: Mapping[str, Any] = read_answer(completion, self._schema)
        except NotAnAnswer:
            answer = {}
        for name, rules in self._params.fields.items():
            text = answer.get(name)
            yield name, rules, text if isinstance(text, str) else None


def number_of(rules: TextRules) -> int:
    """The number of rules; each section and each term is one."""
    listed = len(rules.sections) + len(rules.required) + len(rules.forbidden)
    return listed + len(rules.model_dump(exclude_defaults=True, exclude={"sections", "required", "forbidden"}))


def broken_rules(rules: TextRules, text: str | None) -> Iterator[str]:
    """A message for each rule that the text breaks; None breaks all."""
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
    for unit, count, least, most in counted:
        if least is not None and count < least:
            yield f"{count:,} {unit}, at least {least:,} expected"
        if most is not None and count > most:
            yield f"{count:,} {unit}, at most {most:,} expected"


def sentences(text: str) -> int:
    """The number of sentences in a text: each ends in . ! ? or …, the last one possibly without."""
    ends = list(_SENTENCE_END.finditer(text))
    rest = text[ends[-1].end() :] if ends else text
    return len(ends) + bool(rest.strip())


def _misplaced(titles: tuple[str, ...], text: str) -> Iterator[str]:
    """Titles that do not begin a line after the preceding title."""
    lines, start = [plain(line) for line in text.splitlines()], 0
    for title in titles:
        place = next((i for i in range(start, len(lines)) if lines[i].startswith(plain(title))), None)
        if place is None:
            yield title
        else:
            start = place + 1
