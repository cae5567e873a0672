"""Structured verdicts from a model, with several votes per question, cached.

Verdicts are cached on disk by the content of the question, so that a gate, a report and a test see the same verdict.
Tokens of paid answers are counted; prices are elsewhere.
"""

import hashlib
import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import EngineError, ScorerError
from components.params import JudgeParams
from components.records import Completion, Message, encodable
from components.scorers.answers import NotAnAnswer, read_answer

if TYPE_CHECKING:
    from components.engines.openai_engine import OpenAIEngine

Verdict = Mapping[str, Any]
Conversation = Sequence[Message]


@dataclass
class Spent:
    """The usage of verdicts: the number requested and the number cached, and the tokens of the former."""

    asked: int = 0
    remembered: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


_TOTALS: dict[str, Spent] = {}  # by model, in this process
_COUNTING = threading.Lock()


def spent_by_model() -> dict[str, Spent]:
    """The usage of all verdicts in this process, by model."""
    with _COUNTING:
        return {model: replace(spent) for model, spent in _TOTALS.items()}


class Verdicts:
    """Verdicts from a model that obey a JSON Schema."""

    def __init__(self, params: JudgeParams, schema: dict[str, Any]) -> None:
        from components.schema.patterns import SchemaValidator

        self._params, self._schema = params, schema
        self._validator: Any = SchemaValidator(schema)
        self.spent = Spent()

    def ask(self, questions: Sequence[Conversation]) -> list[list[Verdict] | ScorerError]:
        """For each question, its valid verdicts (more than half of the votes), or the error if there are too few."""
        keys = [self._key(question) for question in questions]
        by_key: dict[str, list[Verdict] | ScorerError] = {}
        new: dict[str, Conversation] = {}
        for key, question in zip(keys, questions, strict=True):
            cached = self._kept(key)
            if cached is not None:
                by_key[key] = cached
            else:
                new[key] = question
        self._count(remembered=len(keys) - len(new))
        by_key.update(self._asked(new))
        return [by_key[key] for key in keys]

    @cached_property
    def _engine(self) -> "OpenAIEngine":
        """Opened with the first question, so that without questions no key is needed."""
        from components.engines.openai_engine import OpenAIEngine

        return OpenAIEngine(self._params.model, self._params.api)

    def _asked(self, questions: Mapping[str, Conversation]) -> dict[str, list[Verdict] | ScorerError]:
        from components.engines import ChatRequest, Sampling

        if not questions:
            return {}
        votes = self._params.votes
        sampling = Sampling(
            temperature=self._params.temperature,
            max_new_tokens=self._params.max_new_tokens,
            n=votes,
            answer_schema=self._schema,
        )
        try:
            requests = [ChatRequest(key, list(question)) for key, question in questions.items()]
            answers = self._engine.generate(requests, sampling)
        except EngineError as error:
            return {key: ScorerError(f"expected verdicts of a judge, found {error}") for key in questions}
        self._count(answers=answers)
        return {
            key: self._settled(key, answers[place * votes : (place + 1) * votes]) for place, key in enumerate(questions)
        }

    def _settled(self, key: str, answers: Sequence[Completion]) -> list[Verdict] | ScorerError:
        """The valid verdicts among the votes on a question; only a complete set is cached."""
        verdicts, problem = list[Verdict](), ""
        for answer in answers:
            try:
                verdicts.append(self._read(answer))
            except NotAnAnswer as error:
                problem = str(error)
        if len(verdicts) == len(answers):
            self._keep(key, verdicts)
        if 2 * len(verdicts) <= len(answers):
            given = f"{len(verdicts)} of {len(answers)} votes"
            return ScorerError(f"expected valid verdicts of {self._params.model}, found {given}: {problem}")
        return verdicts

    def _read(self, answer: Completion) -> Verdict:
        verdict = read_answer(answer)
        if (error := next(self._validator.iter_errors(verdict), None)) is not None:
            raise NotAnAnswer(str(error.message)[:200])
        return {name: encodable(value) if isinstance(value, str) else value for name, value in verdict.items()}

    def _count(self, remembered: int = 0, answers: Sequence[Completion] = ()) -> None:
        with _COUNTING:
            for spent in (self.spent, _TOTALS.setdefault(self._params.model, Spent())):
                spent.remembered += remembered
                spent.asked += len(answers)
                spent.input_tokens += sum(answer.usage.input_tokens for answer in answers)
                spent.output_tokens += sum(answer.usage.output_tokens for answer in answers)

    def _key(self, question: Conversation) -> str:
        """A hash of everything on which a verdict depends."""
        params = self._params.model_dump(include={"model", "votes", "temperature", "max_new_tokens", "api"})
        content = [params, self._schema, [message.model_dump() for message in question]]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def _path(self, key: str) -> Path | None:
        return None if self._params.cache is None else Path(self._params.cache) / key[:2] / f"{key}.json"

    def _kept(self, key: str) -> list[Verdict] | None:
        """Cached verdicts; None if there are none or the file is damaged."""
        path = self._path(key)
        try:
            content: Any = json.loads(path.read_text(encoding="utf-8")) if path else None
        except (OSError, ValueError, RecursionError):
            return None
        whole = isinstance(content, list) and len(content) == self._params.votes
        return content if whole and all(map(self._validator.is_valid, content)) else None

    def _keep(self, key: str, verdicts: Sequence[Verdict]) -> None:
        if (path := self._path(key)) is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.part")
        part.write_text(json.dumps(list(verdicts), ensure_ascii=False), encoding="utf-8")
        part.replace(path)
