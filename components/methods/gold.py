"""On-policy distillation from a teacher with another vocabulary (GOLD, Patiño et al. 2025), by the loss of TRL.

The teacher reads the student's answer as its own tokens. Both are cut where their tokens end at the same byte, and the
distributions over the next piece are compared: tokens that both vocabularies have by name, all others by rank (Boizard
et al. 2024, arXiv 2402.12030). A piece of several tokens has the product of their probabilities.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate, chain
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from trl.experimental.gold.gold_trainer import ULDLoss
from trl.experimental.utils import is_byte_level_tokenizer, piece_byte_len
from trl.trainer.utils import entropy_from_logits

from components.errors import TrainingError
from components.methods.distilling import ROW, Distiller
from components.training.encode import IGNORED, encode_answers


def require_bytes(tokenizer: Any) -> None:
    """Raises TrainingError unless the tokens are sequences of bytes, whose ends can be compared."""
    if not (tokenizer.is_fast and is_byte_level_tokenizer(tokenizer.backend_tokenizer)):
        raise TrainingError(
            "expected byte-level tokens in both vocabularies, which are not the same, found others; use "
            f"teacher_answers ({tokenizer.name_or_path})"
        )


def byte_spans(tokenizer: Any, ids: Sequence[int]) -> list[tuple[int, int]]:
    """The first and the last byte, exclusive, of each token in what the tokens say; control tokens have no width."""
    control = set(tokenizer.all_special_ids)
    pieces = tokenizer.convert_ids_to_tokens(list(ids))
    widths = [0 if token in control else piece_byte_len(piece) for token, piece in zip(ids, pieces, strict=True)]
    ends = list(accumulate(widths))
    return [(end - width, end) for end, width in zip(ends, widths, strict=True)]


class OtherVocabularyDistiller(Distiller):
    """On-policy distillation towards a teacher that reads and writes other tokens.

    `teacher_prompts` has the teacher's prompt for each `ROW`, in the teacher's tokens.
    """

    teacher_tokenizer: Any

    def learn_from(self, model: Any, tokenizer: Any, prompts: Mapping[int, Sequence[int]]) -> None:
        """Set the teacher: TRL's trainer takes none with another vocabulary."""
        self.teacher_model = self.accelerator.prepare_model(model, evaluation_mode=True).eval()
        self.teacher_tokenizer, self.teacher_prompts = tokenizer, prompts
        own: Any = self
        settings: Any = SimpleNamespace(
            beta=self.beta, use_extended_uld=True, uld_token_merge_strategy="bayesian", uld_crossentropy_weight=0.0,
            uld_distillation_weight=1.0, uld_student_temperature=self.temperature,
            uld_teacher_temperature=self.temperature, uld_skip_student_eos=False, uld_skip_teacher_eos=False,
            uld_use_hybrid_loss=True, uld_hybrid_matched_weight=1.0, uld_hybrid_unmatched_weight=1.0,
        )  # fmt: skip
        self.divergence = ULDLoss(settings, own._tokenizer, tokenizer, self.accelerator.device)

    def _compute_loss(
        self, unwrapped_student: Any, inputs: dict[str, Any], num_items_in_batch: Any
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(loss, summed entropy in nats, tokens): the divergence of each piece, averaged as the trainer's others."""
        own: Any = self
        assert self.teacher_prompts is not None
        written = _rows(inputs["completion_ids"], inputs["completion_mask"])
        compared, read = zip(*map(self._as_teacher, written), strict=True)
        asked = _rows(inputs["prompt_ids"], inputs["prompt_mask"])
        taught = [list(self.teacher_prompts[row]) for row in inputs[ROW].tolist()]
        logits = self._logits(unwrapped_student, own._tokenizer, asked, written)
        with torch.no_grad():
            wanted = self._logits(self.teacher_model, self.teacher_tokenizer, taught, list(read))
        total, entropy = logits.sum() * 0.0, logits.new_zeros(())
        for row, (mine, theirs) in enumerate(zip(compared, read, strict=True)):
            entropy += entropy_from_logits(logits[row, : len(written[row])].detach()).sum()
            if theirs:
                student = _side(logits[row], mine, own._tokenizer)
                teacher = _side(wanted[row], theirs, self.teacher_tokenizer)
                total = total + len(mine) * self.divergence(*chain(*zip(student, teacher, strict=True)))
        tokens = inputs["completion_mask"].sum()
        return total / (tokens if num_items_in_batch is None else num_items_in_batch), entropy, tokens

    def _as_teacher(self, ids: list[int]) -> tuple[list[int], list[int]]:
        """What of a completion is text, from its start on, in the student's tokens and in the teacher's."""
        own: Any = self
        tokenizer, special = own._tokenizer, set(own._tokenizer.all_special_ids)
        control = next((place for place, token in enumerate(ids) if token in special), len(ids))
        ends = [0, *(end for _, end in byte_spans(tokenizer, ids[:control]))]
        size, text = next(
            (size, text)
            for size in range(control, -1, -1)
            if len((text := tokenizer.decode(ids[:size])).encode()) == ends[size]
        )
        ended = size == control < len(ids) and ids[control] == tokenizer.eos_token_id
        (answer,) = encode_answers(self.teacher_tokenizer, [text])
        return ids[: size + ended], list(answer) if ended else list(answer)[:-1]

    def _logits(self, model: Any, tokenizer: Any, prompts: list[list[int]], answers: list[list[int]]) -> Tensor:
        """The logits (B, C, V) of which token c of each answer was drawn."""
        left, right = max(map(len, prompts)), max(map(len, answers))
        pad, rows = tokenizer.pad_token_id or 0, list(zip(prompts, answers, strict=True))
        ids = [[pad] * (left - len(p)) + p + a + [pad] * (right - len(a)) for p, a in rows]
        mask = [[0] * (left - len(p)) + [1] * (len(p) + len(a)) + [0] * (right - len(a)) for p, a in rows]
        inputs = {"input_ids": ids, "attention_mask": mask}
        tensors = {name: torch.tensor(each, device=self.accelerator.device) for name, each in inputs.items()}
        return model(**tensors, use_cache=False, logits_to_keep=right + 1).logits[:, :-1].float()


def _rows(ids: Tensor, mask: Tensor) -> list[list[int]]:
    """Each row without its padding."""
    return [row[seen].tolist() for row, seen in zip(ids, mask.bool(), strict=True)]


def _side(logits_CV: Tensor, ids: list[int], tokenizer: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What TRL's loss wants of a side, as a batch of one: logits, labels, ids and spans; the prompt is one token."""
    device = logits_CV.device
    labels = torch.tensor([[IGNORED, *ids]], device=device)
    spans = torch.tensor([[(0, 0), *byte_spans(tokenizer, ids)]], device=device)
    return logits_CV[None], labels, torch.tensor([[0, *ids]], device=device), spans
