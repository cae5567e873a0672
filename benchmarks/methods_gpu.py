"""Compares methods on one GPU: every rung of a ladder on several workloads with several seeds, as many as time allows.

    python -m benchmarks.methods_gpu prepare worlds --snips FOLDER      # on CPUs: data, label audit, certificate
    python -m benchmarks.methods_gpu climb worlds.tar.gz --out OUT --seconds 540

The first command makes a project for each world and seed and packs them; the second unpacks them and makes their rungs,
several at a time, each in a process of its own: with the product's stage `rung`, and then with the answers to test,
judged by the workload's scorer. Rungs are made by priority, none before what it starts from. OUT/rows.jsonl has a row a
rung, with an outcome for each test example; OUT/answers.tar.gz has the answers. MLflow, DVC and Prefect are not needed.

A world is a workload with its own demonstrations, or with a share of wrong ones:

- triage-clean, triage-wrong: no demonstration wrong; its usual 9 %, and slips up to 20 %: a field's value is that of
  another ticket;
- snips-0, -10, -20: 4,000 of SNIPS' train with planted errors (benchmarks.real_noise); test is the published one and
  2,000 further rows of train.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.ladder import ROOT, edit, machine, prepare, surroundings

LADDER = "compared"
SEEDS = (1, 2, 3)
GRPO = {"method": "grpo", "from": "sft"}
PUPIL = {"from": "base", "compare": "sft"}
TEACHER = {"kind": "rung", "rung": "grpo"}
SAMPLED = {"method": "rejection_sampling", "from": "sft"}
RELABEL = {
    "method": "relabel", **PUPIL,
    "settings": {
        "teacher": {"kind": "rung", "rung": "sft"}, "members": ["teacher", "classical", "neighbours", "audit"],
    },
}  # fmt: skip
SFT = {"method": "sft", "from": "base"}
ALL: dict[str, Any] = {
    "sft": SFT,
    "rejection_sampling": SAMPLED,
    "dpo": {"method": "dpo", "from": "sft"},
    "kto": {"method": "kto", "from": "sft", "settings": {"thumbs": "scored"}},
    "grpo": GRPO,
    "relabel": RELABEL,
    "synthetic": {"method": "synthetic", **PUPIL, "settings": {"source": "generator", "examples": 1000}},
    "teacher_answers": {"method": "teacher_answers", **PUPIL, "settings": {"teacher": TEACHER, "accept": "schema"}},
    "on_policy_distillation": {"method": "on_policy_distillation", **PUPIL, "settings": {"teacher": TEACHER}},
}
AGENT: dict[str, Any] = {"sft": SFT, "rejection_sampling": SAMPLED, "grpo": {**GRPO, "from": "rejection_sampling"}}
NOISY: dict[str, Any] = {"sft": SFT, "rejection_sampling": SAMPLED, "grpo": GRPO}
TRIES = 2  # at a rung that fails
# A GPU answers and trains on more rows at a time; how many examples a step learns from is unchanged.
ON_GPU = {"batch_tokens": 393_216, "rollouts": 64}
SNIPS_SFT = {"epochs": 4}


@dataclass(frozen=True)
class World:
    """A workload with its ladder; `wrong` is the share of wrong demonstrations that is made, None for its own."""

    name: str
    workload: str
    rungs: dict[str, Any]
    wrong: float | None = None

    @property
    def run(self) -> str:
        """The run's name in its project."""
        return f"{self.workload}-nano"


WORLDS = (
    World("desk", "desk", AGENT),
    World("triage", "triage", ALL),
    World("normalise", "normalise", ALL),
    World("snips-10", "snips", NOISY, 0.1),
    World("triage-wrong", "triage", {"sft": SFT, "relabel": RELABEL, "rejection_sampling": SAMPLED}, 0.2),
    World("triage-clean", "triage", {"sft": SFT}, 0.0),
    World("snips-20", "snips", NOISY, 0.2),
    World("snips-0", "snips", NOISY, 0.0),
)
# Which rungs come first, of all worlds: long chains, then what few others wait for.
ORDER = (
    *(("desk", rung) for rung in AGENT),
    *((world, rung) for rung in ("sft", "grpo") for world in ("triage", "normalise", "snips-10")),
    *(("triage-wrong", rung) for rung in ("sft", "rejection_sampling", "relabel")),
    ("triage-clean", "sft"),
    *((world, "on_policy_distillation") for world in ("triage", "normalise")),
    *(
        (world, rung)
        for rung in ("kto", "relabel", "teacher_answers", "synthetic")
        for world in ("triage", "normalise")
    ),
    *((world, "rejection_sampling") for world in ("triage", "normalise", "snips-10")),
    *((world, "dpo") for world in ("triage", "normalise")),
    *((world, rung) for rung in ("sft", "rejection_sampling") for world in ("snips-20", "snips-0")),
    *((world, "grpo") for world in ("snips-20", "snips-0")),
)


def main() -> None:
    """Prepare the worlds, climb in them, or make a single rung."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    preparing = commands.add_parser("prepare", help="make and pack the projects")
    preparing.add_argument("folder", type=Path)
    preparing.add_argument("--worlds", nargs="+", default=[world.name for world in WORLDS])
    preparing.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    preparing.add_argument("--snips", type=Path, help="what `python -m components.data.published snips` made")
    climbing = commands.add_parser("climb", help="make the rungs")
    climbing.add_argument("packed", type=Path)
    climbing.add_argument("--out", type=Path, required=True)
    climbing.add_argument("--work", type=Path, default=Path("/tmp/methods-gpu"))
    climbing.add_argument("--seconds", type=float, default=540)
    climbing.add_argument("--jobs", type=int, default=14)
    climbing.add_argument("--only", nargs="+", help="words that WORLD/SEED/RUNG must contain one of")
    making = commands.add_parser("rung", help="make one rung")
    making.add_argument("project", type=Path)
    making.add_argument("run")
    making.add_argument("rung")
    options = parser.parse_args()
    if options.command == "prepare":
        pack(options)
    elif options.command == "climb":
        climb(options)
    else:
        make(options.project, options.run, options.rung)


# --- on CPUs: projects ----------------------------------------------------------------------------------------------


def pack(options: argparse.Namespace) -> None:
    """Make every project that is missing, and pack them all."""
    options.folder.mkdir(parents=True, exist_ok=True)
    for world in WORLDS:
        for seed in options.seeds if world.name in options.worlds else ():
            target = options.folder / f"{world.name}-{seed}"
            if not target.is_dir():
                began = time.monotonic()
                project(world, seed, target, options.snips)
                print(f"{target.name}: {time.monotonic() - began:.0f} s", flush=True)
    packed = options.folder.with_suffix(".tar.gz")
    with tarfile.open(packed, "w:gz") as archive:
        for path in sorted(options.folder.iterdir()):
            archive.add(path, path.name)
    print(f"{packed}: {packed.stat().st_size / 1e6:.1f} MB", flush=True)


def project(world: World, seed: int, target: Path, snips: Path | None) -> None:
    """A project's settings, data, audit and certificate, without the rest of its files."""
    made = prepare(world.run, seed)
    (made / "params/ladders" / f"{LADDER}.yaml").write_text(json.dumps({"rungs": world.rungs}), encoding="utf-8")
    edit(made / "params/pipeline.yaml", lambda settings: settle(settings, world))
    edit(made / "params/profiles/nano.yaml", widen)
    if world.workload == "snips":
        assert snips is not None, "expected --snips FOLDER"
        shutil.copytree(snips, made / "data" / "snips")
    stage(made, "components.stages", "data", world.run)
    data = made / "artifacts" / world.run / "data"
    if world.wrong is not None:
        spoil(data, world, seed)
    if any("relabel" in rung or "dpo" in rung for rung in world.rungs):
        stage(made, "components.stages", "audit", world.run)
    if any(rung in world.rungs for rung in ("grpo", "rejection_sampling")):
        stage(made, "components.stages", "certify", world.run)
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(made / "params", part / "params")
    shutil.copytree(made / "artifacts", part / "artifacts")
    part.rename(target)


def settle(settings: dict[str, Any], world: World) -> None:
    """Let the run climb the ladder of the comparison."""
    entry = settings["runs"].setdefault(world.run, {})
    entry["ladder"] = LADDER
    rungs = entry.setdefault("rungs", {})
    if world.workload == "snips":
        rungs["sft"] = SNIPS_SFT
    for name in [name for name in rungs if name not in world.rungs]:
        del rungs[name]
    if "device_batch_rollouts" in rungs.get("grpo", {}):
        rungs["grpo"]["device_batch_rollouts"] = ON_GPU["rollouts"]


def widen(profile: dict[str, Any]) -> None:
    """Let the profile fill a GPU."""
    profile["engine"]["batch_tokens"] = ON_GPU["batch_tokens"]
    profile["methods"]["grpo"]["device_batch_rollouts"] = ON_GPU["rollouts"]


def stage(made: Path, module: str, *words: str) -> None:
    """Run a command of the product in a project."""
    subprocess.run(
        [sys.executable, "-m", module, *words], cwd=made, env=surroundings(made), check=True, stdout=subprocess.DEVNULL
    )


def spoil(data: Path, world: World, seed: int) -> None:
    """Write train, and for SNIPS test, with the world's share of wrong demonstrations."""
    from benchmarks import real_noise
    from components.records import Example, read_jsonl, write_jsonl

    train, test = (read_jsonl(data / f"{split}.jsonl", Example) for split in ("train", "test"))
    assert world.wrong is not None
    if world.workload == "snips":
        taken, held_out = real_noise.subset(train, seed)
        train, test = real_noise.plant(taken, world.wrong, seed), [*test, *held_out]
    elif world.wrong:
        train = slipped(train, world.wrong, seed)
    else:
        train = [example.model_copy(update={"demonstration": example.reference}) for example in train]
    write_jsonl(data / "train.jsonl", train)
    write_jsonl(data / "test.jsonl", test)


def slipped(examples: Sequence[Any], share: float, seed: int) -> list[Any]:
    """The same examples, so many of them further wrong that `share` are: one field has another example's value."""
    rng = random.Random(f"slips/{seed}")
    right = [number for number, example in enumerate(examples) if agrees(example)]
    wanted = round(share * len(examples)) - (len(examples) - len(right))
    result = list(examples)
    for number in rng.sample(right, len(right)):
        if wanted <= 0:
            break
        own, other = (json.loads(examples[at].demonstration) for at in (number, rng.randrange(len(examples))))
        differing = [name for name in own if own[name] != other[name]]
        if differing:
            name = rng.choice(differing)
            text = json.dumps({**own, name: other[name]}, ensure_ascii=False)
            result[number] = examples[number].model_copy(update={"demonstration": text})
            wanted -= 1
    return result


def agrees(example: Any) -> bool:
    """Whether a demonstration is the reference."""
    return json.loads(example.demonstration) == json.loads(example.reference)


# --- on the GPU: rungs ----------------------------------------------------------------------------------------------


@dataclass
class Task:
    """A rung to be made in a project."""

    world: World
    seed: int
    rung: str
    project: Path
    needs: tuple[str, ...]
    tries: int = 0
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    log: Path = field(default_factory=Path)

    @property
    def name(self) -> str:
        """WORLD/SEED/RUNG."""
        return f"{self.world.name}/{self.seed}/{self.rung}"

    @property
    def row(self) -> Path:
        """The file of its row."""
        return self.project / "rows" / f"{self.rung}.json"


def climb(options: argparse.Namespace) -> None:
    """Make rungs until none is left that can be started in time, or SIGTERM says that time is up.

    A rung that failed is tried once more: processes that share a card may fall with one of them.
    """
    signal.signal(signal.SIGTERM, lambda *_: setattr(options, "seconds", 0.0))
    began = time.monotonic()
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.work.is_dir():
        with tarfile.open(options.packed) as archive:
            archive.extractall(options.work, filter="data")
    waiting = list(tasks(options.work, options.only))
    running: list[Task] = []
    failed = set[str]()
    while waiting or running:
        left = options.seconds - (time.monotonic() - began)
        if left <= 0:
            break
        for task in [task for task in running if task.process and task.process.poll() is not None]:
            running.remove(task)
            ended(task, options.out, time.monotonic() - began)
            if not task.row.is_file():
                if task.tries == TRIES:
                    failed.add(task.name)
                else:
                    waiting.append(task)
        for task in list(waiting):
            if len(running) >= options.jobs or left < 20:
                break
            before = {f"{task.world.name}/{task.seed}/{rung}" for rung in task.needs}
            if before & failed:
                waiting.remove(task)
                failed.add(task.name)
            elif all((task.project / "rows" / f"{rung}.json").is_file() for rung in task.needs):
                waiting.remove(task)
                running.append(started(task))
        time.sleep(0.2)
    for task in running:
        assert task.process is not None
        task.process.kill()
        print(f"out of time: {task.name} after {time.monotonic() - task.began:.0f} s", flush=True)
    print("not started:", *[task.name for task in waiting], flush=True)
    keep(options.work, options.out)
    print(f"{time.monotonic() - began:.0f} s", flush=True)


def tasks(work: Path, only: Sequence[str] | None) -> Iterator[Task]:
    """All rungs that are not made yet, by priority."""
    worlds = {world.name: world for world in WORLDS}
    for name, rung in ORDER:
        for project in sorted(work.glob(f"{name}-[0-9]")):
            world, seed = worlds[name], int(project.name.rpartition("-")[2])
            params = world.rungs[rung]
            teacher = params.get("settings", {}).get("teacher", {}).get("rung")
            needs = tuple({params.get("from"), teacher} - {None, "base"})
            task = Task(world, seed, rung, project, needs)
            if not task.row.is_file() and (not only or any(word in task.name for word in only)):
                yield task


def started(task: Task) -> Task:
    """Start a rung's process."""
    models = task.project / "models"
    if not models.exists():
        models.symlink_to(ROOT / "models")
    task.log = task.project / f"{task.rung}.log"
    settings = {
        "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1",
        "TRL_EXPERIMENTAL_SILENCE": "1", "GRADUS_COMMIT": "unknown",
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])),
    }  # fmt: skip
    command = [sys.executable, "-m", "benchmarks.methods_gpu", "rung", str(task.project), task.world.run, task.rung]
    with task.log.open("wb") as log:
        task.process = subprocess.Popen(command, env={**os.environ, **settings}, stdout=log, stderr=subprocess.STDOUT)
    task.began = time.monotonic()
    task.tries += 1
    return task


def ended(task: Task, out: Path, now: float) -> None:
    """Report a process that ended: its row, or the end of its log."""
    took = time.monotonic() - task.began
    if not task.row.is_file():
        (out / "failed.log").open("a").write(f"--- {task.name}\n{task.log.read_text(errors='replace')[-4000:]}\n")
        print(f"{now:4.0f} s FAILED {task.name} after {took:.0f} s: {task.log.read_text(errors='replace')[-700:]}")
        return
    row = json.loads(task.row.read_text()) | {"world": task.world.name, "wall": round(took, 1), "ended": round(now, 1)}
    with (out / "rows.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    print(f"{now:4.0f} s {task.name}: {100 * row['value']:.1f} % right of {row['n']}, {100 * row['valid']:.1f} % "
          f"valid, dev {row['dev_score']:.3f}; {row['seconds']:.0f} s made, {took:.0f} s in all",
          flush=True)  # fmt: skip


def keep(work: Path, out: Path) -> None:
    """Pack answers and records of the rungs."""
    with tarfile.open(out / "answers.tar.gz", "w:gz", compresslevel=3) as archive:
        for pattern in ("*/artifacts/*/answers/*/*.jsonl", "*/artifacts/*/rungs/*/result.json"):
            for path in sorted(work.glob(pattern)):
                archive.add(path, str(path.relative_to(work)))


def make(project: Path, run_name: str, rung: str) -> None:
    """Make a rung in a project and let it answer test; its row goes to rows/RUNG.json."""
    os.chdir(project)
    import torch

    torch.set_num_threads(1 if torch.cuda.is_available() else 2)
    plain()
    from components.evaluation.metrics import wilson
    from components.records import write_jsonl
    from components.stages.answers import answers_folder, judge, opened_rung
    from components.stages.run import Run
    from components.stages.rungs import rung as make_rung
    from components.tracking import NullTracker

    run = Run.load(run_name)
    make_rung(run, NullTracker(), rung)
    made = run.rung(rung)
    answers = opened_rung(run, made).attempt(run.examples("test"), run.seed, run.trials)
    judged = judge(run, rung, run.asked("test"), answers.completions)
    folder = answers_folder(run, rung)
    write_jsonl(folder / "test.jsonl", answers.completions)
    write_jsonl(folder / "test.scores.jsonl", judged)
    passed = [bool(answer.score and answer.score.passed) for answer in judged]
    share = wilson(sum(passed), len(passed))
    row = {
        "workload": run.workload.name, "method": rung, "seed": run.seed, "value": share.value, "low": share.low,
        "high": share.high, "n": len(passed), "valid": sum(answer.valid for answer in judged) / len(judged),
        "undecided": sum(answer.score is None for answer in judged), "dev_score": made.dev_score,
        "seconds": round(made.seconds, 1), "answer_seconds": round(answers.seconds, 1), "machine": machine(),
        "passed": "".join("1" if right else "0" for right in passed),
    }  # fmt: skip
    path = Path("rows") / f"{rung}.json"
    path.parent.mkdir(exist_ok=True)
    path.with_suffix(".part").write_text(json.dumps(row))
    path.with_suffix(".part").rename(path)


def plain() -> None:
    """Train without compiled layers: for a small model on a GPU, compiling takes longer than it saves."""
    from components.methods.sft import trainer

    trainer.compiled = lambda layers: layers


if __name__ == "__main__":
    main()
