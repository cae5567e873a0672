"""The stages that DVC runs: `python -m components.stages NAME PROFILE` reads settings, calls one function.

Decides which settings and paths a stage gets; what it does is its component's business.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from components.errors import ConfigError, GradusError
from components.params import PretrainParams, load

PROFILES = Path("params/profiles")
MODELS = Path("models")
STATE = Path("state")
BENCHMARKS = Path("benchmarks")
EXAMINATION_N = 1000


def pretrain(profile: str, *, fresh: bool = False) -> None:
    """Profile → `models/<profile>`: the base model, from its seed."""
    params = load(PROFILES / f"{profile}.yaml", PretrainParams, "pretrain")
    from components.base.pretrain import run

    run(params, MODELS / profile, STATE / "pretrain" / profile, fresh=fresh)


def examine(profile: str) -> None:
    """`models/<profile>` → `benchmarks/<profile>.json` and the model card."""
    import torch

    from components.base import card, evaluate
    from components.base.pretrain import hardware

    model, scores, started = MODELS / profile, BENCHMARKS / f"{profile}.json", time.monotonic()
    rows = evaluate.run(model, n=EXAMINATION_N, seed=0)
    record = card.to_record(
        rows,
        command=f"python -m components.stages examine {profile}",
        machine=hardware(torch.device("cpu")),
        seed=0,
        seconds=time.monotonic() - started,
    )
    scores.parent.mkdir(exist_ok=True)
    scores.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    card.write(model, scores, BENCHMARKS / f"{profile}-trials.json")


STAGES: dict[str, Callable[[str], None]] = {"pretrain": pretrain, "examine": examine}


def main(arguments: list[str]) -> None:
    """Run one stage.

    Raises:
        ConfigError: The arguments name no stage, or not exactly one profile.
    """
    if len(arguments) != 2 or arguments[0] not in STAGES:
        raise ConfigError(f"expected NAME PROFILE with NAME one of {', '.join(STAGES)}, found {' '.join(arguments)!r}")
    STAGES[arguments[0]](arguments[1])


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        main(sys.argv[1:])
    except GradusError as error:
        sys.exit(f"error: {error}")
