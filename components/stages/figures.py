"""What MLflow records of a rung: its settings, its data and its figures.

Names are the same for every rung, so that MLflow's table can sort and compare rungs of any method and run.
"""

import hashlib
from pathlib import Path

from components.ladder import PlannedRung
from components.params import SplitName
from components.records import Interval, Rung, RungResult, Verdict
from components.stages.run import Run
from components.tracking import Dataset, Tracker


def tell_settings(run: Run, planned: PlannedRung, tracker: Tracker) -> None:
    """Record, before a rung is made, how and from which data it is made."""
    tracker.tag(identity(run, planned))
    tracker.params(settings(run, planned))
    for split in ("train", "dev"):
        tracker.dataset(dataset(run, split))


def identity(run: Run, planned: PlannedRung) -> dict[str, str]:
    """The tags that a rung's run can be found by."""
    tags = {"rung": planned.name, "method": planned.made_by, "makes": planned.makes}
    return {**run.setting, **tags, "data_version": run.data_version}


def settings(run: Run, planned: PlannedRung) -> dict[str, object]:
    """All settings of a rung, by names that MLflow shows as columns."""
    return {
        **identity(run, planned),
        "starts_from": planned.starts_from or "none",
        "compared_with": planned.compared_with or "none",
        "needs": ", ".join(sorted(planned.needs)) or "none",
        "prompt": "none" if planned.makes == "classifier" else planned.prompt or run.workload.trained_prompt,
        "model": run.profile.model.model_dump(),
        "settings": planned.settings.model_dump(),
    }


def dataset(run: Run, split: SplitName) -> Dataset:
    """A split as an input of runs, by the SHA-256 of its file."""
    path = split_file(run, split)
    content = path.read_bytes()
    rows = sum(1 for line in content.splitlines() if line.strip())
    return Dataset(run.workload.name, hashlib.sha256(content).hexdigest(), split, path, rows)


def split_file(run: Run, split: SplitName) -> Path:
    """The file of a split's examples."""
    return run.folder / "data" / f"{split}.jsonl"


def dev_figures(made: Rung) -> dict[str, float]:
    """The figures that are known once a rung is made."""
    numbers = {"dev/score": made.dev_score, "dev/validity": made.dev_validity, "seconds": made.seconds}
    return {
        **{name: float(value) for name, value in numbers.items() if value is not None},
        "dev/examples": float(made.dev_examples),
    }


def figures(result: RungResult) -> dict[str, float]:
    """A rung's figures on test: shares with the ends of their 95 % intervals, dollars, milliseconds, tokens."""
    cost, versus = result.cost, result.vs_parent
    numbers: dict[str, float | None] = {
        **_interval("accuracy", result.accuracy),
        **_interval("validity", result.validity),
        "examples": result.n,
        "scorer_errors": result.scorer_errors,
        "usd_per_year": cost.usd_per_year,
        "usd_per_1k_calls": cost.usd_per_1k_calls,
        "usd_per_1k_correct": cost.usd_per_1k_correct,
        "latency_ms_p50": result.latency_ms.p50,
        "latency_ms_p95": result.latency_ms.p95,
        **{f"tokens_{name.removesuffix('_tokens')}": value for name, value in result.usage.items()},
        **{f"field/{name}": value for name, value in result.fields.items()},
    }
    if (tries := result.tries) is not None:
        numbers |= {
            f"{name}_{share.k}": getattr(share, kind).value
            for share in tries.by_k
            for name, kind in (("pass_every", "every"), ("pass_some", "some"))
        }
        numbers |= {name: getattr(tries, name) for name in ("turns", "calls", "invalid_calls", "tool_errors")}
        numbers |= {f"ended/{reason}": count / tries.tries for reason, count in tries.stop_reasons.items()}
    if versus is not None:
        numbers |= {f"versus/{name}": float(value) for name, value in versus.model_dump().items()}
    return {f"test/{name}": float(value) for name, value in numbers.items() if value is not None}


def gate_figures(verdict: Verdict) -> dict[str, float]:
    """A challenger's figures on the sealed split, and the level at which it was tested; few until the split retires."""
    numbers = verdict.numbers
    if numbers is None:
        return {}
    figures_by_name: dict[str, float | None] = {
        **({} if numbers.level is None else _interval("level", numbers.level)),
        "validity": numbers.validity,
        "examples": numbers.n,
        "delta": numbers.versus.delta if numbers.versus else None,
        "p_value": numbers.p_value,
        "alpha": verdict.alpha,
    }
    return {f"sealed/{name}": float(value) for name, value in figures_by_name.items() if value is not None}


def _interval(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
