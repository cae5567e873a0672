"""A conversation that waits for its answer."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from components.engines import ChatRequest, Sampling
from components.records import Completion, RouteName
from components.serving.champion import Served
from components.serving.routing import Answer

OnText = Callable[[int, str], None]  # with a completion's number, and the next piece of its text


@dataclass(eq=False)
class Request:
    """A conversation that waits, for the version that was champion when it came.

    `on_text` is called in the batches' thread while the answer is written, where the engine can stream: with the
    beginnings of the completions' texts, so that `done` may hold more.
    """

    served: Served
    chat: ChatRequest
    sampling: Sampling
    input: Mapping[str, str] = field(default_factory=dict[str, str])
    on_text: OnText | None = None
    caller: str = ""
    done: "Future[list[Completion]]" = field(default_factory=Future)

    def answered(self, route: RouteName, completions: Sequence[Completion] = ()) -> Answer:
        """What its version answered on a route."""
        return Answer(route, self.served, self.chat.messages, self.input, completions, self.sampling.calls)

    def __post_init__(self) -> None:
        # What requests of one batch have in common; written once, where nobody waits for it.
        self.kind = self.served.version, self.sampling.model_dump_json()
