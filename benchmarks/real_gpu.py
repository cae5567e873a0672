"""SmolLM2-135M on real data sets, on a GPU: the product's own training, engine and scorers, for as many runs as fit.

    python -m benchmarks.real_gpu --model models/smollm2-135m --splits FOLDER --out OUT --seconds 480

`FOLDER` has the stage `data`'s output for each workload, FOLDER/<workload>/{train,dev,test,sealed}.jsonl, and
`suspects.json` from benchmarks.real_noise. Runs are distributed to several processes, by priority; a run is not started
unless it is expected to end in time, and results are written after each: OUT/real.json, and a line in OUT/passed.jsonl
with the outcomes.
"""

import argparse
import gc
import json
import multiprocessing
import os
import random
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, cast

from benchmarks import real_noise
from benchmarks.ladder import machine
from benchmarks.real_scores import measure
from components.methods.sft.settings import SftParams
from components.params import LoraParams, Workload, load
from components.prompts import Prompt, load_prompt
from components.records import Example, read_jsonl
from components.scorers import build, score_all

ROWS, ROW_TOKENS = 8, 512  # per step, for every set: a single shape, compiled once
RATES = (4e-4, 1e-3)
BATCH_ROWS = 2048  # answered at once
DRAWS = 4  # per prompt, for rejection sampling
# What a worker's first run falls back to if this machine does not support the default.
ATTEMPTS = ("as it is", "layers not compiled", "plain generation")
LORA = LoraParams(rank=32, alpha=64)


@dataclass(frozen=True)
class Setting:
    """The settings for training and answering a set; a token limit is for the longest answer."""

    epochs: float
    new_tokens: int
    columns: tuple[str, ...] = ("text",)


SETS = {
    "snips": Setting(3, 112),
    "banking77": Setting(4, 32),
    "restaurants8k": Setting(3, 72, ("requested", "text")),
    "nluplusplus-banking": Setting(8, 160),
    "nluplusplus-hotels": Setting(12, 160),
}


@dataclass(frozen=True)
class Job:
    """A run. `train` selects its demonstrations: all, a number, or folds; `seconds` is its expected duration."""

    name: str
    set: str
    train: str = "all"
    method: str = "sft"
    noise: float = 0.0
    seed: int = 1
    rate: float | None = None  # None: the rate that was better on dev
    seconds: float = 60.0
    evaluations: int = 1


@dataclass
class Bench:
    """A worker's cache between runs: a set's examples, prompt and scorer are read once."""

    model: Path
    splits: Path
    scratch: Path
    limit: int | None
    read: dict[str, dict[str, list[Example]]] = field(default_factory=dict)

    def examples(self, name: str) -> dict[str, list[Example]]:
        """Split → examples."""
        if name not in self.read:
            folder = self.splits / name
            self.read[name] = {
                split: read_jsonl(folder / f"{split}.jsonl", Example) for split in ("train", "dev", "test", "sealed")
            }
        return self.read[name]


def jobs() -> list[Job]:
    """All runs, by priority."""
    listed = [Job(f"snips rate {rate:g}", "snips", rate=rate, evaluations=3, seconds=70) for rate in RATES]
    listed += [Job(f"banking77 rate {rate:g}", "banking77", rate=rate, evaluations=2, seconds=45) for rate in RATES]

    def noisy(share: float, seeds: Sequence[int]) -> Iterator[Job]:
        for seed in seeds:
            here: dict[str, Any] = {"set": "snips", "train": "subset", "noise": share, "seed": seed}
            name = f"snips noise {share:g} seed {seed}"
            yield Job(f"{name} sft+rft", method="sft+rejection_sampling", seconds=75, **here)
            yield Job(f"{name} audited", method="sft_audited", seconds=30, **here)

    listed += [Job(f"snips seed {seed}", "snips", seed=seed, evaluations=3, seconds=70) for seed in (2, 3)]
    listed += [Job("restaurants8k", "restaurants8k", evaluations=2, seconds=40)]
    listed += [Job(f"snips {n}", "snips", train=str(n), seconds=15 + n / 300) for n in (1000, 3000, 6000)]
    listed += noisy(0.1, (1, 2, 3))
    listed += [Job(f"{name} large", name, train="folds 0-17", seconds=30) for name in list(SETS)[3:]]
    listed += [*noisy(0.2, (1, 2, 3)), *noisy(0.0, (1, 2, 3))]
    listed += [Job(f"{name} tenth", name, train="folds 0-1", seconds=25) for name in list(SETS)[3:]]
    listed += noisy(0.05, (1, 2, 3))
    listed += [Job(f"banking77 seed {seed}", "banking77", seed=seed, evaluations=2, seconds=45) for seed in (2, 3)]
    listed += [Job("snips lora", "snips", method="sft_lora", seconds=120)]
    return listed


def drawn(examples: Sequence[Example], n: int, seed: int) -> list[Example]:
    """A seeded sample."""
    return random.Random(f"drawn/{seed}").sample(list(examples), min(n, len(examples)))


def chosen(job: Job, splits: dict[str, list[Example]]) -> tuple[list[Example], list[Example]]:
    """A run's training and test data."""
    train, test = [*splits["train"], *splits["sealed"]], splits["test"]
    if job.train.startswith("folds "):
        first, last = (int(part) for part in job.train.removeprefix("folds ").split("-"))
        rows = [example for split in splits.values() for example in split]
        inside = [first <= int(example.id.split("-")[1]) <= last for example in rows]
        return (
            [row for row, there in zip(rows, inside, strict=True) if there],
            [row for row, there in zip(rows, inside, strict=True) if not there],
        )
    if job.train == "subset":
        taken, held_out = real_noise.subset(train, job.seed)
        return real_noise.plant(taken, job.noise, job.seed), [*test, *held_out]
    return (train if job.train == "all" else drawn(train, int(job.train), job.seed)), test


class Runner:
    """Runs jobs in this process, and passes each row to `tell`."""

    def __init__(self, bench: Bench, tell: Callable[[str, Any], None], plain_generation: bool = False) -> None:
        self.bench, self.tell, self.plain_generation = bench, tell, plain_generation

    def run(self, job: Job) -> None:
        """Run a job and report its rows."""
        workload = load(Path("params/workloads") / f"{job.set}.yaml", Workload)
        splits = self.bench.examples(job.set)
        train, test = chosen(job, splits)
        dev = [] if job.train.startswith("folds ") else drawn(splits["dev"], 700, 0)
        if job.method == "sft_audited":
            suspected = json.loads((self.bench.splits / "suspects.json").read_text())[f"{job.noise:g}/{job.seed}"]
            train = real_noise.reviewed(train, suspected)
        if self.bench.limit:
            train, test, dev = (drawn(rows, self.bench.limit, 0) for rows in (train, test, dev))
        work = _Work(self.bench, job, workload, self.plain_generation)
        first = replace(job, method=job.method.partition("+")[0])
        model = work.train(train, dev or test[:1])
        self._measure(work, first, model, train, test)
        selected = work.sampled(model, train) if job.method.endswith("+rejection_sampling") else []
        if selected:  # a model that is never right leaves no training data
            model = work.train(selected, dev)
            self._measure(work, replace(job, method="rejection_sampling"), model, selected, test)
        work.clear()

    def _measure(self, work: "_Work", job: Job, model: Path, train: Sequence[Example], test: Sequence[Example]) -> None:
        """Answer the test examples and report."""
        began = time.perf_counter()
        texts = work.answers(model, test)
        numbers = measure(test, texts, work.scorer)
        row = asdict(job) | {
            "rate": work.rate,
            "dev_score": work.trained.dev_score,
            "examples_per_second": work.trained.examples_per_second,
            "steps": work.trained.steps,
            "train_examples": len(train),
            "train_seconds": work.trained.seconds,
            "test_seconds": time.perf_counter() - began,
            "test_ids": [example.id for example in test],
            "loss": work.trained.curves.get("loss", [])[-1:],
        }
        self.tell("row", row | numbers | {"texts": texts if job.train != "subset" else None})


class _Work:
    """A job's training and answering."""

    def __init__(self, bench: Bench, job: Job, workload: Workload, plain_generation: bool) -> None:
        self.bench, self.job, self.workload, self.plain_generation = bench, job, workload, plain_generation
        self.setting = SETS[job.set]
        self.prompt: Prompt = load_prompt(
            Path("params/prompts") / job.set, workload.trained_prompt, self.setting.columns
        )
        self.scorer = build(workload.scorer, workload.output)
        self.rate = job.rate
        self.trained: Any = None
        self.folder = Path(tempfile.mkdtemp(prefix="real", dir=bench.scratch))

    def params(self, train: Sequence[Example]) -> SftParams:
        """The settings, with as many examples per step as fill its rows."""
        assert self.rate is not None, "a rate is chosen before the run"
        shared: dict[str, Any] = {
            "epochs": self.setting.epochs,
            "learning_rate": self.rate,
            "evaluations": self.job.evaluations,
            "patience": self.job.evaluations,
            "max_tokens": ROW_TOKENS,
        }
        if self.job.method == "sft_lora":
            return SftParams(lora=LORA, batch_examples=48, device_batch_examples=48, **shared)
        batch = self._filling(train)
        return SftParams(batch_examples=batch, device_batch_examples=batch, packed_tokens=ROW_TOKENS, **shared)

    def _filling(self, train: Sequence[Example]) -> int:
        """The mean number of examples that fill a step's rows, so that all sets have the same shape."""
        from transformers import AutoTokenizer

        from components.training.encode import encode_examples
        from components.training.packing import Packing

        tokenizer = AutoTokenizer.from_pretrained(self.bench.model)
        encoded = encode_examples(tokenizer, self.prompt, train, ROW_TOKENS)
        return max(1, round(ROWS * len(encoded) / Packing.plan(encoded, ROW_TOKENS, 1, self.job.seed).epoch_rows))

    def train(self, train: Sequence[Example], dev: Sequence[Example]) -> Path:
        """Train with the product's SFT; return the folder of the weights with the best dev score."""
        from components.methods.sft.training import train_sft
        from components.tracking import NullTracker
        from components.training.task import TrainingTask

        out, work = self.folder / "model", self.folder / "work"
        shutil.rmtree(work, ignore_errors=True)

        def score_dev(model: Any, tokenizer: Any) -> float:
            from components.engines.transformers_engine import TransformersEngine

            engine = TransformersEngine.of_trained(model, tokenizer, self._batch_tokens(), "bf16")
            texts = self._ask(engine, dev)
            return sum(measure(dev, texts, self.scorer)["passed"]) / len(dev)

        task = TrainingTask(self.bench.model, train, self.prompt, score_dev, self.job.seed, work, out, "bf16")
        self.trained = train_sft(task, self.params(train), NullTracker())
        shutil.rmtree(work, ignore_errors=True)
        _free()
        return out

    def answers(self, model: Path, examples: Sequence[Example]) -> list[str]:
        """Greedy answers."""
        from components.engines.transformers_engine import TransformersEngine

        texts = self._ask(TransformersEngine.open(model, self._batch_tokens(), "bf16"), examples)
        _free()
        return texts

    def sampled(self, model: Path, train: Sequence[Example]) -> list[Example]:
        """Demonstrations by rejection sampling: each prompt's first right sample."""
        from components.engines.transformers_engine import TransformersEngine

        engine = TransformersEngine.open(model, self._batch_tokens(), "bf16")
        completions = self._complete(engine, train, n=DRAWS, temperature=1.0)
        pairs = [(example, completions[index * DRAWS + k]) for index, example in enumerate(train) for k in range(DRAWS)]
        right = [getattr(outcome, "passed", False) for outcome in score_all(self.scorer, pairs)]
        first_right: dict[str, Example] = {}
        for (example, completion), passed in zip(pairs, right, strict=True):
            if passed:
                first_right.setdefault(
                    example.id, example.model_copy(update={"demonstration": completion.text.strip()})
                )
        del engine
        _free()
        return list(first_right.values())

    def _batch_tokens(self) -> int:
        return BATCH_ROWS * (self.setting.new_tokens + 24)

    def _ask(self, engine: Any, examples: Sequence[Example]) -> list[str]:
        return [completion.text for completion in self._complete(engine, examples)]

    def _complete(self, engine: Any, examples: Sequence[Example], **sampling: Any) -> list[Any]:
        from components.engines import ChatRequest, Sampling

        requests = [ChatRequest(example.id, self.prompt.messages(example)) for example in examples]
        sampling_params = Sampling(max_new_tokens=self.setting.new_tokens, seed=self.job.seed, **sampling)
        if self.plain_generation:
            return by_transformers(engine, requests, sampling_params)
        return engine.generate(requests, sampling_params)

    def clear(self) -> None:
        """Remove the trained weights."""
        shutil.rmtree(self.folder, ignore_errors=True)


def by_transformers(engine: Any, requests: Sequence[Any], sampling: Any, rows: int = 512) -> list[Any]:
    """The same answers with transformers' own generation, as a fallback if the engine cannot run."""
    import torch

    from components.records import Completion

    tokenizer, model = engine.tokenizer, engine.model.eval()
    tokenizer.padding_side = "left"
    drawn: dict[str, Any] = {"do_sample": True, "temperature": sampling.temperature, "top_k": 0}
    settings = drawn if sampling.temperature else {"do_sample": False}
    texts: list[str] = []
    for start in range(0, len(requests), rows):
        turns = [[message.model_dump() for message in request.messages] for request in requests[start : start + rows]]
        shown = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        batch = tokenizer(shown, add_special_tokens=False, padding=True, return_tensors="pt").to(model.device)
        with torch.inference_mode():
            tokens = model.generate(
                **batch, max_new_tokens=sampling.max_new_tokens, num_return_sequences=sampling.n, **settings
            )
        texts += tokenizer.batch_decode(tokens[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    names = [request.example_id for request in requests for _ in range(sampling.n)]
    return [Completion.of_text(name, text) for name, text in zip(names, texts, strict=True)]


def _free() -> None:
    """Release GPU memory, which other processes share."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def work(bench: Bench, pipe: Any) -> None:
    """A worker: receives jobs through the pipe, and returns rows and ends."""
    from components.methods.sft import trainer as sft_trainer

    plain, attempts, first = sft_trainer.compiled, list(ATTEMPTS), True
    while (job := pipe.recv()) is not None:
        began = time.perf_counter()
        while attempts:
            attempt = attempts[0]
            try:
                sft_trainer.compiled = plain if attempt == "as it is" else lambda layers: layers
                runner = Runner(bench, lambda kind, content: pipe.send((kind, content)), attempt == "plain generation")
                runner.run(job)
                break
            except Exception:  # a failed run must not end the others; it is reported with its cause
                pipe.send(("failed", {"job": job.name, "attempt": attempt, "error": traceback.format_exc()[-3000:]}))
                _free()
                if len(attempts) == 1 or not first:
                    break
                attempts.pop(0)
        first = False
        pipe.send(("done", {"job": job.name, "seconds": time.perf_counter() - began}))


class Board:
    """The remaining jobs, the rates that were better on dev, and the results."""

    def __init__(self, out: Path, listed: list[Job], machine: str, fixed_rate: float | None) -> None:
        self.out, self.left, self.machine, self.fixed_rate = out, listed, machine, fixed_rate
        self.rows: list[dict[str, Any]] = []
        self.problems: list[dict[str, Any]] = []
        self.ends: list[dict[str, Any]] = []
        self.slowness = 1.0
        out.mkdir(parents=True, exist_ok=True)

    def next(self, remaining: float) -> Job | None:
        """The first job whose rate is known and that is expected to end in time."""
        for index, job in enumerate(self.left):
            rate = job.rate or self.rate(job.set)
            if rate is not None and job.seconds * self.slowness < remaining:
                del self.left[index]
                return replace(job, rate=rate)
        return None

    def waits(self, remaining: float) -> bool:
        """Whether a remaining job only waits for its rate."""
        return any(job.rate is None and not self.rate(job.set) and job.seconds < remaining for job in self.left)

    def rate(self, name: str) -> float | None:
        """The rate that was better on this set's dev, once both are tried; other sets use that of SNIPS."""
        if self.fixed_rate is not None:
            return self.fixed_rate
        tried = {row["rate"]: row["dev_score"] for row in self.rows if row["set"] == name and " rate " in row["name"]}
        if len(tried) == len(RATES):
            return max(tried, key=lambda rate: tried[rate])
        return None if name in ("snips", "banking77") else self.rate("snips")

    def take(self, kind: str, content: dict[str, Any], seconds: float) -> None:
        """Record a worker's message."""
        if kind == "row":
            with (self.out / "passed.jsonl").open("a", encoding="utf-8") as file:
                fields = ("name", "set", "method", "noise", "seed", "rate", "test_ids", "texts")
                bits = "".join("1" if passed else "0" for passed in content["passed"])
                line = {key: content[key] for key in fields} | {"passed": bits}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
            slim = {key: value for key, value in content.items() if key not in ("test_ids", "texts", "passed")}
            self.rows.append(slim)
            metrics = {name: round(value["value"], 4) for name, value in content["metrics"].items()}
            print(f"{seconds:5.0f} s {content['name']} {content['method']} {metrics}, dev {content['dev_score']:.4f}, "
                  f"{content['train_seconds']:.1f} + {content['test_seconds']:.1f} s, "
                  f"{content['examples_per_second']:.0f}/s", flush=True)  # fmt: skip
        elif kind == "failed":
            self.problems.append(content)
            print(f"{seconds:5.0f} s FAILED {content['job']} ({content['attempt']}): {content['error']}", flush=True)
        else:
            self.ends.append(content)
        self.write(seconds)

    def write(self, seconds: float) -> None:
        """Write all results so far, atomically."""
        record = {
            "machine": self.machine,
            "seconds": seconds,
            "rows": self.rows,
            "ends": self.ends,
            "failed": self.problems,
            "left": [job.name for job in self.left],
        }
        part = self.out / "real.json.part"
        part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        part.replace(self.out / "real.json")


def supervise(bench: Bench, board: Board, workers: int, seconds: float) -> None:
    """Distribute jobs until none is left that would end in time."""
    context = multiprocessing.get_context("spawn")
    began = time.perf_counter()
    expected: dict[str, float] = {}
    pipes: dict[Any, Any] = {}
    for _ in range(workers):
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(bench, theirs), daemon=True)
        process.start()
        pipes[ours] = process
    idle, busy = list(pipes), set[Any]()
    while True:
        passed = time.perf_counter() - began
        for pipe in list(idle):
            job = board.next(seconds - passed)
            if job is None:
                break
            expected[job.name] = job.seconds
            pipe.send(job)
            idle.remove(pipe)
            busy.add(pipe)
        if not busy and not board.waits(seconds - passed):
            break
        if passed > seconds:
            print(f"{passed:5.0f} s: out of time, {len(busy)} runs are given up", flush=True)
            break
        for pipe in cast(list[Any], wait(list(busy), timeout=1.0)):
            try:
                kind, content = pipe.recv()
            except EOFError:
                print("a worker died", flush=True)
                busy.remove(pipe)
                continue
            now = time.perf_counter() - began
            board.take(kind, content, now)
            if kind == "done":
                busy.remove(pipe)
                idle.append(pipe)
                took = [end["seconds"] / expected[end["job"]] for end in board.ends[-4:]]
                board.slowness = max(0.3, sum(took) / len(took))
    board.write(time.perf_counter() - began)
    for process in pipes.values():
        process.kill()


def main() -> None:
    """Run as many jobs as fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=480)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--limit", type=int, help="Examples of each split, to try the script.")
    parser.add_argument("--rate", type=float, help="Learning rate of runs that would wait for the better one.")
    parser.add_argument("--only", nargs="*", help="Words that a job's name must contain.")
    arguments = parser.parse_args()
    os.environ |= {"TQDM_DISABLE": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    shared = Path("/dev/shm")
    roomy = shared.is_dir() and shutil.disk_usage(shared).free > 20e9
    scratch = Path(tempfile.mkdtemp(prefix="gradus", dir=shared if roomy else None))
    bench = Bench(arguments.model, arguments.splits, scratch, arguments.limit)
    listed = [job for job in jobs() if not arguments.only or any(word in job.name for word in arguments.only)]
    try:
        supervise(bench, Board(arguments.out, listed, machine(), arguments.rate), arguments.workers, arguments.seconds)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
