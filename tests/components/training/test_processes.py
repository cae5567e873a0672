"""Two processes on one machine, over gloo: what several GPUs do, without them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from components.training.sharding import SETTINGS

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """
import json, os, sys
from pathlib import Path
from components.engines import Sampling
from components.engines.transformers_engine import TransformersEngine
from components.methods.grpo.settings import GrpoParams
from components.methods.sft.settings import SftParams
from components.prompts import Prompt
from components.records import Example
from components.tracking import NullTracker
from components.training import TrainingTask
from components.methods.grpo.training import train_rl
from components.methods.sft.training import train_sft

base, work = map(Path, sys.argv[1:])
rank = int(os.environ.get("LOCAL_RANK", 0))
rows = [Example(id=str(n), input={"text": "box " * (n + 1)}, demonstration=str(n), reference="", group=str(n))
        for n in range(8)]

def task(name):
    score = lambda model, tokenizer: 0.1 + rank  # only the main process's counts
    return TrainingTask(base, rows, Prompt("p", "", "{text}"), score, 1, work / name, work / (name + "-out"), "fp32")

def reward(examples, completions):
    return [sum(letter.isalpha() for letter in text) / 6 for text in completions]

def sample(model, tokenizer, prompts, draws):
    sampling = Sampling(temperature=draws.temperature, n=draws.n, max_new_tokens=draws.max_new_tokens, seed=draws.seed)
    return TransformersEngine(model, tokenizer).draw(prompts, sampling)

sft = train_sft(task("sft"), SftParams(epochs=2, learning_rate=0.01, batch_examples=4, device_batch_examples=2,
                                       evaluations=2, max_tokens=200), NullTracker())
rl = train_rl(task("rl"), GrpoParams(steps=3, learning_rate=0.01, prompts_per_step=2, generations=4,
                                   device_batch_rollouts=4, max_new_tokens=6, probe_prompts=6, evaluations=3),
              reward, NullTracker(), sample)
if rank == 0:
    (work / "trained.json").write_text(json.dumps([sft.model_dump(), rl.model_dump()]))
"""


def trained(
    command: list[str], base: Path, work: Path, extra: Mapping[str, str] = MappingProxyType({})
) -> list[dict[str, Any]]:
    work.mkdir()
    (work / "script.py").write_text(SCRIPT)
    subprocess.run(
        [sys.executable, *command, str(work / "script.py"), str(base), str(work)],
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "PYTHONPATH": str(ROOT), **extra},
        check=True,
    )
    return json.loads((work / "trained.json").read_text())


@pytest.mark.slow
def test_two_processes_train_as_one_does(model_folder: Callable[..., Path], tmp_path: Path) -> None:
    single = trained([], model_folder(), tmp_path / "one")
    double = trained(
        ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"], model_folder(), tmp_path / "two"
    )
    for alone, together in zip(single, double, strict=True):
        assert together["dev_score"] == alone["dev_score"] == 0.1
        assert together["steps"] == alone["steps"]
    shared_out = trained(
        ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"], model_folder(), tmp_path / "shared",
        SETTINGS,
    )  # fmt: skip
    losses = [[value for _, value in run[0]["curves"]["loss"]] for run in (single, double, shared_out)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert losses[2] == pytest.approx(losses[0], rel=1e-4)
    assert shared_out[1]["curves"].keys() == single[1]["curves"].keys()  # RL draws other rollouts on each process
    assert double[1]["curves"].keys() == single[1]["curves"].keys()
