"""The trainer's setting to recompute activations instead of storing them, whose name depends on transformers."""

from dataclasses import fields
from typing import Any


def recomputed(enabled: bool) -> dict[str, Any]:
    """The trainer's argument; transformers 5.17, which vLLM requires, has only its older name."""
    from transformers import TrainingArguments

    names = {field.name for field in fields(TrainingArguments)}
    new, old = "activation_checkpointing", "gradient_checkpointing"
    return {new if new in names else old: enabled}
