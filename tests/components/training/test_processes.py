"""Two processes on one machine, over gloo: what several GPUs do, without them."""

import json
import math
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
HEAD = """
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
"""
SFT_AND_RL = """
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
PREFERENCES = """
from components.methods.dpo import DpoParams, Pair, train_dpo
from components.methods.kto import Answer, KtoParams, train_kto
from components.training.launch import once

given = once(lambda: once(lambda: f"prepared by {rank}"))
(work / f"given-{rank}").write_text(given)
shared = {"epochs": 2, "learning_rate": 0.01, "evaluations": 2}
pairs = [Pair(row, row.demonstration, "no") for row in rows]
answers = [Answer(row, text, good) for row in rows for text, good in ((row.demonstration, True), ("no", False))]
dpo = train_dpo(task("dpo"), DpoParams(**shared, batch_pairs=4, device_batch_pairs=2), pairs, 0.0, NullTracker())
kto = train_kto(task("kto"), KtoParams(**shared, batch_answers=8, device_batch_answers=4), answers, NullTracker())
if rank == 0:
    (work / "trained.json").write_text(json.dumps([dpo.model_dump(), kto.model_dump()]))
"""
TWO = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


def trained(
    command: list[str],
    base: Path,
    work: Path,
    extra: Mapping[str, str] = MappingProxyType({}),
    trainings: str = SFT_AND_RL,
) -> list[dict[str, Any]]:
    work.mkdir()
    (work / "script.py").write_text(HEAD + trainings)
    subprocess.run(
        [sys.executable, *command, str(work / "script.py"), str(base), str(work)],
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "PYTHONPATH": str(ROOT), **extra},
        check=True,
    )
    return json.loads((work / "trained.json").read_text())


@pytest.mark.slow
def test_two_processes_train_as_one_does(model_folder: Callable[..., Path], tmp_path: Path) -> None:
    single = trained([], model_folder(), tmp_path / "one")
    double = trained(TWO, model_folder(), tmp_path / "two")
    for alone, together in zip(single, double, strict=True):
        assert together["dev_score"] == alone["dev_score"] == 0.1
        assert together["steps"] == alone["steps"]
    shared_out = trained(TWO, model_folder(), tmp_path / "shared", SETTINGS)
    losses = [[value for _, value in run[0]["curves"]["loss"]] for run in (single, double, shared_out)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert losses[2] == pytest.approx(losses[0], rel=1e-4)
    assert shared_out[1]["curves"].keys() == single[1]["curves"].keys()  # RL draws other rollouts on each process
    assert double[1]["curves"].keys() == single[1]["curves"].keys()


@pytest.mark.slow
def test_two_processes_learn_from_preferences_as_one_does(model_folder: Callable[..., Path], tmp_path: Path) -> None:
    for name, command in (("one", []), ("two", TWO)):
        dpo, kto = trained(command, model_folder(), tmp_path / name, trainings=PREFERENCES)
        assert (dpo["steps"], kto["steps"], dpo["dev_score"], kto["dev_score"]) == (4, 4, 0.1, 0.1)
        # Before the first step the model is the one that it is compared with, whichever process computed that:
        # -log sigmoid(0) of each pair, 1 - sigmoid(0) of each answer.
        assert dpo["curves"]["loss"][0][1] == pytest.approx(math.log(2), rel=1e-3)
        assert kto["curves"]["loss"][0][1] == pytest.approx(0.5, rel=1e-2)
        assert dpo["prepared"] > 0 and kto["prepared"] > 0
    assert {path.name: path.read_text() for path in tmp_path.glob("*/given-*")} == {
        "given-0": "prepared by 0", "given-1": "prepared by 0",
    }  # fmt: skip
