"""Settings of `sft`."""

from typing import Literal

from pydantic import Field

from components.params import LoraParams, Settings


class SftParams(Settings):
    """Supervised fine-tuning on demonstrations. `dev_examples` and `max_tokens` default to the profile's."""

    lora: LoraParams | None = Field(default=None, description="None trains all weights.")
    optimiser: Literal["adamw", "muon"] = Field(
        default="adamw",
        description="Muon is for full fine-tuning: a small model learns in fewer steps.",
    )
    epochs: float = Field(gt=0)
    learning_rate: float = Field(gt=0)
    batch_examples: int = Field(ge=1, description="Of one optimiser step, over all devices.")
    device_batch_examples: int = Field(ge=1)
    packed_tokens: int | None = Field(
        default=None,
        ge=32,
        description="Examples are packed into rows of this many tokens, or of max_tokens if that is more, and the "
        "layers are compiled for this shape if there is a C++ compiler: 1.5 times as fast on a GPU and on CPUs with "
        "AVX-512 BF16, a tenth faster on others. For training in one process, and for models that do not scale or "
        "cap their logits.",
    )
    warmup_share: float = Field(default=0.05, ge=0, le=1)
    weight_decay: float = Field(default=0.0, ge=0)
    evaluations: int = Field(default=8, ge=1, description="Checkpoints scored on dev, spread over the training.")
    patience: int = Field(default=3, ge=1, description="Evaluations without a better dev score before it stops.")
    dev_examples: int = Field(default=500, ge=1)
    max_tokens: int = Field(ge=32, description="Of prompt and completion together; longer examples are refused.")
    gradient_checkpointing: bool = False
