"""Probing: which train prompts the starting model answers now right, now wrong.

Decides how the answers are drawn and where the choice is kept; what makes a prompt worth training on is decided in
`selection`.
"""

import json
import logging
import random
from dataclasses import dataclass
from typing import Any

from components.params import RlParams
from components.training.checkpoints import write_json
from components.training.encode import encode_prompts
from components.training.precision import Compute
from components.training.selection import Mix, choose
from components.training.task import Reward, Sample, TrainingTask

log = logging.getLogger(__name__)

SELECTION = "selection.json"


@dataclass(frozen=True)
class Probe:
    """How the rewards of several completions of a prompt are found."""

    reward: Reward
    sample: Sample
    compute: Compute

    def rewards(self, task: TrainingTask, params: RlParams, opened: tuple[Any, Any], probed: list[int]) -> Any:
        """Rewards (P, G) of `probe_generations` completions of each probed example; processes share the work."""
        from accelerate.utils import gather_object
        from transformers import set_seed

        state, n = self.compute.state(), params.probe_generations
        set_seed(task.seed + state.process_index)
        mine = list(range(state.process_index, len(probed), state.num_processes))
        examples = [task.train[probed[place]] for place in mine]
        texts = self.sample(*opened, [task.prompt.messages(one) for one in examples], n, params.temperature)
        flat = self.reward([one for one in examples for _ in range(n)], [text for group in texts for text in group])
        found = dict(gather_object([(place, flat[k * n : (k + 1) * n]) for k, place in enumerate(mine)]))
        return [found[place] for place in range(len(probed))]


def selected(task: TrainingTask, params: RlParams, opened: tuple[Any, Any], probe: Probe) -> Mix:
    """The mix of train prompts, probed once and kept in the work folder; all of them where nothing is to be probed."""
    everything = list(range(len(task.train)))
    if not params.probe_prompts:
        return Mix(tuple(everything), ())
    kept = task.work / SELECTION
    if kept.is_file():
        found = json.loads(kept.read_text(encoding="utf-8"))
        return Mix(tuple(found["varied"]), tuple(found["easy"]))
    rng = random.Random(task.seed)
    probed = sorted(rng.sample(everything, min(params.probe_prompts, len(everything))))
    opened[0].eval()
    places = choose(probe.rewards(task, params, opened, probed), params.easy_share, rng)
    opened[0].train()
    mix = Mix(tuple(probed[place] for place in places.varied), tuple(probed[place] for place in places.easy))
    log.info("Of %s probed prompts, %s vary in reward.", f"{len(probed):,}", f"{len(mix.varied):,}")
    write_json(kept, {"probed": len(probed), "varied": mix.varied, "easy": mix.easy})
    return mix


def own_sample(params: RlParams) -> Sample:
    """The sampler of this package, with the settings' longest completion and batch."""

    def sample(model: Any, tokenizer: Any, prompts: Any, n: int, temperature: float) -> list[list[str]]:
        from components.training.sampling import Sampling, draw_many

        stops = stop_tokens(model, tokenizer)
        sampling = Sampling(n, temperature, params.max_new_tokens, stops, tokenizer.pad_token_id)
        batch = max(1, params.device_batch_rollouts // n)
        groups = draw_many(model, encode_prompts(tokenizer, prompts), sampling, batch)
        return [tokenizer.batch_decode(group, skip_special_tokens=True) for group in groups]

    return sample


def stop_tokens(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Every token that ends a completion: the tokenizer's end token and those of the generation settings."""
    more: Any = model.generation_config.eos_token_id
    several: list[int] = more if isinstance(more, list) else [] if more is None else [more]
    return tuple(sorted({tokenizer.eos_token_id, *several}))
