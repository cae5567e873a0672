"""Reads a window of many rows of a lake in one process and on a Ray cluster of one and of two cores on this machine.

The reads are those of the watch (a sample, and all outcomes by customer) and of scoring (answers to requests that
somebody gave feedback on). The rows are made up. Each reading is repeated, and the same results are asserted.

    python -m benchmarks.scale_lake --rows 10000000

Its figures go into benchmarks/scale.json under `lake_on_ray`; with --s3, where the lake is in a bucket of moto's server
on the same machine, under `lake_on_ray_in_s3`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.ladder import ROOT, machine

RECORD = ROOT / "benchmarks" / "scale.json"
FILE_ROWS = 250_000
DAY_S = 86_400.0
MOST, ASKED = 1_000, 500
WAYS = {"one_process": 0, "ray_1": 1, "ray_2": 2}  # cores of the cluster


def main() -> None:
    """Make the lake, read it in each way, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--s3", action="store_true", help="the lake is in a bucket instead of a folder")
    parser.add_argument("--folder", help="a lake that an earlier call left; default: a new one, removed")
    parser.add_argument("--read", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        print(json.dumps(readings(options.folder, WAYS[options.read])))
        return
    with bucket() if options.s3 else tempfile.TemporaryDirectory() as new:
        folder = options.folder or new
        if not any(opened(folder).glob("traces/*")):
            fill(opened(folder), options.rows)
        rounds: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
        for _ in range(options.rounds):
            for way in WAYS:
                rounds[way].append(in_process(way, folder))
                print(way, rounds[way][-1]["seconds"], f"{rounds[way][-1]['peak_gb']:.2f} GB", flush=True)
    digests = {each["digest"] for made in rounds.values() for each in made}
    assert len(digests) == 1, "the ways read different things"
    seconds = {
        way: {name: statistics.median(each["seconds"][name] for each in made) for name in made[0]["seconds"]}
        for way, made in rounds.items()
    }
    result = {
        "command": " ".join(["python -m benchmarks.scale_lake", *sys.argv[1:]]), "machine": machine(),
        "date": date.today().isoformat(), "rows": options.rows, "rounds": options.rounds, "seconds": seconds,
        "peak_gb": {way: max(each["peak_gb"] for each in made) for way, made in rounds.items()},
        "speedup_from_1_to_2": {
            name: seconds["ray_1"][name] / seconds["ray_2"][name] for name in seconds["ray_1"]
        },
    }  # fmt: skip
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    record["lake_on_ray_in_s3" if options.s3 else "lake_on_ray"] = result
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


@contextmanager
def bucket() -> Generator[str]:
    """The address of a lake in a bucket of a service on this machine, which the environment names meanwhile."""
    from tests.shared_storage import s3_service

    with s3_service() as service:
        os.environ.update(service.environment)
        yield f"s3://{service.name}/lake"


def opened(folder: str) -> Path:
    """The path of a folder or of an address in a bucket."""
    from monitoring.bucket import place

    return place(folder) if folder.startswith("s3://") else Path(folder)


def fill(folder: Path, rows: int) -> None:
    """Made-up traces of a day, `FILE_ROWS` a file."""
    import pyarrow as pa

    from components.records import Trace
    from monitoring.parquet import arrow_schema, write

    schema = arrow_schema(Trace)
    for start in range(0, rows, FILE_ROWS):
        many = min(FILE_ROWS, rows - start)
        columns: dict[str, Any] = {
            "id": [f"{number * 2654435761 % 2**32:08x}-{number}" for number in range(start, start + many)],
            "at": [number * DAY_S / rows for number in range(start, start + many)],
            "customer": [f"c{number % 50_000}" for number in range(start, start + many)],
            "valid": [number % 97 != 0 for number in range(start, start + many)],
        }
        same: dict[str, Any] = {
            "workload": "triage", "version": 1, "method": "grpo", "input": [("ticket", "Where is my lamp? " * 10)],
            "messages": [{"role": "user", "content": "Where is my lamp? " * 10}], "text": '{"intent": "delivery"}',
            "finish_reason": "stop", "usage": {"input_tokens": 220, "output_tokens": 40}, "latency_ms": 12.0,
            "returned": True,
        }  # fmt: skip
        arrays = [
            pa.array(columns[field.name], field.type) if field.name in columns
            else pa.repeat(pa.scalar(same[field.name], field.type), many) if field.name in same
            else pa.nulls(many, field.type)
            for field in schema
        ]  # fmt: skip
        table = pa.Table.from_arrays(arrays, schema=schema)
        day = folder / "traces" / "workload=triage" / "day=1970-01-01"
        write(table.to_batches(), Trace, day / f"s{start:010}.parquet")


def in_process(way: str, folder: str) -> dict[str, Any]:
    """A reading in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GRADUS_RAY")}
    if WAYS[way]:
        environment |= {"GRADUS_RAY": "local", "GRADUS_RAY_ROWS": "1"}
    command = [sys.executable, "-m", "benchmarks.scale_lake", "--read", way, "--folder", folder]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def readings(folder: str, cores: int) -> dict[str, Any]:
    """Seconds of the watch's and of scoring's reads, the peak of this process's memory, and a digest of the results."""
    import hashlib

    from monitoring.lake import Lake

    lake, window = Lake(opened(folder)), (0.0, DAY_S)
    if cores:
        ray: Any = import_module("ray")
        ray.init(address="local", num_cpus=cores, include_dashboard=False, log_to_driver=False)
        ray.get([ray.remote(prepared).remote() for _ in range(cores)])
    first, _ = lake.sample("triage", 1, (0.0, 1.0), 1)
    began = time.monotonic()
    sample, total = lake.sample("triage", 1, window, MOST)
    outcomes = lake.outcomes("triage", 1, window)
    watched = time.monotonic() - began
    began = time.monotonic()
    traces, of = lake.about("triage", {trace.id for trace in sample[:ASKED]}, window)
    scored = time.monotonic() - began
    said = json.dumps([
        total, of, [trace.id for trace in sample], [trace.id for trace in traces], len(outcomes),
        sum(valid for _, valid in outcomes), [trace.id for trace in first],
    ])  # fmt: skip
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1e6
    return {
        "seconds": {"watch": round(watched, 2), "score": round(scored, 2)},
        "peak_gb": round(peak, 3),
        "digest": hashlib.sha256(said.encode()).hexdigest(),
    }


def prepared() -> int:
    """A worker that has imported what it needs."""
    import pyarrow.dataset as ds

    from monitoring.lake import KINDS

    return len(KINDS) + len(ds.__name__)


if __name__ == "__main__":
    main()
