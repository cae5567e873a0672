"""The stages that make rungs: classical, prompts, SFT and RL. Each leaves a folder with a `result.json`.

Decides what each rung is made from and which prompt counts as the best; how it is made is its component's business.
"""

import logging
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from components.data.prepare import DataReport
from components.engines import open_prompting
from components.evaluation import accuracy
from components.evaluation import classical as classifiers
from components.params import Settings
from components.prompts import Prompt
from components.records import Record, Rung, read_record, write_record
from components.registry import register_prompt
from components.scorers import JsonSchemaScorer
from components.stages.answers import MODEL, ask, dev_look, dev_score, draw, score
from components.stages.certified import require_permit
from components.stages.rewards import reward
from components.stages.run import PROMPTS, Run, digest, git_commit
from components.tracking import Tracker
from components.training import Trained, TrainingTask, train_rl, train_sft
from components.training.launch import launch

RESULT = "result.json"
CLASSICAL, SFT, GRPO = "classical", "sft", "grpo"
HACKED = "%s: stopped at step %s: reward %.3f to %.3f, sealed score %.3f to %.3f; the weights of step %s are kept."
log = logging.getLogger(__name__)


class PromptChoice(Record):
    """Accuracy and validity of each prompt on dev, in the order of the workload, and the best one's name."""

    best: str
    dev_accuracy: dict[str, float]
    dev_validity: dict[str, float]


def rung(run: Run, name: str) -> Rung:
    """A rung that was made."""
    return read_record(run.rung_folder(name) / RESULT, Rung)


def best_prompt(run: Run) -> str:
    """The prompt that was best on dev."""
    return read_record(run.folder / "prompts" / "choice.json", PromptChoice).best


def classical(run: Run, tracker: Tracker) -> None:
    """TF-IDF and a linear model on the demonstrations: the honest floor."""
    started = time.monotonic()
    fitted = classifiers.fit(run.examples("train"), run.workload.output, run.columns)
    folder = run.rung_folder(CLASSICAL)
    fitted.save(folder)
    seconds = time.monotonic() - started
    dev = run.examples("dev")
    found = accuracy(score(run, dev, fitted.predict(dev)).values()).value
    _write(run, tracker, name=CLASSICAL, method="classical", parent=None, seconds=seconds, dev_score=found)
    tracker.metrics({"classical/dev_accuracy": found})


def prompts(run: Run, tracker: Tracker) -> None:
    """Every prompt version on dev: the most accurate one is chosen, of equally accurate ones the most valid.

    All are registered in MLflow, the chosen one as `best`, that of trained rungs as `trained`.
    """
    dev = run.examples("dev")[: run.profile.sft.dev_examples]
    engine, parent = open_prompting(run.profile, run.workload.incumbent), None
    schema = JsonSchemaScorer(run.workload.output)
    found: dict[str, float] = {}
    valid: dict[str, float] = {}
    for name in run.workload.prompts:
        started, prompt = time.monotonic(), run.prompt(name)
        log.info("Prompt %s: %s dev examples.", name, f"{len(dev):,}")
        completions = ask(run, engine, prompt, dev).completions
        found[name] = accuracy(score(run, dev, completions).values()).value
        valid[name] = accuracy(schema.score(*pair) for pair in zip(dev, completions, strict=True)).value
        seconds = time.monotonic() - started
        folder = run.rung_folder(name)
        _write(
            run, tracker, prompt=prompt,
            name=name, method="prompt", parent=parent, seconds=seconds, dev_score=found[name],
        )  # fmt: skip
        shutil.copyfile(PROMPTS / run.workload.name / f"{name}.md", folder / "prompt.md")
        parent = name
    # Of equals the last: the later version says more, which is what SFT's parent is compared with.
    best = max(reversed(found), key=lambda name: (found[name], valid[name]))
    choice = PromptChoice(best=best, dev_accuracy=found, dev_validity=valid)
    write_record(run.folder / "prompts" / "choice.json", choice)
    for name in run.workload.prompts:
        register_prompt(run.workload.name, run.prompt(name), ("best",) if name == best else ())
    register_prompt(run.workload.name, run.trained_prompt, ("trained",))
    tracker.params({"prompts.best": best})
    tracker.metrics({f"prompts/dev_accuracy/{name}": value for name, value in found.items()})


def sft(run: Run, tracker: Tracker) -> None:
    """The base model, trained on demonstrations."""
    params = run.profile.sft
    task = _task(run, SFT, run.base_model, params.dev_examples)

    def train() -> None:
        trained = train_sft(task, params, tracker)
        _keep(run, tracker, trained, params, name=SFT, method="sft", parent=None)

    launch(run.profile.launcher, "components.stages", ["sft", run.name], train)


def rl(run: Run, tracker: Tracker) -> None:
    """The SFT rung, trained by GRPO on the workload's scorers: certified before, and watched by the sealed scorer.

    Raises:
        TrainingError: The scorer's certificate is below the floor.
    """
    require_permit(run)
    params, dev = run.profile.rl, run.examples("dev")[: run.profile.rl.dev_examples]
    task = replace(
        _task(run, GRPO, run.rung_folder(SFT) / MODEL, params.dev_examples),
        score_dev=dev_look(run, dev), hacking=run.hacking,
    )  # fmt: skip

    def train() -> None:
        trained = train_rl(task, params, reward(run, tracker), tracker, draw(run))
        _keep(run, tracker, trained, params, name=GRPO, method="grpo", parent=SFT)

    launch(run.profile.launcher, "components.stages", ["rl", run.name], train)


def _task(run: Run, stage: str, model: Path, dev_examples: int) -> TrainingTask:
    """What a training of this run is given."""
    return TrainingTask(
        model=model,
        train=run.examples("train"),
        prompt=run.trained_prompt,
        score_dev=dev_score(run, run.examples("dev")[:dev_examples]),
        seed=run.seed,
        work=run.work(stage),
        out=run.rung_folder(stage) / MODEL,
        precision=run.profile.model.precision,
    )


def _keep(run: Run, tracker: Tracker, trained: Trained, params: Settings, **made: Any) -> None:
    """Write a trained rung's `result.json`; only then its checkpoints may go."""
    if os.environ.get("RANK", "0") != "0":
        return
    name = made["name"]
    model = run.rung_folder(name) / MODEL
    shutil.copyfile(PROMPTS / run.workload.name / f"{run.workload.trained_prompt}.md", model / "prompt.md")
    _write(
        run, tracker, params, run.profile.model, prompt=run.trained_prompt,
        seconds=trained.seconds, dev_score=trained.dev_score, curves=trained.curves, watch=trained.watch, **made,
    )  # fmt: skip
    shutil.rmtree(run.work(name), ignore_errors=True)
    numbers = {
        "dev_score": trained.dev_score,
        "best_step": trained.best_step,
        "seconds": trained.seconds,
        "examples_per_second": trained.examples_per_second,
    }
    tracker.metrics({f"{name}/{key}": float(value) for key, value in numbers.items()})
    if trained.watch and (hacked := trained.watch.stopped):
        log.warning(HACKED, name, hacked.step, *hacked.reward, *hacked.sealed, hacked.best_step)
    score, step = 100 * trained.dev_score, trained.best_step
    log.info("%s: best dev score %.1f %% at step %s of %s.", name, score, step, trained.steps)


def _write(run: Run, tracker: Tracker, *settings: Settings, prompt: Prompt | None = None, **made: Any) -> None:
    """Write the `result.json` of a rung that these settings made; `made` are its other fields."""
    report = read_record(run.folder / "data" / "report.json", DataReport)
    record = Rung(
        prompt=prompt.name if prompt else None,
        params_hash=digest(*settings, prompt.version if prompt else "", run.seed),
        data_hash=report.summary.version,
        seed=run.seed,
        git_commit=git_commit(),
        mlflow_run_id=tracker.run_id,
        **made,
    )
    write_record(run.rung_folder(record.name) / RESULT, record)
