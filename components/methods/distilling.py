"""TRL's distillation trainer with rollouts by the engine, and a teacher that may read another prompt than its student.

The student learns from the teacher's distribution over the whole vocabulary at each token of its own answers (Agarwal
et al. 2024, arXiv 2306.13649). A teacher with its own prompt reads the student's answer after that prompt.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from trl import DistillationTrainer
from trl.models import unwrap_model_for_generation

from components.records import Message
from components.training.encode import encode_prompts
from components.training.guard import Guarded
from components.training.precision import without_autocast
from components.training.sharding import gathered
from components.training.task import Draws, Sample, seed_of

ROW = "row"  # the data's and the batches' column with each prompt's place in train


def behind(
    prompts: Sequence[Sequence[int]], ids: Tensor, mask: Tensor, completion: int, pad: int
) -> tuple[Tensor, Tensor]:
    """(ids, mask) with each row's prompt replaced by its counterpart in `prompts`; rows are padded on the left.

    `ids` and `mask` are (B, P + C); the last C = `completion` columns are kept.
    """
    width = ids.shape[1] - completion
    longest = max(map(len, prompts))
    put = ids.new_tensor([[pad] * (longest - len(row)) + list(row) for row in prompts])
    seen = mask.new_tensor([[0] * (longest - len(row)) + [1] * len(row) for row in prompts])
    return torch.cat([put, ids[:, width:]], 1), torch.cat([seen, mask[:, width:]], 1)


class Distiller(Guarded, DistillationTrainer):
    """On-policy distillation; `sample` draws the student's answers.

    `teacher_prompts` has the teacher's prompt for each `ROW` as token ids; None if it is the student's.
    """

    sample: Sample
    teacher_prompts: Mapping[int, Sequence[int]] | None = None
    _taught: Sequence[Sequence[int]] = ()  # the teacher's prompts for the present batch

    def _tokenize_prompts(self, prompts: list[list[dict[str, str]]]) -> tuple[list[list[int]], None, dict[str, Any]]:
        """Encode as the engines do: names of control tokens in messages stay text."""
        own: Any = self
        return (
            encode_prompts(own._tokenizer, [[Message.model_validate(turn) for turn in prompt] for prompt in prompts]),
            None,
            {},
        )

    def _generate_single_turn(self, prompt_ids: Any, *args: Any, **kwargs: Any) -> Any:
        own: Any = self
        seed = seed_of(self.args.seed, self.state.global_step + 1, self.accelerator.process_index)
        draws = Draws(1, self.temperature, own.max_completion_length, seed)
        with (
            unwrap_model_for_generation(self.model_wrapped, self.accelerator) as model,
            gathered(model),
            without_autocast(model),
        ):
            groups = self.sample(model, own._tokenizer, prompt_ids, draws)
        return [group[0] for group in groups]

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        output[ROW] = output["prompt_ids"].new_tensor([line[ROW] for line in inputs])
        return output

    def _compute_loss(
        self, unwrapped_student: Any, inputs: dict[str, Any], num_items_in_batch: Any
    ) -> tuple[Tensor, Tensor, Tensor]:
        if self.teacher_prompts is not None:
            self._taught = [self.teacher_prompts[row] for row in inputs[ROW].tolist()]
        return super()._compute_loss(unwrapped_student, inputs, num_items_in_batch)

    def _get_last_hidden_state(
        self, unwrapped_model: Any, input_ids: Tensor, attention_mask: Tensor, logits_to_keep: int, **kwargs: Any
    ) -> Tensor:
        if self.teacher_prompts is not None and unwrapped_model is self.accelerator.unwrap_model(self.teacher_model):
            own: Any = self
            pad = own._tokenizer.pad_token_id
            input_ids, attention_mask = behind(self._taught, input_ids, attention_mask, logits_to_keep, pad)
        return super()._get_last_hidden_state(unwrapped_model, input_ids, attention_mask, logits_to_keep, **kwargs)
