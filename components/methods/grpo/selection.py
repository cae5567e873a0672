"""Chooses the prompts for reinforcement learning, by the rewards that the starting model earned on them.

A group whose completions all have the same reward gives no advantage to learn from (GRPO normalises within the group),
so prompts with varying rewards come first. Some of the others stay, so that nothing known is unlearned.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Mix:
    """Indices of prompts whose rewards vary, the most varied first, and of those mixed in from the rest.

    `seconds` is how long it took to find them.
    """

    varied: tuple[int, ...]
    easy: tuple[int, ...]
    seconds: float = 0.0


def variance(rewards: Sequence[float]) -> float:
    """Population variance; 0 for one reward or none."""
    if not rewards:
        return 0.0
    mean = sum(rewards) / len(rewards)
    return sum((reward - mean) ** 2 for reward in rewards) / len(rewards)


def choose(rewards_P_G: Sequence[Sequence[float]], easy_share: float, rng: random.Random) -> Mix:
    """Choose prompts by the rewards of their probed completions.

    `easy_share` of the mix, in [0, 1), is drawn from the prompts without variance; if no prompt varies, all of it is.
    """
    spread = [variance(rewards) for rewards in rewards_P_G]
    varied = sorted((i for i, value in enumerate(spread) if value > 1e-12), key=lambda i: -spread[i])
    rest = [i for i, value in enumerate(spread) if value <= 1e-12]
    rng.shuffle(rest)
    wanted = round(len(varied) * easy_share / (1 - easy_share)) if varied else len(rest)
    return Mix(tuple(varied), tuple(rest[:wanted]))


def schedule(mix: Mix, prompts: int, rng: random.Random) -> list[int]:
    """`prompts` indices in training order: shuffled passes over the mix; a partial pass takes the most varied."""
    order: list[int] = []
    while len(order) < prompts:
        left = prompts - len(order)
        full = [*mix.varied, *mix.easy]
        if left < len(full):
            easy = round(left * len(mix.easy) / len(full))
            full = [*mix.varied[: left - easy], *mix.easy[:easy]]
        rng.shuffle(full)
        order += full
    return order
