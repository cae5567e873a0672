"""The stages of the embedded base model: pretraining and examination. Their argument is a profile's name."""

import json
import time
from pathlib import Path

from components.params import MidtrainParams, PretrainParams, load

PROFILES = Path("params/profiles")
MODELS = Path("models")
STATE = Path("state")
BENCHMARKS = Path("benchmarks")
EXAMINATION_N = 1000


def pretrain(profile: str, *, fresh: bool = False) -> None:
    """Profile → `models/<profile>`: train the base model from its seed, first on tidy worlds, then on untidy ones."""
    path, work = PROFILES / f"{profile}.yaml", STATE / "pretrain" / profile
    tidy, untidy = load(path, PretrainParams, "pretrain"), load(path, MidtrainParams, "midtrain")
    from components.base.pretrain import midtrain, run, was_made_by

    first = work / "tidy-model"
    if fresh or not was_made_by(tidy, first):
        run(tidy, first, work / "tidy", fresh=fresh)
    midtrain(untidy, first, MODELS / profile, work / "untidy", fresh=fresh)


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
