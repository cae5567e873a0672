"""The input and the result of every training, whatever its method."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from components.params import HackingParams, Precision, Settings
from components.prompts import Prompt
from components.records import Example, Record, RewardWatch
from components.training.checkpoints import KEPT_FILES
from components.training.hacking_watch import Look

# (model, tokenizer) → score of greedy completions on dev, in [0, 1], or a look for the hacking watch.
# Called on every process, in evaluation mode.
ScoreDev = Callable[[Any, Any], float | Look]
# (examples, completions) → a reward each.
Reward = Callable[[list[Example], list[str]], list[float]]


class Sample(Protocol):
    """Draws completions; the caller of a training provides an engine's."""

    def __call__(self, model: Any, tokenizer: Any, prompts: list[list[int]], draws: "Draws") -> list[list[list[int]]]:
        """`draws.n` completions of each prompt (token ids), each with the token that ended it."""
        ...


@dataclass(frozen=True, slots=True)
class Draws:
    """How many completions per prompt are drawn, and how; equal `seed`s give equal completions."""

    n: int
    temperature: float
    max_new_tokens: int
    seed: int


def seed_of(seed: int, step: int, process: int, turn: int = 0) -> int:
    """The seed for a process's completions at a step (0: before the first), in a turn of a dialogue."""
    later = f" {turn}" if turn else ""
    return int.from_bytes(hashlib.sha256(f"{seed} {step} {process}{later}".encode()).digest()[:6])


@dataclass(frozen=True)
class TrainingTask:
    """The model, the data, and where the result goes.

    `work` has the checkpoints. It is kept after training, so that a caller that is killed before it records the result
    does not train twice; the caller removes it. `out` is replaced as a whole. `measured_by` says what dev scores depend
    on besides the model, and `rewarded_by` what rewards and watches it, by names, hashes or texts; the latter is empty
    where nothing does.
    """

    model: Path
    train: Sequence[Example]
    prompt: Prompt
    score_dev: ScoreDev
    seed: int
    work: Path
    out: Path
    precision: Precision = "auto"
    hacking: HackingParams = field(default_factory=HackingParams)
    measured_by: str = ""
    rewarded_by: str = ""

    def identity(self, params: Settings, *data: str) -> str:
        """A hash of everything that a checkpoint depends on.

        That is settings, prompt, data, seed, precision, the starting model with its tokenizer and chat template, what
        measures and what rewards. `data` is training data besides the examples.
        """
        digest = hashlib.sha256()
        for part in (type(params).__name__, params.model_dump_json(), self.prompt.version, self.seed, self.precision):
            digest.update(f"{part}\n".encode())
        for example in self.train:
            digest.update(f"{example.model_dump_json()}\n".encode())
        for text in data:
            digest.update(f"{text}\n".encode())
        beside = (self.model / name for name in KEPT_FILES)
        for path in sorted([*self.model.glob("*.safetensors"), *(path for path in beside if path.is_file())]):
            with path.open("rb") as file:
                digest.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
        digest.update(f"{self.measured_by}\n{self.rewarded_by}".encode())
        return digest.hexdigest()[:16]


class Trained(Record):
    """A finished training: `out` has the weights of `best_step`.

    `steps` is their total number; `seconds` is their duration without scoring, over all processes that worked on them;
    `prepared` are seconds before the first step, as of a probe. `examples_per_second` counts demonstrations or
    rollouts. `curves` are (step, value) by name.
    """

    best_step: int
    dev_score: float
    steps: int
    seconds: float
    prepared: float = 0.0
    examples_per_second: float
    curves: dict[str, list[tuple[float, float]]]
    watch: RewardWatch | None = None
