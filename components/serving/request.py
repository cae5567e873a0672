"""A conversation that waits for its answer."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

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
    has nobody who waits for its answer: it is answered when no caller waits. Where `unwanted` is set nobody needs the
    answer to its end, and the engine may end it anywhere. One that is `limited` has a limit of tokens by its caller
    that is below its version's: an answer that ends there, or is cut because its caller `left`, says nothing of the
    version, and neither its inputs nor its tools are noted.
    """

    served: Served
    chat: ChatRequest
    sampling: Sampling
    input: Mapping[str, str] = field(default_factory=dict[str, str])
    on_text: OnText | None = None
    caller: str = ""
    spare: bool = False
    limited: bool = False
    left: bool = False
    unwanted: threading.Event = field(default_factory=threading.Event)
    done: "Future[list[Completion]]" = field(default_factory=Future)

    def answered(self, route: RouteName, completions: Sequence[Completion] = ()) -> Answer:
        """What its version answered on a route."""
        cut = (self.limited or self.left) and any(completion.finish_reason == "length" for completion in completions)
        inputs, calls = ({}, None) if cut else (self.input, self.sampling.calls)
        return Answer(route, self.served, self.chat.messages, inputs, completions, calls)

    def leave(self) -> None:
        """Note that the caller left: if its turn has not come it is not answered, and else need not be to its end."""
        self.left = True
        self.unwanted.set()
        self.done.cancel()

    def __post_init__(self) -> None:
        # What the requests of a batch have in common; computed once, before the request joins the queue.
        self.kind = self.served.version, self.sampling.model_dump_json()
        self.chat = replace(self.chat, unwanted=self.unwanted.is_set)
