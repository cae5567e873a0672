"""The stages of the embedded base model: its pretraining and its examination. Their argument is a profile."""

import json
import time
from pathlib import Path

from components.params import MidtrainParams, PretrainParams, load

PROFILES = Path("params/profiles")
MODELS = Path("models")
STATE = Path("state")
ARTIFACTS = Path("artifacts")
BENCHMARKS = Path("benchmarks")
EXAMINATION_N = 1000


def pretrain(profile: str, *, fresh: bool = False) -> None:
    """Profile → `artifacts/<profile>/pretrained`: the base model, from its seed."""
    params = load(PROFILES / f"{profile}.yaml", PretrainParams, "pretrain")
    from components.base.pretrain import run

    run(params, ARTIFACTS / profile / "pretrained", STATE / "pretrain" / profile, fresh=fresh)


def midtrain(profile: str, *, fresh: bool = False) -> None:
    """`artifacts/<profile>/pretrained` → `models/<profile>`: the base model after its second, short training."""
    params = load(PROFILES / f"{profile}.yaml", MidtrainParams, "midtrain")
    from components.base import pretrain

    start = ARTIFACTS / profile / "pretrained"
    pretrain.midtrain(params, start, MODELS / profile, STATE / "midtrain" / profile, fresh=fresh)


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
