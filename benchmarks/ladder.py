"""Whole climbs of a run with several seeds: each rung's accuracy and cost, wall time, overhead and memory.

Each seed has its own project folder, made from this project's files, so that nothing is cached; it seeds training and,
for a generated workload, the data. `gradus run` is timed as in `make demo`, from scratch to the printed table; the
overhead is that time divided by the sum of the stages' own times.

    python -m benchmarks.ladder --seeds 1 2 3

With --reproduce, a climb's registered version is made again from its commit (`gradus reproduce`), which takes as long.

With --go-on, a climb continues in the folder of an earlier call with current code and settings: DVC repeats what they
change. Its times are partial and therefore left out. With --made, nothing is climbed: the records of project folders
whose stages were run one by one are read, also without wall times.

With --add, the record keeps the climbs of other seeds that it has; each climb says its commit, machine and date.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import yaml

from components.data.versions import AUTHOR
from components.params import Pipeline, load
from components.records import Ladder, RungResult, read_record
from components.stages.run import PIPELINE, git_commit, parts

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "state" / "bench"
FOLDERS = ("components", "flows", "models", "params", "monitoring", "data")
FILES = ("dvc.yaml", "pyproject.toml", ".dvcignore", ".gitignore")


def main() -> None:
    """Climb with every seed, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", default="triage-nano", help="WORKLOAD-PROFILE, or WORKLOAD-PROFILE-LADDER")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--reproduce", type=int, nargs="*", default=[], help="seeds whose version 1 is made again")
    parser.add_argument("--go-on", type=int, nargs="*", default=[], help="seeds whose folders are kept")
    parser.add_argument("--made", type=Path, nargs="+", help="project folders that hold the run: read, not climbed")
    parser.add_argument("--add", action="store_true", help="keep the climbs of other seeds that the record has")
    parser.add_argument("--out", type=Path, help="default: benchmarks/ladder-RUN.json")
    options = parser.parse_args()
    out = options.out or ROOT / "benchmarks" / f"ladder-{options.run}.json"
    wanted = [made(options.run, folder) for folder in options.made] if options.made else climbed(options)
    if options.add:
        wanted = sorted([*others(out, wanted), *wanted], key=lambda climb: climb["seed"])
    record = {
        "command": " ".join(["python -m benchmarks.ladder", *sys.argv[1:]]),
        "machine": machine(),
        "date": date.today().isoformat(),
        "summary": summarise(wanted),
        "climbs": wanted,
    }
    out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record["summary"], indent=1))
    print(f"Written: {out}")


def climbed(options: argparse.Namespace) -> list[dict[str, Any]]:
    """A climb for each seed; those from an earlier call on the same commit are not repeated."""
    commit, part = git_commit(), WORK / f"ladder-{options.run}.json"
    climbs = finished(part, commit)
    for seed in options.seeds:
        if seed not in climbs:
            where = {"git_commit": commit, "machine": machine(), "date": date.today().isoformat()}
            climbs[seed] = {**where, **climb(options.run, seed, go_on=seed in options.go_on)}
            part.write_text(json.dumps(list(climbs.values())), encoding="utf-8")
        if seed in options.reproduce and "reproduced" not in climbs[seed]:
            climbs[seed]["reproduced"] = reproduced(options.run, seed)
            part.write_text(json.dumps(list(climbs.values())), encoding="utf-8")
    return [climbs[seed] for seed in options.seeds]


def others(out: Path, climbs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The climbs of a record that have another seed than these."""
    seeds = {climb["seed"] for climb in climbs}
    earlier = json.loads(out.read_text(encoding="utf-8"))["climbs"] if out.is_file() else []
    return [climb for climb in earlier if climb["seed"] not in seeds]


def made(run: str, project: Path) -> dict[str, Any]:
    """The record of a climb whose stages were run one by one in a project folder."""
    record = result(run, project)
    return {"seed": record["ladder"]["seed"], "whole": False, **record}


def result(run: str, project: Path) -> dict[str, Any]:
    """A climb's record, with each stage's time."""
    ladder = read_record(project / "artifacts" / run / "report" / "ladder.json", Ladder)
    stages = {
        path.stem: json.loads(path.read_text())["seconds"] for path in project.glob(f"artifacts/{run}/stages/*.json")
    }
    return {
        "stage_seconds": {name: round(value, 1) for name, value in sorted(stages.items())},
        "ladder": ladder.model_dump(mode="json"),
    }


def finished(part: Path, commit: str) -> dict[int, dict[str, Any]]:
    """The climbs of an earlier, interrupted call, by seed: those of this commit, if no file differs from it."""
    if not part.exists() or commit.endswith("-dirty"):
        return {}
    climbs = json.loads(part.read_text(encoding="utf-8"))
    return {climb["seed"]: climb for climb in climbs if climb["git_commit"] == commit}


def climb(run: str, seed: int, *, go_on: bool) -> dict[str, Any]:
    """A climb, in a new folder unless it continues in an earlier one."""
    project = prepare(run, seed, keep=go_on)
    workload, profile, ladder = parts(run, load(ROOT / PIPELINE, Pipeline))
    command = [sys.executable, "-m", "flows.cli", "run", workload, "--profile", profile, "--ladder", ladder]
    environment = surroundings(project)
    print(f"seed {seed}: {project}", flush=True)
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=project, env=environment)
    peak = watch_memory(process.pid)
    if process.wait():
        raise SystemExit(f"the climb with seed {seed} ended with code {process.returncode} ({project})")
    seconds = time.monotonic() - started
    again = time.monotonic()
    subprocess.run(command, cwd=project, env=environment, check=True, stdout=subprocess.DEVNULL)
    record = result(run, project)
    return {
        "seed": seed,
        "whole": not go_on,
        "wall_seconds": round(seconds, 1),
        "unchanged_seconds": round(time.monotonic() - again, 1),
        "overhead": round(seconds / sum(record["stage_seconds"].values()), 3),
        "peak_memory_gb": round(peak() / 1e9, 2),
        **record,
    }


def reproduced(run: str, seed: int) -> dict[str, Any]:
    """The report of `gradus reproduce` on a climb's registered version."""
    project, (workload, _, _) = WORK / f"{run}-{seed}", parts(run, load(ROOT / PIPELINE, Pipeline))
    command = [sys.executable, "-m", "flows.cli", "reproduce", workload, "1"]
    started = time.monotonic()
    code = subprocess.run(command, cwd=project, env=surroundings(project), check=False).returncode
    if code not in (0, 1):  # 1 means that it differs
        raise SystemExit(f"making version 1 again with seed {seed} ended with code {code} ({project})")
    report = json.loads((project / "state" / "reproduce" / f"{workload}-1.json").read_text(encoding="utf-8"))
    return {"seconds": round(time.monotonic() - started, 1), **report}


def surroundings(project: Path) -> dict[str, str]:
    """The environment for a project's commands: its own code, and no settings of another project."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(project)}
    for name in ("PREFECT_HOME", "DVC_SITE_CACHE_DIR", "MLFLOW_TRACKING_URI", "OMP_WAIT_POLICY"):
        environment.pop(name, None)
    return environment


def prepare(run: str, seed: int, *, keep: bool = False) -> Path:
    """A project folder with this seed, without results unless `keep`."""
    project = WORK / f"{run}-{seed}"
    if not keep:
        shutil.rmtree(project, ignore_errors=True)
    project.mkdir(parents=True, exist_ok=True)
    for name in (*FOLDERS, *FILES):
        source = ROOT / name
        if source.is_dir():
            shutil.rmtree(project / name, ignore_errors=True)
            shutil.copytree(source, project / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copyfile(source, project / name)
    (project / ".dvc").mkdir(exist_ok=True)
    shutil.copyfile(ROOT / ".dvc" / "config", project / ".dvc" / "config")
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    edit(project / "params/pipeline.yaml", lambda settings: settings.update(seed=seed))
    workload, _, _ = parts(run, load(ROOT / PIPELINE, Pipeline))

    def reseed(settings: dict[str, Any]) -> None:
        if settings["source"]["kind"] == "generated":
            settings["source"]["seed"] += seed

    edit(project / f"params/workloads/{workload}.yaml", reseed)
    commit(project, f"{run} with seed {seed}")
    return project


def commit(project: Path, subject: str) -> None:
    """Commit a project as it is, because a climb's records must name their origin."""
    subprocess.run(["git", "add", "--all"], cwd=project, check=True)
    command = ["git", *AUTHOR, "commit", "--quiet", "--no-verify", "--allow-empty", "-m", subject]
    subprocess.run(command, cwd=project, check=True)


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a YAML file of a copy."""
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(settings)
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


def watch_memory(pid: int) -> Callable[[], int]:
    """Sample the memory of a process and its descendants; the returned function gives the peak sum in bytes.

    The unique set size is used, because processes share little besides libraries.
    """
    peak = 0

    def sample() -> None:
        nonlocal peak
        while psutil.pid_exists(pid):
            total = 0
            try:
                family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            except psutil.Error:
                return
            for process in family:
                try:
                    total += process.memory_full_info().uss
                except psutil.Error:
                    continue
            peak = max(peak, total)
            time.sleep(0.5)

    threading.Thread(target=sample, daemon=True).start()
    return lambda: peak


def summarise(climbs: list[dict[str, Any]]) -> dict[str, Any]:
    """The required figures, by seed and as medians."""
    ladders = [Ladder.model_validate(climb["ladder"]) for climb in climbs]
    rungs: dict[str, list[RungResult]] = {}
    for ladder in ladders:
        for rung in ladder.rungs:
            rungs.setdefault(rung.name, []).append(rung)
    by_rung: dict[str, Any] = {
        name: {
            "accuracy": spread([result.accuracy.value for result in results]),
            "validity": spread([result.validity.value for result in results]),
            "vs_parent": [result.vs_parent.model_dump(mode="json") if result.vs_parent else None for result in results],
            "usd_per_1k_calls": spread([result.cost.usd_per_1k_calls for result in results], 6),
            **(
                {"tries": tries} if (tries := [result.tries.model_dump() for result in results if result.tries]) else {}
            ),
        }
        for name, results in rungs.items()
    }
    return {
        "rungs": by_rung,
        "demonstration_accuracy": spread(
            [share for ladder in ladders if (share := ladder.data.demonstration_accuracy) is not None]
        ),
        "champions": [winner(ladder) for ladder in ladders],
        **{
            name: spread([climb[name] for climb in climbs if climb["whole"]])
            for name in ("wall_seconds", "unchanged_seconds", "overhead", "peak_memory_gb")
            if any(climb["whole"] for climb in climbs)
        },
    }


def winner(ladder: Ladder) -> str | None:
    """The name of the champion's rung."""
    if ladder.gate is None:
        return None
    return ladder.gate.challenger if ladder.gate.decision == "promoted" else ladder.gate.champion


def spread(values: list[float], digits: int = 4) -> dict[str, Any]:
    """All values, with their median."""
    return {"median": round(statistics.median(values), digits), "values": [round(value, digits) for value in values]}


def machine() -> str:
    """The GPU's name, or else the processor's."""
    import torch

    from components.base.pretrain import hardware

    return hardware(torch.device("cuda" if torch.cuda.is_available() else "cpu"))


if __name__ == "__main__":
    main()
