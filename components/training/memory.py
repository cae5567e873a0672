"""How trainers are told to compute activations anew instead of keeping them, by the name that this transformers has."""

from dataclasses import fields
from typing import Any


def recomputed(wanted: bool) -> dict[str, Any]:
    """The trainer's argument: transformers 5.17, which vLLM wants, knows only the older name of it."""
    from transformers import TrainingArguments

    known = {one.name for one in fields(TrainingArguments)}
    new, old = "activation_checkpointing", "gradient_checkpointing"
    return {new if new in known else old: wanted}
