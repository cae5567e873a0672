"""Settings of the base model's training (sections `pretrain` and `midtrain` of a profile)."""

import hashlib
from typing import Literal

from pydantic import Field, model_validator

from components.params.loading import Settings


class TokenizerParams(Settings):
    """The tokenizer of the base model."""

    vocabulary: int = Field(ge=300, le=65_536)
    lessons: int = Field(ge=10, description="Generated lessons that the merges are counted on.")


class ArchitectureParams(Settings):
    """The architecture of the base model."""

    type: Literal["lfm2", "llama"]
    hidden_size: int = Field(ge=16)
    intermediate_size: int = Field(ge=16)
    heads: int = Field(ge=1)
    layers: tuple[Literal["conv", "attention"], ...] = Field(min_length=1)
    rope_theta: float = Field(gt=0)
    context_tokens: int = Field(ge=128)

    @model_validator(mode="after")
    def _fits(self) -> "ArchitectureParams":
        if self.hidden_size % self.heads:
            raise ValueError(f"hidden_size must be a multiple of heads ({self.heads}), found {self.hidden_size}")
        if self.type == "llama" and "conv" in self.layers:
            raise ValueError("a llama has attention layers only, found conv")
        return self


class CurriculumParams(Settings):
    """What is taught, and how fast it becomes hard."""

    weights: dict[str, float] = Field(min_length=1, description="Relative frequency of each skill.")
    full_difficulty_at: float = Field(gt=0, le=1, description="Share of training after which difficulty is full.")
    most_messages: int = Field(ge=1, le=8, description="Messages that share one prompt in a lesson.")


class OptimisationParams(Settings):
    """Tokens, batches, learning rates and checkpoints of the pretraining."""

    tokens: int = Field(ge=1_000, description="Padding included.")
    rows: int = Field(ge=1, description="Packed rows of one optimiser step.")
    row_tokens: int = Field(ge=128)
    muon_lr: float = Field(gt=0, description="For the matrices; scaled to match AdamW's update size.")
    adam_lr: float = Field(gt=0, description="For embeddings, norms and convolutions.")
    weight_decay: float = Field(ge=0)
    warmup_steps: int = Field(ge=0)
    decay_share: float = Field(ge=0, le=1, description="Last share of the steps, falling linearly to zero.")
    max_grad_norm: float = Field(gt=0)
    precision: Literal["auto", "bf16", "fp32"]
    compile: bool = Field(description="Fuse the layers with torch.compile where a compiler is found.")
    checkpoint_every_steps: int = Field(ge=1)
    probe_every_steps: int = Field(ge=1)
    probe_lessons: int = Field(ge=1, description="Held-out lessons of each skill in a probe.")


class RoughCurriculumParams(CurriculumParams):
    """A curriculum of which a part is untidy."""

    rough_share: float = Field(ge=0, le=1, description="Lessons whose prompts and messages are untidy.")


class PretrainParams(Settings):
    """All settings of the base model's first training, from a seed."""

    seed: int
    tokenizer: TokenizerParams
    architecture: ArchitectureParams
    curriculum: CurriculumParams
    optimisation: OptimisationParams

    def fingerprint(self) -> str:
        """A hash of every value: checkpoints of another fingerprint are refused."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


class MidtrainParams(Settings):
    """All settings of its second, short training, from the weights of the first."""

    seed: int
    curriculum: RoughCurriculumParams
    optimisation: OptimisationParams

    def fingerprint(self) -> str:
        """A hash of every value: checkpoints of another fingerprint are refused."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]
