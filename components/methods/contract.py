"""What a method is: it makes a rung from what it is given, and says what it makes and what it needs for that.

A method of one's own is a class with these five members, named `module:Class` in a ladder. One that also
has `inherits`, the name of a method, takes that one's settings first. One with `acts = True` also makes rungs of
agents, which learn from tries and are judged by them; other methods are refused there.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from components.methods.job import Job
from components.params import Settings
from components.records import Makes, Need, RewardWatch
from components.tracking import Tracker


@dataclass(frozen=True)
class Made:
    """What making a rung came to; its artifact lies in `Job.out`.

    `dev_score` and `dev_validity` are shares of `dev_examples` dev examples, in [0, 1]. `curves` are (step, value) by
    name, `metrics` further numbers for the record by their own names. `paid_usd` went to APIs, at list prices.
    """

    seconds: float
    dev_score: float
    dev_examples: int
    dev_validity: float | None = None
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    watch: RewardWatch | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    paid_usd: float = 0.0


class Method(Protocol):
    """One way to make a rung."""

    label: ClassVar[str]
    """What reports call it."""
    makes: ClassVar[Makes]
    """What lies in `Job.out` when it is done."""
    params: ClassVar[type[Settings]]
    """Its settings: bounds and units in the model, values in the profile under `methods`."""

    def needs(self, params: Any) -> frozenset[Need]:
        """What must be there before it can start, under these settings."""
        ...

    def make(self, job: Job, params: Any, tracker: Tracker) -> Made:
        """Make the rung and leave it in `job.out`.

        Raises:
            GradusError: It cannot be made; nothing is left then.
        """
        ...
