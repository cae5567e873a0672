"""Constrained decoding: only tokens after which an answer can still obey a JSON Schema, or calls their tools' schemas.

Decides how the grammar library is called; the caller decides which answers are constrained. The library (llguidance,
one of those in vLLM) reads draft 2020-12 with a few exceptions.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from components.engines.base import Sampling
from components.engines.calling import CLOSE, FORM, OPEN, grammar_of
from components.engines.closing import closed
from components.errors import EngineError

BITS = 32  # in one word of the library's bit masks
_BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
_BY_NAME = frozenset({"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"})
_LARGEST = frozenset({2**63 - 1, 2**64 - 1})  # of 64 bits, whose bounds the library keeps


class Vocabulary:
    """The tokens of a model as the library reads them, made once for many grammars.

    Raises:
        EngineError: The tokenizer is one that the library cannot read.
    """

    def __init__(self, tokenizer: Any, size: int, ends: Sequence[int]) -> None:
        from llguidance.hf import from_tokenizer

        try:
            self.tokens = from_tokenizer(tokenizer, n_vocab=size, eos_token=list(ends))
        except ValueError as error:
            raise EngineError(f"expected a tokenizer for constrained decoding, found: {error}") from error
        self.size, self.ends, self.tags = size, list(ends), _tags(tokenizer, self.tokens)


class Grammar:
    """The grammar that answers are held to, over a model's tokens; made once for many answers.

    `sampling` has a JSON Schema, tools to be called, or both.

    Raises:
        EngineError: A schema is one that the library cannot read.
    """

    def __init__(self, vocabulary: Vocabulary, sampling: Sampling) -> None:
        from llguidance import LLMatcher

        schema: Any = sampling.answer_schema
        calls = sampling.calls
        called = [tool.arguments_schema for tool in calls.tools if tool.name in calls.names] if calls else []
        try:
            if (rounded := next(_rounded([schema, *called]), None)) is not None:
                raise EngineError(
                    "expected a schema for constrained decoding, with whole numbers up to 2^53 (write ids as strings), "
                    f"found {rounded}"
                )
            if sampling.calls is None:
                self._grammar = LLMatcher.grammar_from_json_schema(closed(schema), overrides=FORM)
            else:
                self._grammar = LLMatcher.grammar_from_lark(grammar_of(sampling.calls, schema, vocabulary.tags))
        except (ValueError, RecursionError) as error:
            raise EngineError(f"expected a schema for constrained decoding, found: {error}") from error
        if problem := LLMatcher.validate_grammar(self._grammar, vocabulary.tokens):
            raise EngineError(f"expected a schema for constrained decoding, found: {problem.splitlines()[0]}")
        self._vocabulary = vocabulary

    def reads(self, text: str, *, ended: bool) -> bool:
        """Whether a text is an answer; one that has not `ended` need only be the beginning of one.

        What may be half a character at its end does not count.
        """
        from llguidance import LLMatcher

        matcher = LLMatcher(self._vocabulary.tokens, self._grammar)
        tokens = self._vocabulary.tokens.tokenize_str(text if ended else text.rstrip("\ufffd"))
        taken = matcher.try_consume_tokens(tokens)
        return taken == len(tokens) and (matcher.is_accepting() or not ended)

    def constraint(self, rows: int) -> "Constraint":
        """The initial state of `rows` answers."""
        from llguidance import LLMatcher

        known = self._vocabulary
        return Constraint([LLMatcher(known.tokens, self._grammar) for _ in range(rows)], known.size, known.ends)


def _rounded(schema: Any) -> Iterator[int]:
    """The integers in a schema that the library, which reads numbers as doubles, would take for others."""
    if isinstance(schema, list):
        for part in schema:
            yield from _rounded(part)
    elif isinstance(schema, dict):
        for keyword, value in schema.items():
            if keyword in _BOUNDS or keyword in ("enum", "const"):
                kept = _LARGEST if keyword in _BOUNDS else ()
                yield from (number for number in _integers(value) if _is_rounded(number) and number not in kept)
            elif keyword in _BY_NAME and isinstance(value, dict):
                yield from _rounded(list(value.values()))
            else:
                yield from _rounded(value)


def _integers(value: Any) -> Iterator[int]:
    """Each integer in a JSON value."""
    if isinstance(value, int):
        yield value
    elif isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _integers(part)


def _is_rounded(number: int) -> bool:
    """Whether a double holds another number; what is too long for 64 bits the library refuses itself."""
    return abs(number) < 2**64 and int(float(number)) != number


def _tags(tokenizer: Any, tokens: Any) -> tuple[str, str] | None:
    """The call tags in the library's notation for tokens; None where they are ordinary text."""
    known = tokenizer.get_vocab()
    ids = [known.get(tag) for tag in (OPEN, CLOSE)]
    if any(id is None or not tokens.is_special_token(id) for id in ids):
        return None
    return f"<[{ids[0]}]>", f"<[{ids[1]}]>"


class Constraint:
    """How far each answer of a batch has come in the grammar."""

    def __init__(self, matchers: list[Any], vocabulary: int, ends: list[int]) -> None:
        self._matchers, self._vocabulary, self._ends = matchers, vocabulary, ends
        self._words = -(-vocabulary // BITS)

    def masked(self, logits_RV: Tensor, rows: Sequence[int]) -> Tensor:
        """Logits of these rows, -inf for tokens that break the grammar; complete answers may only end.

        Raises:
            EngineError: The library gives up on the schema.
        """
        from llguidance.numpy import fill_next_token_bitmask

        words_RW = np.full((len(rows), self._words), -1, dtype=np.int32)
        for place, row in enumerate(rows):
            if not self._stopped(row):
                fill_next_token_bitmask(self._matchers[row], words_RW, place)
        bits_RV = np.unpackbits(words_RW.view(np.uint8), axis=1, bitorder="little")[:, : self._vocabulary]
        complete = [place for place, row in enumerate(rows) if self._stopped(row)]
        bits_RV[complete] = 0
        bits_RV[np.ix_(complete, self._ends)] = 1
        allowed_RV = torch.from_numpy(bits_RV.astype(bool)).to(logits_RV.device)
        return logits_RV.masked_fill(~allowed_RV, float("-inf"))

    def take(self, rows: Sequence[int], tokens: Sequence[int]) -> None:
        """Advance each of these rows by its chosen token.

        Raises:
            EngineError: The library gives up on the schema.
        """
        for row, token in zip(rows, tokens, strict=True):
            if not self._stopped(row) and not self._matchers[row].consume_token(token):
                raise self._given_up(row)

    def _stopped(self, row: int) -> bool:
        """Whether a row is complete.

        Raises:
            EngineError: The library has given up on its schema, which it also calls stopped.
        """
        if not self._matchers[row].is_stopped():
            return False
        if self._matchers[row].get_error():
            raise self._given_up(row)
        return True

    def _given_up(self, row: int) -> EngineError:
        problem = (self._matchers[row].get_error() or "a token that it does not know").splitlines()[0]
        return EngineError(f"expected a schema that constrained decoding can follow, found: {problem[:200]}")
