"""The watch's false alarms, and its delay for four drifts: streams of simulated tickets with real answers.

Each stream has its own seed; a champion answers its tickets, people correct a share of the answers, and at regular
intervals the watch looks at the latest ones, as in production, with the settings of params/pipeline.yaml. Distances are
Evidently's, computed without its page. A stream without drift that is called drifted at any look is a false alarm.
Finally, a whole look, including the page, at a window in a lake of a million traces: seconds and peak memory.

    python -m benchmarks.watch --project .        # a project that has climbed; its GRPO rung answers
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ladder import machine
from components.data.masking import mask
from components.engines import ChatRequest, Engine, Sampling
from components.params import Pipeline, WatchParams, Workload, load
from components.prompts import Prompt, load_prompt
from components.records import Completion, Example, Message, Observation, Trace, Usage, read_jsonl
from components.scorers import JsonSchemaScorer, build
from components.stages.run import git_commit
from monitoring.calibration import limits, measured
from monitoring.columns import compare, text_of
from monitoring.traffic import Plan, tickets

ROOT = Path(__file__).resolve().parents[1]
WORKLOAD, PIPELINE = Path("params/workloads/triage.yaml"), Path("params/pipeline.yaml")
DRIFTS = ("new-wording", "new-product", "shifted-mix", "broken-field")
LAKE_ROWS, LAKE_FILES = 1_000_000, 100


def main() -> None:
    """Answer all streams, watch them, print and write the record."""
    options = parse()
    if options.million is not None:
        print(json.dumps(look_at_a_million(options.million)))
        return
    started, bench = time.monotonic(), Bench(options)
    calm = [bench.stream(seed, "none", options.requests) for seed in range(options.runs)]
    record: dict[str, Any] = {
        "command": " ".join(["python -m benchmarks.watch", *sys.argv[1:]]),
        "machine": machine(), "date": date.today().isoformat(), "git_commit": git_commit(),
        "settings": bench.params.model_dump(), "look_every": options.every, "drift_at": options.drift_at,
        "reference_rows": len(bench.reference), "feedback_share": options.feedback,
        "without_drift": {
            "runs": options.runs, "requests": options.requests, "looks": sum(run["looks"] for run in calm),
            "looks_called_drifted": sum(len(run["alarms"]) for run in calm),
            "false_alarms": sum(bool(run["alarms"]) for run in calm), "alarms": [run["alarms"] for run in calm],
            "accuracy": float(np.mean([run["accuracy"] for run in calm])),
        },
        "drifts": {drift: summary([bench.stream(seed, drift, options.drift_at + options.after)
                                   for seed in range(options.drift_runs)], options) for drift in DRIFTS},
    }  # fmt: skip
    record["million_rows"] = a_million()
    record["seconds"] = round(time.monotonic() - started, 1)
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    show(record)
    print(f"Written: {options.out}")


def parse() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, default=Path(), help="a project folder that has climbed triage-nano")
    parser.add_argument("--runs", type=int, default=20, help="streams without drift")
    parser.add_argument("--drift-runs", type=int, default=10, help="streams of each drift")
    parser.add_argument("--requests", type=int, default=1000, help="of a stream without drift")
    parser.add_argument("--drift-at", type=int, default=500, help="request at which drifts begin")
    parser.add_argument("--after", type=int, default=500, help="requests after that")
    parser.add_argument("--every", type=int, default=125, help="requests between two looks")
    parser.add_argument("--feedback", type=float, default=0.3, help="share of the answers that people look at")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "watch.json")
    parser.add_argument("--million", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


class Bench:
    """The champion, its reference, and cached limits."""

    def __init__(self, options: argparse.Namespace) -> None:
        from components.engines.embedding import embed
        from components.engines.transformers_engine import TransformersEngine

        artifacts: Path = options.project / "artifacts" / "triage-nano"
        self.options, self.model = options, artifacts / "rungs" / "grpo" / "artifact"
        self.workload: Workload = load(WORKLOAD, Workload)
        self.params: WatchParams = load(PIPELINE, Pipeline).watch
        self.prompt: Prompt = load_prompt(self.model, "prompt", ("message", "channel"))
        self.engine: Engine = TransformersEngine.open(self.model, 49_152)
        self.schema, self.scorer = (
            JsonSchemaScorer(self.workload.output),
            build(self.workload.scorer, self.workload.output),
        )
        self._embed = embed
        held_out = [
            example
            for split in ("test", "sealed")
            for example in read_jsonl(artifacts / "data" / f"{split}.jsonl", Example)
        ]
        self.reference = self.observed(held_out, [True] * len(held_out))
        self.vectors = self.embedded(self.reference)
        self._calm: dict[int, tuple[list[Observation], np.ndarray, list[bool]]] = {}

    def stream(self, seed: int, drift: str, requests: int) -> dict[str, Any]:
        """Answer a stream, looking at regular intervals."""
        rows, vectors, right = self.answered(seed, drift, requests)
        alarms: list[dict[str, Any]] = []
        ends = range(self.options.every, len(rows) + 1, self.options.every)
        looks = [end for end in ends if end >= self.params.min_rows]
        for end in looks:
            start = max(0, end - self.params.window_rows)
            fresh = min(self.options.every, end) / (end - start) if end > looks[0] else 1.0
            if moved := self.look(rows[start:end], vectors[start:end], fresh):
                alarms.append({"request": end, "moved": moved})
        began = self.options.drift_at
        print(
            f"{drift} {seed}: {len(looks)} looks, {len(alarms)} called drifted", alarms[0] if alarms else "", flush=True
        )
        return {"looks": len(looks), "alarms": alarms, "accuracy": float(np.mean(right)),
                "before": float(np.mean(right[:began])), "after": float(np.mean(right[began:]))}  # fmt: skip

    def answered(self, seed: int, drift: str, requests: int) -> tuple[list[Observation], np.ndarray, list[bool]]:
        """A stream's observations and embeddings, and whether each answer was right; before the drift it is calm."""
        calm_until = requests if drift == "none" else self.options.drift_at
        plan = Plan(requests, drift, calm_until, self.options.feedback, 5000 + seed)
        examples = tickets(self.workload, plan)
        if seed not in self._calm:
            self._calm[seed] = self._answer(examples[:calm_until], seed)
        calm = self._calm[seed]
        rows, vectors, right = calm[0][:calm_until], calm[1][:calm_until], calm[2][:calm_until]
        if calm_until == requests:
            return rows, vectors, right
        after = self._answer(examples[calm_until:], seed)
        return [*rows, *after[0]], np.concatenate([vectors, after[1]]), [*right, *after[2]]

    def _answer(self, examples: Sequence[Example], seed: int) -> tuple[list[Observation], np.ndarray, list[bool]]:
        labelled = np.random.default_rng(seed).random(len(examples)) < self.options.feedback
        rows = self.observed(examples, labelled.tolist())
        return rows, self.embedded(rows), self._right

    def observed(self, examples: Sequence[Example], labelled: Sequence[bool]) -> list[Observation]:
        """The champion's answers as the watch sees them, with scores if people reviewed them."""
        requests = [ChatRequest(ticket.id, self.prompt.messages(ticket)) for ticket in examples]
        completions = self.engine.generate(requests, Sampling(max_new_tokens=96))
        scores = [self.scorer.score(*pair) for pair in zip(examples, completions, strict=True)]
        self._right = [score.passed for score in scores]
        return [
            self._observation(example, completion, float(score.passed) if known else None)
            for example, completion, score, known in zip(examples, completions, scores, labelled, strict=True)
        ]

    def _observation(self, example: Example, completion: Completion, score: float | None) -> Observation:
        return Observation(
            input={name: mask(example.input[name]) for name in self.prompt.placeholders},
            text=mask(completion.text), output_tokens=completion.usage.output_tokens,
            valid=self.schema.score(example, completion).passed, confidence=completion.confidence, score=score,
        )  # fmt: skip

    def embedded(self, rows: Sequence[Observation]) -> np.ndarray:
        """The champion's embeddings."""
        return self._embed(self.model, [text_of(row) for row in rows])

    def look(self, rows: Sequence[Observation], vectors: np.ndarray, fresh: float) -> list[str]:
        """The columns of a window that moved, the farthest first; `fresh` is its new share."""
        table = compare(
            self.reference, rows, self.workload.output, (self.vectors, vectors), self.params.embedding_columns
        )
        allowed = limits(table, self.params.false_alarms * fresh, self.params.resamples, seed=0)
        values = measured(table)
        ratios = {name: values[name] / allowed[name] for name in values}
        return sorted((name for name in ratios if ratios[name] > 1), key=lambda name: -ratios[name])


def summary(streams: list[dict[str, Any]], options: argparse.Namespace) -> dict[str, Any]:
    """How many streams of a drift were detected, the delay, what moved first, and the champion's loss."""
    delays, early, kinds = [], 0, []
    for stream in streams:
        early += any(alarm["request"] <= options.drift_at for alarm in stream["alarms"])
        seen = next((alarm for alarm in stream["alarms"] if alarm["request"] > options.drift_at), None)
        delays.append(None if seen is None else seen["request"] - options.drift_at)
        kinds.append(sorted({name.split(".")[0] for name in seen["moved"]}) if seen else [])
    detected = [delay for delay in delays if delay is not None]
    return {
        "runs": len(streams), "detected": len(detected), "called_before_it_began": early, "delays_requests": delays,
        "median_delay_requests": float(np.median(detected)) if detected else None, "first_kinds": kinds,
        "accuracy_before": float(np.mean([stream["before"] for stream in streams])),
        "accuracy_after": float(np.mean([stream["after"] for stream in streams])),
    }  # fmt: skip


def a_million() -> dict[str, Any]:
    """A look at a lake of a million traces, in a separate process: its seconds and peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder))
        command = [sys.executable, "-m", "benchmarks.watch", "--million", folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=dict(os.environ))
        return json.loads(done.stdout.splitlines()[-1])


def fill(folder: Path) -> None:
    """Fill a lake with a million traces of simulated tickets, with the right answers."""
    from components.workloads.triage import generate
    from monitoring.lake import Lake

    lake, now, size = Lake(folder / "lake"), time.time(), LAKE_ROWS // LAKE_FILES
    examples = list(generate(size, 99))
    for part in range(LAKE_FILES):
        lines: list[str] = []
        for index, ticket in enumerate(examples):
            trace = Trace(
                id=f"chatcmpl-{part}-{index}",
                at=now - 86_000 * (part * size + index) / LAKE_ROWS,
                workload="triage",
                version=1,
                method="grpo",
                input={"message": ticket.message},
                messages=(Message(role="user", content=ticket.message),),
                text=json.dumps(ticket.gold),
                finish_reason="stop",
                usage=Usage(input_tokens=90, output_tokens=55),
                latency_ms=20.0,
                valid=True,
                confidence=0.9,
            )
            lines.append(trace.model_dump_json())
        lake.store(f"segment-{part}", lines)


def look_at_a_million(folder: Path) -> dict[str, Any]:
    """Read, embed, compare and draw like `gradus watch`; the reference is a sample of the same lake."""
    from components.engines.embedding import embed
    from monitoring.lake import Lake
    from monitoring.watch import Sides, watch
    from monitoring.windows import Stream, current_window

    started, workload = time.monotonic(), load(WORKLOAD, Workload)
    params, model = load(PIPELINE, Pipeline).watch, ROOT / "models" / "nano"
    now = time.time()
    window = current_window(Stream(Lake(folder / "lake"), "triage", 1), (now - 90_000, now), params.window_rows)
    read_s = time.monotonic() - started
    reference = [row for row in window.observations for _ in range(2)]
    vectors = embed(model, [text_of(row) for row in window.observations])
    sides = Sides("triage", workload.output, reference, window, (np.repeat(vectors, 2, axis=0), vectors))
    result = watch(sides, params, folder / "page.html")
    return {
        "rows": window.total, "sampled": result.rows, "read_seconds": round(read_s, 1),
        "seconds": round(time.monotonic() - started, 1),
        "peak_gb": round(peak_kb() / 1e6, 2),
    }  # fmt: skip


def peak_kb() -> int:
    """The peak memory of this process; its rusage counter would start at its parent's."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))


def show(record: dict[str, Any]) -> None:
    """Print the record."""
    calm = record["without_drift"]
    print(f"without drift: {calm['false_alarms']} of {calm['runs']} runs called drifted ({calm['looks']} looks)")
    for name, drift in record["drifts"].items():
        seen = f"seen in {drift['detected']} of {drift['runs']}, median delay {drift['median_delay_requests']} requests"
        print(f"{name}: {seen}; accuracy {drift['accuracy_before']:.1%} before, {drift['accuracy_after']:.1%} after")
    print(f"a million rows: {record['million_rows']}")


if __name__ == "__main__":
    main()
