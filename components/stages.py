"""The stages that DVC runs: `python -m components.stages NAME PROFILE` reads settings, calls one function.

Decides which settings and paths a stage gets; what it does is its component's business.
"""

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from components.errors import ConfigError, GradusError
from components.params import PretrainParams, load

PROFILES = Path("params/profiles")
MODELS = Path("models")
STATE = Path("state")


def pretrain(profile: str, *, fresh: bool = False) -> None:
    """Profile → `models/<profile>`: the base model, from its seed."""
    params = load(PROFILES / f"{profile}.yaml", PretrainParams, "pretrain")
    from components.base.pretrain import run

    run(params, MODELS / profile, STATE / "pretrain" / profile, fresh=fresh)


STAGES: dict[str, Callable[[str], None]] = {"pretrain": pretrain}


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
