"""Probing: which train prompts the starting model answers now right, now wrong.

Decides how the answers are drawn and where the choice is kept; what makes a prompt worth training on is decided in
`selection`.
"""

import json
import logging
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.methods.grpo.selection import Mix, choose
from components.methods.grpo.settings import GrpoParams
from components.training.checkpoints import write_json
from components.training.encode import encode_prompts
from components.training.precision import Compute
from components.training.task import Draws, Reward, Sample, TrainingTask, seed_of

log = logging.getLogger(__name__)

SELECTION = "selection.json"


@dataclass(frozen=True)
class Probe:
    """How the rewards of several completions of a prompt are found."""

    reward: Reward
    sample: Sample
    compute: Compute

    def rewards(self, task: TrainingTask, params: GrpoParams, opened: tuple[Any, Any], probed: list[int]) -> Any:
        """Rewards (P, G) of `probe_generations` completions of each probed example; processes share the work."""
        from accelerate.utils import gather_object

        (model, tokenizer), state, n = opened, self.compute.state(), params.probe_generations
        mine = list(range(state.process_index, len(probed), state.num_processes))
        examples = [task.train[probed[place]] for place in mine]
        prompts = encode_prompts(tokenizer, [task.prompt.messages(one) for one in examples])
        draws = Draws(n, params.temperature, params.max_new_tokens, seed_of(task.seed, 0, state.process_index))
        drawn = [row for group in self.sample(model, tokenizer, prompts, draws) for row in group]
        texts = tokenizer.batch_decode(drawn, skip_special_tokens=True)
        flat = self.reward([one for one in examples for _ in range(n)], texts)
        found = dict(gather_object([(place, flat[k * n : (k + 1) * n]) for k, place in enumerate(mine)]))
        return [found[place] for place in range(len(probed))]


def selected(task: TrainingTask, params: GrpoParams, opened: tuple[Any, Any], probe: Probe) -> Mix:
    """The mix of train prompts, probed once and kept in the work folder; all of them where nothing is to be probed."""
    everything = list(range(len(task.train)))
    if not params.probe_prompts:
        return Mix(tuple(everything), ())
    kept = task.work / SELECTION
    if (known := _kept(kept)) is not None:
        return known
    rng = random.Random(task.seed)
    probed = sorted(rng.sample(everything, min(params.probe_prompts, len(everything))))
    opened[0].eval()
    places = choose(probe.rewards(task, params, opened, probed), params.easy_share, rng)
    opened[0].train()
    mix = Mix(tuple(probed[place] for place in places.varied), tuple(probed[place] for place in places.easy))
    log.info("Of %s probed prompts, %s vary in reward.", f"{len(probed):,}", f"{len(mix.varied):,}")
    write_json(kept, {"probed": len(probed), "varied": mix.varied, "easy": mix.easy})
    return mix


def _kept(path: Path) -> Mix | None:
    """What an earlier call chose; None where there is nothing, or what somebody damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        varied, easy = tuple(map(int, found["varied"])), tuple(map(int, found["easy"]))
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return Mix(varied, easy)
