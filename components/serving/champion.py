"""Which version answers: the registry's champion, followed as it changes, kept while the registry is unavailable."""

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
from components.params import ApiParams, Profile, ServingParams, Workload
from components.prompts import Prompt
from components.records import Example, Message, Usage
from components.registry import Version, whole
from components.serving.refusals import RequestError
from components.serving.repeating import Repeated

log = logging.getLogger(__name__)
MOST_FALLBACK_TOKENS = 1024  # of an answer, unless the request says how many
MOST_RETRIES = 1  # where a caller waits
API_SHARE = 0.9  # of a caller's time, in which an API answers or is given up
Opening = Callable[[Artifact, Workload, Profile, tuple[str, ...]], Opened]


@dataclass(frozen=True)
class Served:
    """A version that is ready to answer: its engine, its prompt, and its defaults for requests.

    `inputs` are the columns that it reads if it has no prompt that names them.
    """

    version: int
    made_by: str
    engine: Engine
    prompt: Prompt | None
    max_new_tokens: int
    answer_schema: dict[str, Any] | None = None
    price: Callable[[Usage], float | None] = lambda usage: None  # US dollars for an answer, None if unknown
    inputs: tuple[str, ...] = ()

    def conversation(self, turns: Sequence[Message], *, tools: bool = False) -> tuple[list[Message], dict[str, str]]:
        """The messages for the engine, and the inputs in them. A single user message goes into the version's prompt.

        Texts are cleaned like the training data. Other conversations (several turns, or a system prompt) are passed on
        as they are, and their inputs are unknown; with `tools`, however, the first message goes into the prompt in
        every turn, so that a conversation goes on as it began. If there are several inputs (a prompt's, or a
        classifier's columns), the message is a JSON object of them.

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
        """The inputs that a single user message holds: the prompt's, or a classifier's."""
        return self.inputs or (self.prompt.placeholders if self.prompt else ())


def in_time(api: ApiParams, serving: ServingParams) -> ApiParams:
    """An API's settings where callers wait: it is asked again once at most, and given up before its callers are."""
    within_s = min(API_SHARE * serving.timeout_s, api.within_s or serving.timeout_s)
    return api.model_copy(update={"max_retries": min(api.max_retries, MOST_RETRIES), "within_s": within_s})


def open_served(version: Version, workload: Workload, profile: Profile, opening: Opening = open_artifact) -> Served:
    """Open a registered version; `opening` opens its artifact.

    Raises:
        RegistryError: Its files differ from those that were registered.
        EngineError: Its model cannot be opened.
        ConfigError: Its prompt is missing.
    """
    if profile.prompting is not None:
        profile = profile.model_copy(update={"prompting": in_time(profile.prompting, workload.serving)})
    opened = opening(whole(version).artifact, workload, profile, input_columns(workload))
    return Served(
        version=version.number, made_by=version.method, engine=opened.engine, prompt=opened.prompt,
        max_new_tokens=opened.max_new_tokens, answer_schema=opened.answer_schema,
        price=lambda usage: version.usd_per_call, inputs=opened.columns,
    )  # fmt: skip


def open_fallback(workload: Workload, prompt: Prompt, prices: Prices) -> Served:
    """The second model in a workload's settings, with one of its prompts; answers must follow the workload's schema.

    Its cost is known if the price table has it.

    Raises:
        EngineError: The API's key is missing.
    """
    params = workload.serving.routing.fallback
    assert params is not None
    engine = open_engine(in_time(params.api, workload.serving), params.model)
    listed = prices.models.get(params.model)

    def price(usage: Usage) -> float | None:
        return None if listed is None else listed.usd(usage.input_tokens, usage.output_tokens)

    return Served(0, "api", engine, prompt, MOST_FALLBACK_TOKENS, workload.output, price)


class Follower:
    """Keeps the newest version open, and replaces `served` as soon as a new version is ready.

    While the registry is unavailable the last version stays; if the registry has none any more, `served` is None.
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
        """Whether its thread has ended without `close`."""
        return self._repeated.dead

    def _look(self) -> None:
        """Ask the registry once, and open a new version."""
        version = self._find()
        if version is None:
            self.served = None
        elif self.served is None or version.number != self.served.version:
            # In a thread that ends: a lasting one would keep its OpenMP threads, and with more of them than cores none
            # of them spins, so that an answer of nano took 720 ms instead of 220.
            with ThreadPoolExecutor(1) as opener:
                self.served = opener.submit(self._open, version).result()
            log.info("Version %s (%s) answers.", version.number, self.served.made_by)

    def _kept(self) -> str:
        return f"version {self.served.version} is kept" if self.served else "there is no version to answer"


def _inputs(names: Sequence[str], content: str) -> dict[str, str]:
    """The inputs that a user message holds."""
    try:
        return inputs_of(names, content)
    except DataError as error:
        raise RequestError(400, str(error), param="messages") from error


def _cleaned(turn: Message, *, tools: bool) -> Message:
    """A turn with its text cleaned; with tools, the model's and the tools' turns stay as they are."""
    if tools and turn.role in ("assistant", "tool"):
        return turn
    return turn.model_copy(update={"content": clean(turn.content)})


def _example(inputs: dict[str, str], name: str = "") -> Example:
    return Example(id=name, input=inputs, demonstration="", reference="", group="")
