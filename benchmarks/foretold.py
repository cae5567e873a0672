"""What `gradus run --dry-run` foretells of a run, beside what its stages then take: seconds and largest memory.

Of each workload a project folder is made, its run foretold there, and then every stage run one by one as DVC runs it,
each a process whose time and largest memory are read when it ends.

    python -m benchmarks.foretold --workloads triage normalise --ladder quick
"""

import argparse
import json
import os
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.ladder import ROOT, edit, machine, prepare, surroundings

FORETELL = (
    "import sys; from components.stages.foretold import forecast; from components.stages.graph import nodes; "
    "from components.stages.run import Run; run = Run.load(sys.argv[1]); "
    "print(forecast(run, [node.name for node in nodes(run)], sys.argv[2]).model_dump_json()); "
    "print('\\n'.join(' '.join(node.command) for node in nodes(run)))"
)
SEED = 901


def main() -> None:
    """Foretell, run, compare and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", nargs="+", default=["triage", "normalise"])
    parser.add_argument("--profile", default="nano")
    parser.add_argument("--ladder", default="quick")
    parser.add_argument(
        "--clock", choices=["wall", "processor"], default="wall", help="processor: where others keep the machine busy"
    )
    parser.add_argument("--train", type=int, help="examples that a first look trains on, in place of the ladder's")
    parser.add_argument("--again", action="store_true", help="foretell stages that an earlier call has run")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "foretold.json")
    options = parser.parse_args()
    runs = [compared(workload, options) for workload in options.workloads]
    record = {
        "command": " ".join(["python -m benchmarks.foretold", *sys.argv[1:]]), "machine": machine(),
        "date": date.today().isoformat(), "runs": runs,
    }  # fmt: skip
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"Written: {options.out}")


def compared(workload: str, options: argparse.Namespace) -> dict[str, Any]:
    """One run: each stage's figures, foretold and measured."""
    name = f"{workload}-{options.profile}-{options.ladder}"
    project = prepare(f"{workload}-{options.profile}", SEED, keep=options.again)
    if options.train:
        path = project / "params" / "ladders" / f"{options.ladder}.yaml"
        edit(path, lambda settings: settings["first_look"].update(train=options.train))
    environment = {**surroundings(project), "PYTHONPATH": str(project)}
    kept, load, started = project / "state" / "measured.json", os.getloadavg()[0], time.monotonic()
    printed = subprocess.run(
        [sys.executable, "-c", FORETELL, name, options.clock], cwd=project, env=environment, check=True,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    took = time.monotonic() - started
    first, *commands = printed.stdout.strip().splitlines()
    foretold = {stage["stage"]: stage for stage in json.loads(first)["stages"]}
    measured: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8")) if options.again else {}
    for stage, command in zip(foretold, commands, strict=True):
        if stage not in measured:
            stage_command = [sys.executable, "-m", "components.stages", *command.split()]
            measured[stage] = ran(stage_command, project, environment, options.clock)
            kept.write_text(json.dumps(measured), encoding="utf-8")
        print(stage, measured[stage], foretold[stage], flush=True)
    stages = [row(stage, measured[stage["stage"]]) for stage in foretold.values()]
    record = {
        "run": name, "clock": options.clock, "train": options.train, "foretelling_seconds": round(took, 1),
        "load_before": round(load, 2),
        "load_after": round(os.getloadavg()[0], 2), **summary(stages), "stages": stages,
    }  # fmt: skip
    print(json.dumps({key: value for key, value in record.items() if key != "stages"}), flush=True)
    return record


def row(stage: dict[str, Any], measured: tuple[float, int]) -> dict[str, Any]:
    """One stage; None where nothing foretells it."""
    seconds, peak = stage["seconds"], stage["peak_bytes"]
    return {
        "stage": stage["stage"], "seconds": round(measured[0], 1), "peak_mb": round(measured[1] / 1e6),
        "seconds_foretold": None if seconds is None else round(seconds, 1),
        "peak_mb_foretold": None if peak is None else round(peak / 1e6),
    }  # fmt: skip


def summary(stages: list[dict[str, Any]]) -> dict[str, Any]:
    """Of the stages that are foretold: all seconds, the largest memory, and how far off both are."""
    both = [stage for stage in stages if stage["seconds_foretold"] is not None]
    totals = {key: round(sum(stage[key] for stage in both), 1) for key in ("seconds", "seconds_foretold")}
    peaks = {key: max(stage[key] for stage in both) for key in ("peak_mb", "peak_mb_foretold")}
    within = {
        f"stages_{name}_within_30": sum(abs(stage[foretold] / stage[seen] - 1) <= 0.3 for stage in both)
        for name, seen, foretold in (
            ("seconds", "seconds", "seconds_foretold"),
            ("peak", "peak_mb", "peak_mb_foretold"),
        )
    }
    return {
        **totals, **peaks, "seconds_off": round(totals["seconds_foretold"] / totals["seconds"] - 1, 3),
        "peak_off": round(peaks["peak_mb_foretold"] / peaks["peak_mb"] - 1, 3), "stages_foretold": len(both), **within,
    }  # fmt: skip


def ran(command: list[str], project: Path, environment: dict[str, str], clock: str) -> tuple[float, int]:
    """Seconds and the largest memory, in bytes, of a process that has to succeed."""
    started = time.monotonic()
    child = subprocess.Popen(command, cwd=project, env=environment)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
    seconds = time.monotonic() - started if clock == "wall" else used.ru_utime + used.ru_stime
    return seconds, used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
