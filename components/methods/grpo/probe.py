"""Probes which train prompts the starting model answers sometimes right, sometimes wrong.

Decides how the answers are drawn and where the choice is kept; `selection` decides which prompts are worth training
on.
"""

import json
import logging
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from components.methods.grpo.selection import Mix, choose
from components.methods.grpo.settings import GrpoParams
from components.training.checkpoints import write_json
from components.training.encode import encode_prompts
from components.training.precision import Compute
from components.training.task import Draws, Reward, Sample, TrainingTask, seed_of

log = logging.getLogger(__name__)

SELECTION = "selection.json"


class Probing(Protocol):
    """Measures the rewards of several completions or tries for each prompt."""

    def rewards(self, task: TrainingTask, params: GrpoParams, opened: tuple[Any, Any], probed: list[int]) -> Any:
        """Rewards (P, G) of `probe_generations` for each probed example; processes share the work."""
        ...


@dataclass(frozen=True)
class Probe:
    """Rewards of completions."""

    reward: Reward
    sample: Sample
    compute: Compute

    def rewards(self, task: TrainingTask, params: GrpoParams, opened: tuple[Any, Any], probed: list[int]) -> Any:
        """As `Probing.rewards`."""
        (model, tokenizer), n = opened, params.probe_generations

        def of(rows: list[int], process: int) -> list[float]:
            examples = [task.train[row] for row in rows]
            prompts = encode_prompts(tokenizer, [task.prompt.messages(example) for example in examples])
            draws = Draws(n, params.temperature, params.max_new_tokens, seed_of(task.seed, 0, process))
            drawn = [row for group in self.sample(model, tokenizer, prompts, draws) for row in group]
            texts = tokenizer.batch_decode(drawn, skip_special_tokens=True)
            return self.reward([example for example in examples for _ in range(n)], texts)

        return shared_out(self.compute, probed, n, of)


def shared_out(
    compute: Compute, probed: list[int], n: int, of: Callable[[list[int], int], list[float]]
) -> list[list[float]]:
    """Rewards (P, n) of the probed rows, shared out over processes; `of` takes rows and the process's index."""
    from accelerate.utils import gather_object

    state = compute.state()
    mine = list(range(state.process_index, len(probed), state.num_processes))
    flat = of([probed[place] for place in mine], state.process_index)
    rewards = dict(gather_object([(place, flat[k * n : (k + 1) * n]) for k, place in enumerate(mine)]))
    return [rewards[place] for place in range(len(probed))]


def selected(
    task: TrainingTask, params: GrpoParams, opened: tuple[Any, Any], probe: Probing, identity: str = ""
) -> Mix:
    """The mix of train prompts, probed once for a training's identity, and kept in the work folder.

    If `probe_prompts` is 0, all prompts in a seeded order, of which a training with few steps takes the first.
    """
    everything, rng = list(range(len(task.train))), random.Random(task.seed)
    if not params.probe_prompts:
        return Mix(tuple(rng.sample(everything, len(everything))), ())
    kept = task.work / SELECTION
    if (earlier := _kept(kept, identity)) is not None:
        return earlier
    started = time.monotonic()
    probed = sorted(rng.sample(everything, min(params.probe_prompts, len(everything))))
    opened[0].eval()
    places = choose(probe.rewards(task, params, opened, probed), params.easy_share, rng)
    opened[0].train()
    varied, easy = (tuple(probed[place] for place in kind) for kind in (places.varied, places.easy))
    mix = Mix(varied, easy, time.monotonic() - started)
    log.info("Of %s probed prompts, %s vary in reward.", f"{len(probed):,}", f"{len(mix.varied):,}")
    write_json(kept, {"identity": identity, "probed": len(probed), **asdict(mix)})
    return mix


def _kept(path: Path, identity: str) -> Mix | None:
    """An earlier call's choice; None if the file is missing, damaged, or of another training."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        varied, easy = tuple(map(int, content["varied"])), tuple(map(int, content["easy"]))
        return Mix(varied, easy, float(content["seconds"])) if content["identity"] == identity else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
