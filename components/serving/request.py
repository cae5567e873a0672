"""A conversation that waits for its answer."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from components.engines import ChatRequest, Sampling
from components.records import Completion, RouteName
from components.serving.champion import Served
from components.serving.routing import Answer

OnText = Callable[[int, str], None]  # takes a completion's number, and the next piece of its text


@dataclass(eq=False)
class Request:
    """A conversation that waits for an answer of the version that was chosen when it came.

    If the engine can stream, `on_text` is called in a thread of the engine's while the answer is written, which other
    requests wait for meanwhile. It need not get the texts to their ends; `done` has all of them. One that is `spare`
    has nobody who waits for its answer: it is answered when no caller waits.
    """

    served: Served
    chat: ChatRequest
    sampling: Sampling
    input: Mapping[str, str] = field(default_factory=dict[str, str])
    on_text: OnText | None = None
    caller: str = ""
    spare: bool = False
    done: "Future[list[Completion]]" = field(default_factory=Future)

    def answered(self, route: RouteName, completions: Sequence[Completion] = ()) -> Answer:
        """What its version answered on a route."""
        return Answer(route, self.served, self.chat.messages, self.input, completions, self.sampling.calls)

    def __post_init__(self) -> None:
        # What the requests of a batch have in common; computed once, before the request joins the queue.
        self.kind = self.served.version, self.sampling.model_dump_json()
