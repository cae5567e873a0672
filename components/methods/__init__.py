"""Methods: the ways in which a rung is made, behind one contract. No other package names one of them.

Decides which names a ladder may use; `module:Class` names a method of one's own.
"""

import importlib
from functools import cache
from typing import Any

from components.errors import ConfigError
from components.methods.contract import Made, Method
from components.methods.job import Job
from components.params import RungParams
from components.records import RungResult

NAMES = {
    "classical": "components.methods.classical:Classical",
    "prompt": "components.methods.prompt:WrittenPrompt",
    "few_shot": "components.methods.few_shot:FewShot",
    "gepa": "components.methods.gepa:Gepa",
    "sft": "components.methods.sft:Sft",
    "rejection_sampling": "components.methods.rejection_sampling:RejectionSampling",
    "dpo": "components.methods.dpo:Dpo",
    "weighted_sft": "components.methods.weighted_sft:WeightedSft",
    "kto": "components.methods.kto:Kto",
    "grpo": "components.methods.grpo:Grpo",
    "relabel": "components.methods.relabel:Relabel",
    "synthetic": "components.methods.synthetic:Synthetic",
    "teacher_answers": "components.methods.teacher_answers:TeacherAnswers",
    "on_policy_distillation": "components.methods.on_policy_distillation:OnPolicyDistillation",
    "judged_grpo": "components.methods.judged_grpo:JudgedGrpo",
    "prompt_distillation": "components.methods.prompt_distillation:PromptDistillation",
}
ADVISED = {"imitate": "sft", "reward": "grpo", "pairs": "dpo", "thumbs": "kto"}
"""Advice's words for these methods, by what they learn from; for other methods it uses their own names."""
BY_RL = ("grpo", "judged_grpo")
"""Methods that train by RL, which the workload's sealed scorer watches."""
MEMBERS = ("label", "makes", "params", "needs", "make")

__all__ = ["ADVISED", "NAMES", "Job", "Made", "Method", "advised_as", "label_of", "method_of", "trains_by_rl"]


@cache
def method_of(name: str) -> Method:
    """The method of a name: one of `NAMES`, or `module:Class`.

    Raises:
        ConfigError: There is no such class, or it is not a method.
    """
    address = NAMES.get(name, name)
    module, colon, attribute = address.partition(":")
    try:
        method: Any = getattr(importlib.import_module(module), attribute)() if colon else None
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ConfigError(f"method must be one of {', '.join(NAMES)} or module:Class, found {name}: {error}") from error
    if method is None:
        raise ConfigError(f"method must be one of {', '.join(NAMES)} or module:Class, found {name}")
    if missing := [member for member in MEMBERS if not hasattr(method, member)]:
        raise ConfigError(f"expected the method {name} to have {', '.join(MEMBERS)}, found no {missing[0]}")
    return method


def label_of(name: str) -> str:
    """What reports call a method; its own name where it cannot be imported any more."""
    try:
        return method_of(name).label
    except ConfigError:
        return name


def trains_by_rl(name: str) -> bool:
    """Whether a method of this name trains by RL, as far as is known: of methods of one's own it is not."""
    return name in BY_RL


def advised_as(rung: RungResult | RungParams) -> str:
    """What advice calls a rung's method."""
    return next((word for word, method in ADVISED.items() if method == rung.method), rung.method)
