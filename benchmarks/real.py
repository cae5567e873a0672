"""Makes the record of real data sets, benchmarks/real.json: splits, the classical floor, and measurements on a GPU.

    python -m benchmarks.real splits --data data --splits SPLITS
    python -m benchmarks.real floor --splits SPLITS
    python -m benchmarks.real gather --splits SPLITS --measured OUT --note "what the seconds are of"

`splits` does the same as the stage `data`, for every set whose files are present. `floor` fits the product's classical
rung to the model's training demonstrations and measures it on the same test rows. `gather` reads the results of
benchmarks.real_gpu in OUT, and evaluates the audit's suspects in SPLITS. The last two replace their own rows of the
record and keep the others.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import real_noise
from benchmarks.real_gpu import SETS, Bench, Job, chosen
from benchmarks.real_scores import measure
from components.data.prepare import prepare
from components.errors import DataError
from components.evaluation import classical
from components.evaluation.metrics import wilson
from components.params import Workload, load
from components.scorers import build
from components.tracking import NullTracker

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "benchmarks" / "real.json"
FLOOR, MODEL = "TF-IDF + linear model", "SmolLM2-135M-Instruct"
TEST_ROWS = {"snips": 700}  # runs with planted errors are measured on these and on further ones
Rows = list[dict[str, Any]]


def workload_of(name: str) -> Workload:
    """A set's settings."""
    return load(ROOT / "params" / "workloads" / f"{name}.yaml", Workload)


def make_splits(data: Path, splits: Path) -> None:
    """data/<set>/ → SPLITS/<set>/{train,dev,test,sealed}.jsonl, for the sets that are present."""
    for name in SETS:
        if (data / name).is_dir():
            print(name, prepare(workload_of(name), data / name, splits / name, NullTracker()).summary, flush=True)
        else:
            print(f"{name}: expected its files in {data / name}, found none; docs/results.md says where they come from")


def floor(splits: Path) -> Rows:
    """A row per metric and set."""
    bench, rows = Bench(Path(), splits, Path(), None), Rows()
    for job in floor_jobs():
        workload = workload_of(job.set)
        train, test = chosen(job, bench.examples(job.set))
        began = time.perf_counter()
        fitted = classical.fit(train, workload.output, SETS[job.set].columns)
        seconds = time.perf_counter() - began
        texts = [completion.text for completion in fitted.predict(test)]
        numbers = measure(test, texts, build(workload.scorer, workload.output))
        row = {"set": job.set, "model": FLOOR, "method": "classical", "noise": 0.0, "seed": 0}
        more = {"train_examples": len(train), "seconds": seconds, "machine": processor()}
        rows += [row | metric | more for metric in by_metric(numbers["metrics"], numbers["n"])]
        print(job.set, len(train), {metric["metric"]: round(metric["value"], 4) for metric in rows[-5:]}, flush=True)
    return rows


def floor_jobs() -> list[Job]:
    """The floor's training data: all demonstrations, and for NLU++ the model's two folds."""
    return [
        Job("floor", name, train="folds 0-1" if name.startswith("nluplusplus") else "all")
        for name in ("snips", "banking77", "restaurants8k", "nluplusplus-banking")
    ]


def by_metric(metrics: Mapping[str, Mapping[str, float]], n: int) -> Rows:
    """A row per metric."""
    return [{"metric": name} | {key: metric[key] for key in ("value", "low", "high")} | {"n": n}
            for name, metric in metrics.items()]  # fmt: skip


def gathered(measured: Path, note: str) -> tuple[Rows, list[str]]:
    """Rows of the GPU runs, and the names of those that did not fit into the time."""
    measurements = json.loads((measured / "real.json").read_text(encoding="utf-8"))
    lines = (measured / "passed.jsonl").read_text(encoding="utf-8").splitlines()
    rows = Rows()
    for run, line in zip(measurements["rows"], map(json.loads, lines), strict=True):
        if (run["name"], run["method"]) != (line["name"], line["method"]):
            raise DataError(f"expected the outcomes of {run['name']}, found those of {line['name']} ({measured})")
        shared = {key: run[key] for key in ("set", "method", "noise", "seed")} | {"model": MODEL}
        more = {"train_examples": run["train_examples"], "seconds": run["train_seconds"]}
        more |= {"machine": f"{measurements['machine']}, {note}", "test_seconds": run["test_seconds"]}
        more |= {key: run[key] for key in ("rate", "dev_score", "steps", "examples_per_second")}
        rows += [shared | metric | more for metric in by_metric(run["metrics"], run["n"])]
        if run["train"] == "subset":
            first = line["passed"][: TEST_ROWS[run["set"]]]
            exact = wilson(first.count("1"), len(first)).model_dump()
            rows += [shared | metric | more for metric in by_metric({"exact_test": exact}, len(first))]
    return rows, measurements["left"]


def audits(splits: Path) -> Rows:
    """For each share and seed of planted errors: how many the audit suspects, and how many a review finds."""
    train = [
        row for split in ("train", "sealed") for row in Bench(Path(), splits, Path(), None).examples("snips")[split]
    ]
    rows = Rows()
    for key, suspected in json.loads((splits / "suspects.json").read_text(encoding="utf-8")).items():
        share, seed = float(key.partition("/")[0]), int(key.partition("/")[2])
        planted = real_noise.plant(real_noise.subset(train, seed)[0], share, seed)
        wrong = {example.id for example in planted if example.demonstration != example.reference}
        seen = len(wrong & set(suspected[: real_noise.REVIEWED]))
        counts = {"planted": len(wrong), "suspects": len(suspected), "right": len(wrong & set(suspected)), "seen": seen}
        rows.append({"share": share, "seed": seed, "examples": len(planted)} | counts)
    return sorted(rows, key=lambda row: (row["share"], row["seed"]))


def leaks(splits: Path) -> dict[str, int]:
    """Set → number of test rows with a near-duplicate in train, if they were kept."""
    reports_by_set = {name: splits / name / "report.json" for name in SETS if (splits / name / "report.json").is_file()}
    reports = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in reports_by_set.items()}
    return {name: report["leaked"].get("test", 0) for name, report in reports.items()}


def processor() -> str:
    """The processor on which the floor was fitted."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"one thread of {names[0] if names else platform.processor()}, shared with other work"


def write(keep: Callable[[dict[str, Any]], bool], rows: Sequence[dict[str, Any]], **more: Any) -> None:
    """Write the kept rows and the new ones, atomically."""
    record: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.is_file() else {"rows": []}
    record["rows"] = [*filter(keep, record["rows"]), *rows]
    record = {key: value for key, value in (record | more).items() if key != "rows"} | {"rows": record["rows"]}
    part = RECORD.with_suffix(".json.part")
    part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    os.replace(part, RECORD)


def main() -> None:
    """Run one of the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("splits", "floor", "gather"))
    parser.add_argument("--data", type=Path, default=ROOT / "data")
    parser.add_argument("--splits", type=Path)
    parser.add_argument("--measured", type=Path)
    parser.add_argument("--note", default="alone")
    parser.add_argument("--date", default=time.strftime("%Y-%m-%d"))
    options = parser.parse_args()
    if options.splits is None or (options.what == "gather" and options.measured is None):
        parser.error(
            "expected --splits, a folder, and for gather --measured, the folder that benchmarks.real_gpu wrote"
        )
    if options.what == "splits":
        make_splits(options.data, options.splits)
    elif options.what == "floor":
        command = "python -m benchmarks.real floor --splits SPLITS"
        write(
            lambda row: row["model"] != FLOOR, floor(options.splits), floor={"date": options.date, "command": command}
        )
    else:
        rows, left = gathered(options.measured, options.note)
        command = "python -m benchmarks.real_gpu --model models/smollm2-135m --splits SPLITS --out OUT"
        about = {"date": options.date, "command": command, "left": left}
        write(
            lambda row: row["model"] != MODEL,
            rows,
            gpu=about,
            audit=audits(options.splits),
            leaked=leaks(options.splits),
        )


if __name__ == "__main__":
    main()
