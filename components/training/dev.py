"""Scoring on dev during training: when to score, which weights to keep, and when to stop early, also for hacking.

Scores are kept in the trainer's own log history, which is part of every checkpoint, so a resumed training has them.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from components.params import HackingParams
from components.tracking import Tracker
from components.training import hacking_watch
from components.training.checkpoints import best_folder, drop_other_best

LOG_POINTS = 100  # of a loss curve

Curves = dict[str, list[tuple[float, float]]]


@dataclass(frozen=True)
class Plan:
    """The steps after which dev is scored, and how many scores in a row may fail to improve."""

    steps: frozenset[int]
    patience: int

    @classmethod
    def spread(cls, total: int, evaluations: int, patience: int, *, first: bool = False) -> "Plan":
        """`evaluations` equally spaced steps, the last at the end; `first` adds the start."""
        steps = {math.ceil(total * part / evaluations) for part in range(1, evaluations + 1)}
        return cls(frozenset({0, *steps} if first else steps), patience)


def dev_scores(history: Iterable[Mapping[str, Any]]) -> list[tuple[int, float]]:
    """(step, score) in a log history, in order."""
    return [(int(entry["step"]), float(entry["dev_score"])) for entry in history if "dev_score" in entry]


def best_of(scores: list[tuple[int, float]]) -> tuple[int, float]:
    """The earliest of the highest scores."""
    return max(scores, key=lambda score: (score[1], -score[0]))


def best_step(history: Sequence[Mapping[str, Any]]) -> int:
    """The step whose weights are published: the best by dev score, or the one that hacking was told from."""
    hacked = hacking_watch.stopped(history)
    return hacked.best_step if hacked else best_of(dev_scores(history))[0]


def best_steps(history: Sequence[Mapping[str, Any]]) -> set[int]:
    """The steps whose weights are kept: the one that is published, and the best by sealed score if there is one."""
    sealed = hacking_watch.best_sealed(hacking_watch.looks(history))
    return {best_step(history), *((sealed[0],) if sealed else ())}


def out_of_patience(scores: list[tuple[int, float]], patience: int) -> bool:
    """Whether none of the last `patience` scores improves on those before."""
    return bool(scores) and len(scores) - 1 - scores.index(best_of(scores)) >= patience


def stops_early(history: Sequence[Mapping[str, Any]], patience: int) -> bool:
    """Whether a training stops early, for hacking or for lack of improvement."""
    return hacking_watch.stopped(history) is not None or out_of_patience(dev_scores(history), patience)


def training_seconds(history: Iterable[Mapping[str, Any]]) -> float:
    """Seconds of training, without scoring, up to a log history's last dev score."""
    return max((float(entry["seconds"]) for entry in history if "dev_score" in entry), default=0.0)


def curves_of(history: Iterable[Mapping[str, Any]], names: Mapping[str, str]) -> Curves:
    """The curves in a log history, by our names; `names` maps the trainer's names to ours."""
    curves: Curves = {}
    for entry in history:
        for name, value in told(entry, names).items():
            curves.setdefault(name, []).append((float(entry["step"]), value))
    return curves


def told(entry: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, float]:
    """A log entry's finite values by our names: a step that was left out may have others, which no record can keep."""
    values = {ours: float(entry[theirs]) for theirs, ours in names.items() if theirs in entry}
    return {name: value for name, value in values.items() if math.isfinite(value)}


@dataclass(frozen=True)
class Hooks:
    """What the callback needs from its trainer: a way to score the current weights on dev, and a way to keep them."""

    score: Callable[[], float | hacking_watch.Look]
    keep: Callable[[Path], None]
    work: Path
    hacking: HackingParams = field(default_factory=HackingParams)


class BestOnDev(TrainerCallback):
    """Scores dev as planned, keeps the best weights, requests checkpoints, and stops early."""

    def __init__(self, plan: Plan, hooks: Hooks) -> None:
        self._plan, self._hooks = plan, hooks
        self._began = 0.0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Resume the clock from the last checkpoint; score the start if planned."""
        self._began = time.perf_counter() - training_seconds(state.log_history)
        if state.global_step == 0 and 0 in self._plan.steps:
            self._evaluate(state)

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **of: Any) -> None:
        """Tell the order of batches its epoch.

        The trainer does not reach it where several processes resume within an epoch and skip the batches before: they
        would go on in the first epoch's order.
        """
        batches: Any = of.get("train_dataloader")
        if hasattr(batches, "set_epoch"):
            batches.set_epoch(int(state.epoch or 0))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Score after a planned step."""
        if state.global_step not in self._plan.steps:
            return
        self._evaluate(state)
        control.should_log = control.should_save = True
        if stops_early(state.log_history, self._plan.patience):
            control.should_training_stop = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Remove best weights that only earlier checkpoints needed."""
        if state.is_world_process_zero:
            drop_other_best(self._hooks.work, best_steps(state.log_history))

    def _evaluate(self, state: TrainerState) -> None:
        """Record the score and the watch's verdict in the history, and keep the weights if they are the best so far."""
        seconds = time.perf_counter() - self._began
        entry = hacking_watch.entry(self._hooks.score())
        history: list[dict[str, Any]] = state.log_history
        history.append({"step": state.global_step, **entry, "seconds": seconds})
        seen = hacking_watch.looks(history)
        if "look" in entry and (hacked := hacking_watch.divergence(seen, len(self._plan.steps), self._hooks.hacking)):
            history[-1]["divergence"] = hacked.model_dump(mode="json")
        if state.global_step in best_steps(state.log_history):
            self._hooks.keep(best_folder(self._hooks.work, state.global_step))
        self._began = time.perf_counter() - seconds


class Report(TrainerCallback):
    """Shows a progress bar, and sends the tracker metrics as `train/NAME`."""

    def __init__(self, names: Mapping[str, str], tracker: Tracker) -> None:
        self._names, self._tracker = names, tracker
        self._bar: Any = None
        self._reported = 0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Open the bar at the resumed step; the history so far is sent again, because the tracker is new."""
        if state.is_world_process_zero:
            self._bar = tqdm(total=state.max_steps, initial=state.global_step, desc="train", unit="step")
            self._report(state)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Advance the bar, and report what is new."""
        if state.is_world_process_zero:
            self._bar.update(1)
            self._report(state)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Report what is new."""
        if state.is_world_process_zero:
            self._report(state)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Close the bar."""
        if state.is_world_process_zero:
            self._report(state)
            self._bar.close()

    def _report(self, state: TrainerState) -> None:
        """Send the history's new entries to the tracker, and show the latest loss and dev score."""
        fresh, self._reported = state.log_history[self._reported :], len(state.log_history)
        for entry in fresh:
            if values := told(entry, self._names):
                metrics = {f"train/{name}": value for name, value in values.items()}
                self._tracker.metrics(metrics, step=int(entry["step"]))
                shown = {name: f"{value:.3g}" for name, value in values.items()}
                self._bar.set_postfix({key: shown[key] for key in ("loss", "reward", "dev_score") if key in shown})
