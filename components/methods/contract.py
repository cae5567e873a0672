"""The contract of methods: each makes a rung from a job, and says what it makes and what it needs.

A method of one's own is a class with these five members, named `module:Class` in a ladder. With `inherits`, the name
of another method, it starts from that method's settings. With `acts = True` it also makes rungs of agents, which learn
from tries and are scored by them; other methods are refused there.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from components.methods.job import Job
from components.params import Settings
from components.records import Completion, Makes, Need, RewardWatch, Usage
from components.tracking import Tracker

NONE = Usage(input_tokens=0, output_tokens=0)


@dataclass(frozen=True)
class Made:
    """The outcome of making a rung; its artifact lies in `Job.out`.

    `dev_score` and `dev_validity` are shares of `dev_examples` dev examples, in [0, 1]. `curves` are (step, value) by
    name, `metrics` are further numbers for the record. `paid_usd` was paid for APIs, at list prices;
    `prompted` are tokens of answers by the profile's API for prompts that are not in it: the account prices them.
    """

    seconds: float
    dev_score: float
    dev_examples: int
    dev_validity: float | None = None
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    watch: RewardWatch | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    paid_usd: float = 0.0
    prompted: Usage = NONE


def prompted(job: Job, completions: Iterable[Completion]) -> Usage:
    """The tokens of answers to prompts that the profile's API is paid for; none where the base model answers."""
    used = [completion.usage for completion in completions] if job.profile.prompting is not None else []
    return Usage(
        input_tokens=sum(usage.input_tokens for usage in used),
        output_tokens=sum(usage.output_tokens for usage in used),
    )


class Method(Protocol):
    """One way to make a rung."""

    label: ClassVar[str]
    """What reports call it."""
    makes: ClassVar[Makes]
    """The kind of artifact that it leaves in `Job.out`."""
    params: ClassVar[type[Settings]]
    """Its settings: bounds and units in the model, values in the profile under `methods`."""

    def needs(self, params: Any) -> frozenset[Need]:
        """What it requires under these settings."""
        ...

    def make(self, job: Job, params: Any, tracker: Tracker) -> Made:
        """Make the rung and write it to `job.out`.

        Raises:
            GradusError: It cannot be made; `job.work` then keeps only what the same call would go on with.
        """
        ...
