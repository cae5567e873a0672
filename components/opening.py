"""From what a rung left to what answers: the one way in which a classifier, a prompt or a model is opened.

Decides engine, prompt and schema for an artifact, and whether it answers or acts: what an agent gives to an example is
a try. Evaluation, gate, serving, advice and reproduction all come here.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from components.data.texts import clean, shown
from components.engines import ChatRequest, Engine, Sampling, open_engine, open_prompting
from components.engines.base import failed
from components.errors import DataError
from components.evaluation import classical
from components.params import AgentParams, Profile, Workload
from components.prompts import Prompt, load_prompt
from components.records import Completion, Example, Makes, Message
from components.shots import shots_in
from components.tasks import EnginePolicy, completion_of, open_environment, roll, start_of, trial_id

PROMPT_FILE = "prompt"
"""The stem of the prompt's file in an artifact's folder."""


@dataclass(frozen=True)
class Artifact:
    """What a rung left, or the registry's copy of it: its kind, its folder, and the name of the prompt inside."""

    makes: Makes
    folder: Path
    prompt: str | None = None


@dataclass(frozen=True)
class Answers:
    """Completions in the order of the examples, and the wall time that they took together, loading not counted."""

    completions: list[Completion]
    seconds: float


@dataclass(frozen=True)
class Opened:
    """What answers: an engine with the prompt that it is asked with; a classifier has none.

    `answer_schema` holds answers to a schema while they are written. With `agent` a completion is the end of a try.
    """

    engine: Engine
    columns: tuple[str, ...]
    max_new_tokens: int
    prompt: Prompt | None = None
    answer_schema: dict[str, Any] | None = None
    agent: AgentParams | None = None

    def messages(self, example: Example) -> list[Message]:
        """The conversation that asks for an example's answer."""
        if self.prompt is not None:
            return self.prompt.messages(example)
        return [Message(role="user", content=user_message({name: example.input[name] for name in self.columns}))]

    def sampling(self, seed: int, temperature: float = 0.0, n: int = 1) -> Sampling:
        """How it answers: greedily, unless said otherwise."""
        return Sampling(
            temperature=temperature, n=n, seed=seed, max_new_tokens=self.max_new_tokens,
            answer_schema=self.answer_schema,
        )  # fmt: skip

    def answer(self, examples: Sequence[Example], seed: int) -> Answers:
        """One greedy completion of each example."""
        started = time.perf_counter()
        completions = self._given(examples, self.sampling(seed))
        return Answers(completions, time.perf_counter() - started)

    def draw(self, examples: Sequence[Example], seed: int, temperature: float, n: int) -> list[list[Completion]]:
        """`n` drawn completions of each example."""
        drawn = self._given(examples, self.sampling(seed, temperature, n))
        return [drawn[at * n : (at + 1) * n] for at in range(len(examples))]

    def attempt(self, examples: Sequence[Example], seed: int, trials: int) -> Answers:
        """What is evaluated: one greedy completion of each example; of an agent so many tries, each by its own name."""
        if self.agent is None:
            return self.answer(examples, seed)
        started = time.perf_counter()
        drawn = self._given(examples, self.sampling(seed, self.agent.temperature, trials))
        names = [trial_id(example.id, trial, trials) for example in examples for trial in range(trials)]
        named = [
            completion.model_copy(update={"example_id": name}) for completion, name in zip(drawn, names, strict=True)
        ]
        return Answers(named, time.perf_counter() - started)

    def _given(self, examples: Sequence[Example], sampling: Sampling) -> list[Completion]:
        """`sampling.n` completions in a row for each example."""
        if self.agent is None:
            return self.engine.generate(
                [ChatRequest(example.id, self.messages(example)) for example in examples], sampling
            )
        policy = EnginePolicy(self.engine, sampling.temperature, sampling.seed)
        asked = [(example, self.messages(example)) for example in examples]
        starts = [start_of(*pair, trial) for pair in asked for trial in range(sampling.n)]
        rolled = roll(open_environment(self.agent.environment), policy, starts, self.agent.limits)
        return [completion_of(attempt.trajectory) for attempt in rolled]


def open_artifact(artifact: Artifact, workload: Workload, profile: Profile, columns: tuple[str, ...]) -> Opened:
    """Open what a rung left; `columns` are the workload's inputs.

    Raises:
        EngineError: The model or classifier does not open, or an API's key is missing.
        ConfigError: The prompt is not there.
    """
    return _OPEN[artifact.makes](artifact, workload, profile, columns)


def over(engine: Engine, prompt: Prompt, workload: Workload, profile: Profile) -> Opened:
    """An engine that is open already, asked with a prompt; held to the schema where the workload's settings say so."""
    schema = workload.output if prompt.name in workload.constrained else None
    return Opened(engine, prompt.placeholders, profile.engine.max_new_tokens, prompt, schema, workload.agent)


def _classifier(artifact: Artifact, workload: Workload, profile: Profile, columns: tuple[str, ...]) -> Opened:
    engine = ClassifierEngine(classical.load(artifact.folder))
    return Opened(engine, engine.columns, profile.engine.max_new_tokens)


def _prompt(artifact: Artifact, workload: Workload, profile: Profile, columns: tuple[str, ...]) -> Opened:
    return over(open_prompting(profile, workload.incumbent), prompt_of(artifact, columns), workload, profile)


def _model(artifact: Artifact, workload: Workload, profile: Profile, columns: tuple[str, ...]) -> Opened:
    engine = open_engine(profile.engine, artifact.folder, profile.model.precision)
    return over(engine, prompt_of(artifact, columns), workload, profile)


_OPEN: dict[Makes, Callable[[Artifact, Workload, Profile, tuple[str, ...]], Opened]] = {
    "classifier": _classifier,
    "prompt": _prompt,
    "model": _model,
}


def prompt_of(artifact: Artifact, columns: tuple[str, ...]) -> Prompt:
    """The prompt in an artifact's folder, with its shots, under the name that it was made with.

    Raises:
        ConfigError: It is not there.
        DataError: The shots beside it cannot be read.
    """
    prompt = load_prompt(artifact.folder, PROMPT_FILE, columns)
    return replace(prompt, name=artifact.prompt or PROMPT_FILE, shots=shots_in(artifact.folder))


class ClassifierEngine:
    """A classifier as an engine: the last message is its input."""

    def __init__(self, classifier: classical.Classifier) -> None:
        self._classifier, self.columns = classifier, tuple(dict.fromkeys(classifier.columns))

    def generate(self, requests: list[ChatRequest], sampling: Sampling) -> list[Completion]:
        """One answer each, `n` times: there is nothing to draw. A message that lacks an input has none."""
        asked = [self._asked(request) for request in requests]
        answers = iter(self._classifier.predict([example for example in asked if isinstance(example, Example)]))
        given = [next(answers) if isinstance(each, Example) else each for each in asked]
        return [answer for answer in given for _ in range(sampling.n)]

    def _asked(self, request: ChatRequest) -> Example | Completion:
        """What the classifier is asked, or why it cannot be."""
        try:
            inputs = inputs_of(self.columns, request.messages[-1].content)
        except DataError as error:
            return failed(request, str(error))
        return Example(id=request.example_id, input=inputs, demonstration="", reference="", group="")


def user_message(inputs: dict[str, str]) -> str:
    """Inputs as one user message: the text of a single column as it is, several as a JSON object."""
    return next(iter(inputs.values())) if len(inputs) == 1 else json.dumps(inputs, ensure_ascii=False)


def inputs_of(columns: Sequence[str], content: str) -> dict[str, str]:
    """The inputs that a user message holds: what `user_message` wrote, or a caller did.

    They are texts as the data's are: cleaned, nothing for null, and other values as JSON.

    Raises:
        DataError: It is not a JSON object of these columns.
    """
    if len(set(columns)) == 1:
        return {columns[0]: clean(content)}
    try:
        known: Any = json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError):  # no JSON, a number with too many digits, nested beyond reading
        known = None
    if not isinstance(known, dict) or not set(columns) <= known.keys():  # pyright: ignore[reportUnknownMemberType]
        raise DataError(f"expected a JSON object with {', '.join(dict.fromkeys(columns))} as user message")
    return {name: shown(known[name]) for name in columns}


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
