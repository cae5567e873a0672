"""Whether the watch of conversations sees the drifts of the desk, and is quiet without one. Simulated.

For each seed the watch compares a window of conversations of a drifted desk with those of the usual one before it, at
the settings of params/pipeline.yaml. Conversations are demonstrations: the agent acts by the rules that hold. For the
two drifts of policy they are compared as well as an agent leaves them that acts as before, of whom people say which of
its conversations are right: then nothing but their scores can move.

    python -m benchmarks.desk_drifts --seeds 10
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from components.data.joining import Joined
from components.params import Pipeline, load
from components.stages.run import git_commit
from components.workloads.desk import DRIFTS, Task, drifted
from monitoring.calibration import limits, measured
from monitoring.tries import compare_tries

RECORD = Path(__file__).with_name("desk-drifts.json")
REFERENCE_SEEDS, WINDOW_SEEDS = 1000, 2000
Right = Callable[[Task], bool]


def main() -> None:
    """Compare all windows, print a line for each drift, and write the record."""
    options = parse()
    params = load(Path("params/pipeline.yaml"), Pipeline).watch
    seen: dict[str, list[list[str]]] = {}
    for seed in range(options.seeds):
        before = with_rewards(drifted(options.before, REFERENCE_SEEDS + seed, "none"), as_shown)
        tasks = {drift: list(drifted(options.now, WINDOW_SEEDS + seed, drift)) for drift in DRIFTS}
        for name, (drift, right) in WINDOWS.items():
            table = compare_tries(before, with_rewards(tasks[drift], right))
            allowed, moves = limits(table, params.false_alarms, params.resamples, 0), measured(table)
            moved = sorted(
                (measure for measure in moves if moves[measure] > allowed[measure]),
                key=lambda measure: allowed[measure] / moves[measure],
            )
            seen.setdefault(name, []).append(moved)
            print(f"seed {seed}, {name}: {', '.join(moved[:4]) or 'nothing moved'}", flush=True)
    record = {
        "command": " ".join(["python -m benchmarks.desk_drifts", *sys.argv[1:]]),
        "date": date.today().isoformat(), "git_commit": git_commit(), "settings": params.model_dump(),
        "before": options.before, "now": options.now, "seeds": options.seeds,
        "seen": {name: sum(map(bool, runs)) for name, runs in seen.items()}, "moved": seen,
    }  # fmt: skip
    options.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    for name, runs in seen.items():
        print(f"{name}: called drifted with {sum(map(bool, runs))} of {len(runs)} seeds")


def as_shown(task: Task) -> bool:
    """Whether the demonstration is right in its own world."""
    return task.slices["demonstration"] == "right"


def by_policy(days: int, *, damaged: bool) -> Right:
    """Whether an agent that acts as before is right where refunds end after so many days, or damage is paid back."""

    def right(task: Task) -> bool:
        order = json.loads(task.evidence["orders"])[0]
        acted, intent = task.slices["end"] == "act", task.slices["intent"]
        late = intent == "refund" and acted and (order["delivered_days_ago"] or 0) > days
        return as_shown(task) and not late and not (damaged and intent == "damaged" and acted)

    return right


WINDOWS: dict[str, tuple[str, Right]] = {
    **{drift: (drift, as_shown) for drift in DRIFTS},
    "policy, acted as before": ("none", by_policy(14, damaged=True)),
    "days, acted as before": ("none", by_policy(14, damaged=False)),
}


def with_rewards(tasks: Iterable[Task], right: Right) -> list[Joined]:
    """Conversations of which people say whether they were right."""
    rewarded = [task.demonstration.model_copy(update={"reward": float(right(task))}) for task in tasks]
    return [Joined(trajectory=trajectory, traces=(), at=number + 1.0) for number, trajectory in enumerate(rewarded)]


def parse(arguments: Sequence[str] | None = None) -> Any:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--before", type=int, default=600, help="conversations before the window")
    parser.add_argument("--now", type=int, default=300, help="conversations of the window")
    parser.add_argument("--out", type=Path, default=RECORD)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
