"""Which version answers: the registry's champion, followed as it changes, and kept while the registry is away."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from components.data.sources import input_columns
from components.data.texts import clean
from components.economics import Prices
from components.engines import Engine, open_engine
from components.errors import DataError
from components.opening import Artifact, Opened, inputs_of, open_artifact
from components.params import Profile, Workload
from components.prompts import Prompt
from components.records import Example, Message, Usage
from components.registry import Version, whole
from components.serving.refusals import RequestError
from components.serving.repeating import Repeated

log = logging.getLogger(__name__)
MOST_FALLBACK_TOKENS = 1024  # of an answer, unless the request says how many
Opening = Callable[[Artifact, Workload, Profile, tuple[str, ...]], Opened]


@dataclass(frozen=True)
class Served:
    """A version that is ready to answer: its engine, its prompt, and what holds where a request says nothing.

    `inputs` are the columns that it reads, where it has no prompt that says so.
    """

    version: int
    made_by: str
    engine: Engine
    prompt: Prompt | None
    max_new_tokens: int
    answer_schema: dict[str, Any] | None = None
    price: Callable[[Usage], float | None] = lambda usage: None  # US dollars of an answer, where they are known
    inputs: tuple[str, ...] = ()

    def conversation(self, turns: Sequence[Message], *, tools: bool = False) -> tuple[list[Message], dict[str, str]]:
        """What the engine is asked, and the inputs in it: one user message alone is put into the version's own prompt.

        Texts are cleaned as those that were trained on. A conversation with a system prompt or several turns is asked
        as it is otherwise, and has no inputs that are known; with `tools` the first message is put into the prompt in
        all turns, so that a conversation goes on as it began. Where the prompt has several inputs, the message is a
        JSON object of them; a classifier's are its columns.

        Raises:
            RequestError: The message lacks an input.
        """
        cleaned = [_cleaned(turn, tools=tools) for turn in turns]
        if not self.columns or (len(turns) > 1 and not tools) or turns[0].role != "user":
            return cleaned, {}
        inputs = _inputs(self.columns, turns[0].content)
        return [*self.prompt.messages(_example(inputs)), *cleaned[1:]] if self.prompt else cleaned, inputs

    @property
    def columns(self) -> tuple[str, ...]:
        """The inputs that a user message alone stands for: the prompt's, or a classifier's."""
        return self.inputs or (self.prompt.placeholders if self.prompt else ())


def open_served(version: Version, workload: Workload, profile: Profile, opening: Opening = open_artifact) -> Served:
    """Open a registered version; `opening` opens what it left.

    Raises:
        RegistryError: Its files are not those that were registered.
        EngineError: Its model does not open.
        ConfigError: Its prompt is not there.
    """
    opened = opening(whole(version).artifact, workload, profile, input_columns(workload))
    return Served(
        version=version.number, made_by=version.method, engine=opened.engine, prompt=opened.prompt,
        max_new_tokens=opened.max_new_tokens, answer_schema=opened.answer_schema,
        price=lambda usage: version.usd_per_call, inputs=opened.columns,
    )  # fmt: skip


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
        self._repeated = Repeated(self._look, every_s, self._kept)
        self.start, self.close = self._repeated.start, self._repeated.close

    @property
    def dead(self) -> bool:
        """Whether it follows no more, though nobody ended it."""
        return self._repeated.dead

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
            log.info("Version %s (%s) answers.", version.number, self.served.made_by)

    def _kept(self) -> str:
        return f"version {self.served.version} is kept" if self.served else "there is none to answer"


def _inputs(names: Sequence[str], content: str) -> dict[str, str]:
    """The inputs that a user message holds."""
    try:
        return inputs_of(names, content)
    except DataError as error:
        raise RequestError(400, str(error), param="messages") from error


def _cleaned(turn: Message, *, tools: bool) -> Message:
    """A turn as it is asked; with tools, what the model and its tools said stays as it was."""
    if tools and turn.role in ("assistant", "tool"):
        return turn
    return turn.model_copy(update={"content": clean(turn.content)})


def _example(inputs: dict[str, str], name: str = "") -> Example:
    return Example(id=name, input=inputs, demonstration="", reference="", group="")
