"""Which version answers: the registry's champion, followed as it changes, and kept while the registry is away."""

import json
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from components.data.sources import input_columns
from components.economics import Prices
from components.engines import Ask, Engine, Sampling, open_engine, open_prompting
from components.evaluation import classical
from components.params import Profile, Workload
from components.prompts import Prompt, load_prompt
from components.records import Completion, Example, Message, Usage
from components.registry import Version
from components.serving.protocol import RequestError
from components.serving.repeating import Repeated

log = logging.getLogger(__name__)
MOST_FALLBACK_TOKENS = 1024  # of an answer, unless the request says how many


@dataclass(frozen=True)
class Served:
    """A version that is ready to answer: its engine, its prompt, and what holds where a request says nothing."""

    version: int
    method: str
    engine: Engine
    prompt: Prompt | None
    max_new_tokens: int
    answer_schema: dict[str, Any] | None = None
    price: Callable[[Usage], float | None] = lambda usage: None  # US dollars of an answer, where they are known

    def conversation(self, turns: Sequence[Message]) -> tuple[list[Message], dict[str, str]]:
        """What the engine is asked, and the inputs in it: one user message alone is put into the version's own prompt.

        A conversation with a system prompt or several turns is asked as it is, and has no inputs that are known. Where
        the prompt has several inputs, the message is a JSON object of them; a classifier's are its columns.

        Raises:
            RequestError: The message lacks an input.
        """
        if not self.columns or len(turns) > 1 or turns[0].role != "user":
            return list(turns), {}
        inputs = _inputs(self.columns, turns[0].content)
        return self.prompt.messages(_example(inputs)) if self.prompt else list(turns), inputs

    @property
    def columns(self) -> tuple[str, ...]:
        """The inputs that a user message alone stands for; none where it is asked as it is."""
        if self.prompt is not None:
            return self.prompt.placeholders
        return self.engine.columns if isinstance(self.engine, ClassicalEngine) else ()


def open_served(version: Version, workload: Workload, profile: Profile) -> Served:
    """Open a registered version.

    Raises:
        EngineError: Its model does not open.
        ConfigError: Its prompt is not there.
    """
    limit, usd = profile.engine.max_new_tokens, version.usd_per_call
    served = partial(Served, version.number, version.method, max_new_tokens=limit, price=lambda usage: usd)
    if version.method == "classical":
        return served(engine=ClassicalEngine(classical.load(version.folder)), prompt=None)
    prompt = load_prompt(version.folder, "prompt", input_columns(workload))
    if version.method != "prompt":
        return served(engine=open_engine(profile.engine, version.folder, profile.model.precision), prompt=prompt)
    schema = workload.output if version.prompt in workload.constrained else None
    return served(engine=open_prompting(profile, workload.incumbent), prompt=prompt, answer_schema=schema)


def open_fallback(workload: Workload, prompt: Prompt, prices: Prices) -> Served:
    """The second model of a workload's settings, asked with one of its prompts; its answers are held to the schema.

    What it costs is known where the price table has it.

    Raises:
        EngineError: The API's key is missing.
    """
    params = workload.serving.routing.fallback
    assert params is not None
    engine = open_engine(params.api, params.model)
    listed = prices.models.get(params.model)

    def price(usage: Usage) -> float | None:
        return None if listed is None else listed.usd(usage.input_tokens, usage.output_tokens)

    return Served(0, "api", engine, prompt, MOST_FALLBACK_TOKENS, workload.output, price)


class Follower:
    """Keeps the newest version open. `served` is replaced at once, when the new version is ready.

    While the registry is away the last one stays; where it says that there is none any more, none is.
    """

    def __init__(
        self, find: Callable[[], Version | None], open_version: Callable[[Version], Served], every_s: float
    ) -> None:
        self.served: Served | None = None
        self._find, self._open = find, open_version
        repeated = Repeated(self._look, every_s, self._kept)
        self.start, self.close = repeated.start, repeated.close

    def _look(self) -> None:
        """Ask the registry once, and open what is new."""
        version = self._find()
        if version is None:
            self.served = None
        elif self.served is None or version.number != self.served.version:
            # In a thread that ends: one that lived on would keep OpenMP threads, and with more of them than cores none
            # of them spins, so that an answer of nano took 720 ms instead of 220.
            with ThreadPoolExecutor(1) as opener:
                self.served = opener.submit(self._open, version).result()
            log.info("Version %s (%s) answers.", version.number, version.method)

    def _kept(self) -> str:
        return f"version {self.served.version} is kept" if self.served else "there is none to answer"


class ClassicalEngine:
    """A classifier as an engine: the last message is its input."""

    def __init__(self, classifier: classical.Classifier) -> None:
        self._classifier, self.columns = classifier, classifier.columns

    def generate(self, prompts: list[Ask], sampling: Sampling) -> list[Completion]:
        """One answer each, `n` times: there is nothing to draw."""
        asked = [_example(_inputs(self.columns, ask.messages[-1].content), ask.example_id) for ask in prompts]
        return [found for found in self._classifier.predict(asked) for _ in range(sampling.n)]


def _inputs(names: Sequence[str], content: str) -> dict[str, str]:
    """The inputs that a user message holds."""
    if len(set(names)) == 1:
        return {names[0]: content}
    wanted = ", ".join(dict.fromkeys(names))
    try:
        found: Any = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not set(names) <= found.keys():  # pyright: ignore[reportUnknownMemberType]
        raise RequestError(400, f"expected a JSON object with {wanted} as user message", param="messages")
    return {name: str(found[name]) for name in names}  # pyright: ignore[reportUnknownArgumentType]


def _example(inputs: dict[str, str], name: str = "") -> Example:
    return Example(id=name, input=inputs, demonstration="", reference="", group="")
