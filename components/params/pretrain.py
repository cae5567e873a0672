"""Settings of the base model's training (sections `pretrain` and `midtrain` of a profile)."""

import hashlib
from typing import Literal

from pydantic import Field, model_validator

from components.params.loading import Settings


class TokenizerParams(Settings):
    """The tokenizer of the base model."""

    vocabulary: int = Field(ge=300, le=65_536)
    lessons: int = Field(ge=10, description="Generated lessons that the merges are counted on.")
    joined: bool = Field(default=False, description="Words hold the blank before them, as twins of those without.")
    senses: bool = Field(default=False, description="Embeddings start from what a larger model knows of words.")


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
    full_difficulty_at: float = Field(gt=0, le=1, description="Share of training after which nothing is withheld.")
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


class PhaseParams(RoughCurriculumParams):
    """What is taught up to a share of the time."""

    until: float = Field(gt=0, le=1, description="Share of the training's time.")


class ClockParams(Settings):
    """A training that ends by the clock: batches, rates, and what is saved when."""

    rows: int = Field(ge=1, description="Packed rows of one optimiser step.")
    row_tokens: int = Field(ge=128)
    muon_lr: float = Field(gt=0, description="For the matrices; scaled to match AdamW's update size.")
    adam_lr: float = Field(gt=0, description="For embeddings, norms and convolutions.")
    weight_decay: float = Field(ge=0)
    warmup_steps: int = Field(ge=0)
    decay_share: float = Field(gt=0, le=1, description="Last share of the time, falling linearly to zero.")
    max_grad_norm: float = Field(gt=0)
    saves: tuple[float, ...] = Field(description="Shares of the time at which the model is probed and saved.")
    probe_lessons: int = Field(ge=1, description="Held-out lessons of each skill in a probe.")
    most_uses: int = Field(ge=1, description="How often a row may be seen while the generators lag behind.")


class ClockedParams(Settings):
    """Everything that decides a training by the clock but the machine's speed."""

    seed: int
    tokenizer: TokenizerParams
    architecture: ArchitectureParams
    phases: tuple[PhaseParams, ...] = Field(min_length=1)
    clock: ClockParams

    @model_validator(mode="after")
    def _to_the_end(self) -> "ClockedParams":
        ends = [phase.until for phase in self.phases]
        if ends != sorted(ends) or ends[-1] != 1.0:
            raise ValueError(f"phases must end one after the other, the last at 1.0, found {ends}")
        return self

    def fingerprint(self) -> str:
        """A hash of every value."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


class PretrainParams(Settings):
    """Everything that decides the base model's first training, from a seed."""

    seed: int
    tokenizer: TokenizerParams
    architecture: ArchitectureParams
    curriculum: CurriculumParams
    optimisation: OptimisationParams

    def fingerprint(self) -> str:
        """A hash of every value: checkpoints of another fingerprint are refused."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


class MidtrainParams(Settings):
    """Everything that decides its second, short training, from the weights of the first."""

    seed: int
    curriculum: RoughCurriculumParams
    optimisation: OptimisationParams

    def fingerprint(self) -> str:
        """A hash of every value: checkpoints of another fingerprint are refused."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]
