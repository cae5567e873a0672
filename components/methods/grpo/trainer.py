"""TRL's GRPO trainer with cheaper rollouts and cheaper steps that have the same gradient.

Where TRL generates by transformers, the caller's engine draws the completions. Where the loss is the plain clipped
objective (no KL term, no correction for another sampler) and the policy is the one that sampled, the gradient is linear
in the advantages: a completion with advantage 0 adds nothing, and equal completions of a prompt add up. So each
distinct completion with an advantage is computed once; TRL's normaliser, the number of all completion tokens, stays.
Logits are computed only for completions. KL against the starting policy is also measured where it is not part of the
loss; entropy is that of completions with an advantage. Not supported: the balancing loss of mixture-of-experts models.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from trl import GRPOTrainer
from trl.models import unwrap_model_for_generation
from trl.trainer.utils import entropy_from_logits

from components.records import Message
from components.training.encode import encode_prompts
from components.training.guard import Guarded
from components.training.precision import without_autocast
from components.training.sharding import gathered
from components.training.task import Draws, Sample, seed_of

TOOL_MASK = "tool_mask"  # TRL's name: 1 for sampled tokens, 0 for those of the environment; absent without one
KL_ROLLOUTS = 32  # of one step, on which the KL is estimated


def distinct_rows(ids: Tensor, advantages: Tensor) -> tuple[Tensor, Tensor]:
    """(first index, summed advantage) of each distinct row of (B, T) ids with an advantage.

    If no row has one, the first row with advantage 0: every process must compute something.
    """
    useful = (advantages != 0).nonzero()[:, 0]
    if not len(useful):
        return torch.zeros(1, dtype=torch.long, device=ids.device), advantages[:1]
    _, group = torch.unique(ids[useful], dim=0, return_inverse=True)
    kinds = int(group.max()) + 1
    first = useful.new_full((kinds,), len(useful)).scatter_reduce_(
        0, group, torch.arange(len(useful), device=ids.device), "amin"
    )
    return useful[first], advantages.new_zeros(kinds).index_add_(0, group, advantages[useful])


def merged_advantages(ids: Tensor, advantages: Tensor) -> Tensor:
    """Advantages (B,) in which the first of equal rows has their sum, and the others have 0."""
    rows, sums = distinct_rows(ids, advantages)
    return torch.zeros_like(advantages).index_copy_(0, rows, sums)


def cropped(inputs: dict[str, Any]) -> dict[str, Any]:
    """The rows without columns that are padding in all of them."""
    prompt, completion = inputs["prompt_mask"].any(0), inputs["completion_mask"].any(0)
    start, end = int(prompt.int().argmax()), int(completion.sum())
    left = {name: inputs[name][:, start:] for name in ("prompt_ids", "prompt_mask")}
    right = {name: inputs[name][:, :end] for name in ("completion_ids", "completion_mask", TOOL_MASK) if name in inputs}
    return {**inputs, **left, **right}


def sampled_mask(inputs: dict[str, Any]) -> Tensor:
    """(B, C), 1 where the policy sampled the token, 0 for padding and the environment's tokens."""
    mask: Tensor = inputs["completion_mask"]
    return mask * inputs[TOOL_MASK] if TOOL_MASK in inputs else mask


class RolloutTrainer(Guarded, GRPOTrainer):
    """GRPO; `sample` draws completions, `reference` scores them with the starting policy at the steps of `measure`."""

    sample: Sample
    reference: Callable[..., Tensor]
    measure: Callable[[int], bool]
    drawn_for: list[dict[str, Any]]  # the data rows whose rollouts are being drawn
    _turns: tuple[int, int] = (-1, 0)  # the step that was last drawn for, and how often

    def _tokenize_prompts(self, prompts: list[list[dict[str, str]]]) -> tuple[list[list[int]], None, dict[str, Any]]:
        """Encode as the engines do: names of control tokens in messages stay text."""
        own: Any = self
        return (
            encode_prompts(own._tokenizer, [[Message.model_validate(turn) for turn in prompt] for prompt in prompts]),
            None,
            {},
        )

    def _generate_single_turn(self, prompt_ids: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        if self.use_vllm:
            return super()._generate_single_turn(prompt_ids, *args, **kwargs)
        # TRL repeats each prompt for its group, in a row, as far as the process's share of the batch goes.
        own: Any = self  # its attributes are typed by the union of all that a caller may pass
        unique, n = _groups(prompt_ids, own.num_generations)
        seed = self.step_seed()
        draws = Draws(n, self.temperature, own.max_completion_length, seed)
        with (
            unwrap_model_for_generation(self.model_wrapped, self.accelerator) as model,
            gathered(model),
            without_autocast(model),
        ):
            groups = self.sample(model, own._tokenizer, unique, draws)
        return [completion for group in groups for completion in group], None

    def step_seed(self) -> int:
        """A new seed for each turn of a step: the same seed would draw the same numbers."""
        step = self.state.global_step + 1
        turn = self._turns[1] if self._turns[0] == step else 0
        self._turns = step, turn + 1
        return seed_of(self.args.seed, step, self.accelerator.process_index, turn)

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        """Rollouts with merged advantages; merged here, since TRL shuffles before it cuts micro-batches."""
        self.drawn_for = inputs
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        if self._on_policy(output):
            output["advantages"] = merged_advantages(_joined(output)[0], output["advantages"])
        return output

    def _on_policy(self, inputs: dict[str, Any]) -> bool:
        """Whether the objective is plain and the policy itself sampled, with this package's sampler."""
        corrected = self.beta != 0.0 or self.num_iterations > 1 or "old_per_token_logps" in inputs
        return not corrected and not self.use_vllm

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        if model.training and self.beta == 0.0 and self.measure(self.state.global_step + 1):
            self._metrics["train"]["kl"].append(self._measured_kl(model, inputs))
        if not self._on_policy(inputs):
            return super()._compute_loss(model, inputs)
        return self._on_policy_loss(model, inputs)

    def _on_policy_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        """The clipped objective where the policy itself sampled: the ratio is 1, within every clip."""
        rows, advantages = distinct_rows(_joined(inputs)[0], inputs["advantages"])
        names = ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask", TOOL_MASK)
        inputs = cropped({**inputs, **{name: inputs[name][rows] for name in names if name in inputs}})
        ids, mask, width = _joined(inputs)
        log_p, entropy = self._score(model, ids, mask, width)
        weights = sampled_mask(inputs)
        self._metrics["train"]["entropy"].append(_mean(entropy, weights))
        gained = (log_p - log_p.detach()).exp() * advantages[:, None] * weights
        # As in TRL: tokens of the whole generation batch, rescaled to one accumulation window of one process.
        settings: Any = self.args
        windows = self.current_gradient_accumulation_steps / settings.steps_per_generation
        tokens = inputs["num_items_in_batch"].clamp(min=1) / self.accelerator.num_processes * windows
        return -gained.sum() / tokens

    def _score(self, model: Any, ids: Tensor, mask: Tensor, width: int) -> tuple[Tensor, Tensor]:
        """Log-probabilities and entropies in nats (B, C) of the last C = `width` tokens at the sampling temperature."""
        with self.accelerator.autocast():
            logits = model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=width + 1).logits[:, :-1]
        log_p = (logits.float() / self.temperature).log_softmax(-1)
        with torch.no_grad():
            entropy = entropy_from_logits(log_p)
        return log_p.gather(-1, ids[:, -width:, None])[..., 0], entropy

    @torch.no_grad()
    def _measured_kl(self, model: Any, inputs: dict[str, Any]) -> float:
        """Mean over tokens of exp(r) - r - 1, r the log-ratio of reference to policy (Schulman's k3, as in GRPO)."""
        few = cropped({name: value[:KL_ROLLOUTS] for name, value in inputs.items() if name.endswith(("ids", "mask"))})
        batch = _joined(few)
        ratio = self.reference(self._score, *batch)[0] - self._score(model, *batch)[0]
        return _mean(ratio.exp() - ratio - 1, sampled_mask(few))


def _mean(values: Tensor, weights: Tensor) -> float:
    """The weighted mean; 0 if all weights are 0."""
    return float((values * weights).sum() / weights.sum().clamp(min=1))


def _joined(inputs: dict[str, Any]) -> tuple[Tensor, Tensor, int]:
    """(ids, mask) (B, P + C) of prompts and completions, and C."""
    ids, mask = (torch.cat([inputs[f"prompt_{kind}"], inputs[f"completion_{kind}"]], 1) for kind in ("ids", "mask"))
    return ids, mask, inputs["completion_ids"].shape[1]


def _groups(prompts: list[list[int]], generations: int) -> tuple[list[list[int]], int]:
    """(prompts, completions of each): one prompt a group if the batch is whole groups, else one a row."""
    starts = range(0, len(prompts), generations)
    whole = len(prompts) % generations == 0
    if whole and all(prompts[i] == prompts[i + k] for i in starts for k in range(generations)):
        return [prompts[i] for i in starts], generations
    return prompts, 1
