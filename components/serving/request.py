"""A conversation that waits for its answer."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from components.engines import Ask, Sampling
from components.records import Completion, RouteName
from components.serving.champion import Served
from components.serving.routing import Answer

Heard = Callable[[int, str], None]  # the number of a completion, and what its text goes on by


@dataclass(eq=False)
class Request:
    """A conversation that waits, for the version that was champion when it came.

    `heard` is called in the batches' thread while the answer is written, where the engine can tell it: with the
    beginnings of the completions' texts, so that `done` may hold more.
    """

    served: Served
    ask: Ask
    sampling: Sampling
    input: Mapping[str, str] = field(default_factory=dict[str, str])
    heard: Heard | None = None
    caller: str = ""
    done: "Future[list[Completion]]" = field(default_factory=Future)

    def answered(self, route: RouteName, completions: Sequence[Completion] = ()) -> Answer:
        """What its version answered on a route."""
        return Answer(route, self.served, self.ask.messages, self.input, completions, self.sampling.calls)

    def __post_init__(self) -> None:
        # What requests of one batch have in common; written once, where nobody waits for it.
        self.kind = self.served.version, self.sampling.model_dump_json()
