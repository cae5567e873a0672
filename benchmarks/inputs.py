"""Users' inputs: nine sources from `gradus init` to a climb, 100,000 rows, and the files that users reported.

1. `--climbs`: init and a climb of the ladder `quick` on the embedded model, without changing any YAML. Real data are
   read from the folder in GRADUS_REAL_DATA or --data, with banking77/, snips/ and nluplusplus/; missing sets are
   reported and left out. The summaries are simulated.
2. `--rows`: CPU time and memory of `data`, `audit` and `classical` on a simulated file of 100,000 rows.
3. `--findings`: the reported files, and the outcome of each one's test.

Without any of these, all three. Parts that a call does not measure are kept in the record.
"""

import argparse
import csv
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.inputs_findings import FINDINGS
from benchmarks.ladder import FILES, FOLDERS, commit, surroundings
from tests.components.data import clients

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "benchmarks" / "inputs.json"
WORK = ROOT / "state" / "bench-inputs"
RUN, LADDER = "mine-nano", "quick"
STAGES = [["components.stages", *words] for words in (["data", RUN], ["audit", RUN], ["rung", RUN, "classical"])]
ROWS = 1500  # of sources that are derived from others
Row = dict[str, Any]


def main() -> None:
    """Measure the requested parts, and add them to the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--climbs", action="store_true", help="The climbs.")
    parser.add_argument("--rows", action="store_true", help="The large file.")
    parser.add_argument("--findings", action="store_true", help="The reported files.")
    parser.add_argument("--data", type=Path, default=os.environ.get("GRADUS_REAL_DATA"), help="Folder of real data.")
    parser.add_argument("--only", nargs="*", choices=list(SOURCES), help="Some of the climbs.")
    parser.add_argument("--count", type=int, default=100_000, help="Rows of the large file.")
    parser.add_argument("--json-out", type=Path, default=OUT)
    chosen = parser.parse_args()
    everything = not (chosen.climbs or chosen.rows or chosen.findings)
    record: Row = json.loads(chosen.json_out.read_text(encoding="utf-8")) if chosen.json_out.is_file() else {}
    record |= {"command": "python -m benchmarks.inputs", "machine": f"{os.cpu_count()} CPU cores"}
    if chosen.climbs or everything:
        by_name: dict[str, Row] = {row["name"]: row for row in record.get("climbs", []) if "name" in row}
        for name in chosen.only or SOURCES:
            by_name[name] = climb(name, chosen.data)
            record["climbs"] = [by_name[source] for source in SOURCES if source in by_name]
            save(record, chosen.json_out)
    if chosen.rows or everything:
        record["large"] = large(chosen.count)
        save(record, chosen.json_out)
    if chosen.findings or everything:
        record["findings"] = findings()
        save(record, chosen.json_out)


def save(record: Row, path: Path) -> None:
    """Write the record so far."""
    record["date"] = time.strftime("%Y-%m-%d")
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def climb(name: str, data: Path | None) -> Row:
    """A source through `gradus init` and a first look: its commands, seconds, outcome and results."""
    project = prepared(name)
    try:
        source = SOURCES[name](project.parent / "source", Path(data) if data else None)
    except FileNotFoundError as error:
        return {"name": name, "left_out": f"needs {error.filename} in the folder of real data"}
    shown = f"{source.parent.name}/{source.name}"
    commands = (
        ["init", "mine", "--from", str(source), "--yes"],
        ["run", "mine", "--profile", "nano", "--ladder", LADDER],
    )
    steps = measured(project, [["flows.cli", *words] for words in commands])
    ended = next((step["said"] for step in steps if step["code"]), "finished")
    return {
        "name": name,
        "command": " && ".join(f"gradus {' '.join(words)}" for words in commands).replace(str(source), shown),
        "seconds": round(sum(step["seconds"] for step in steps), 1),
        "cpu_seconds": round(sum(step["cpu_seconds"] for step in steps), 1),
        "peak_memory_gb": max(step["peak_memory_gb"] for step in steps),
        "ended": ended,
        **results(project / "artifacts" / f"{RUN}-{LADDER}"),
    }


def large(rows: int) -> Row:
    """A file of so many distinct rows through three stages."""
    project = prepared("large")
    source = project.parent / "source" / "large.csv"
    words = [f"word{number}" for number in range(5000)]
    rng = random.Random(1)
    with source.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "paid", "sum"])
        for number in range(rows):
            label = number % 20
            topic = words[label * 40 : label * 40 + 40]
            text = " ".join([*rng.choices(topic, k=4), *rng.choices(words, k=10)])
            writer.writerow([text, f"label_{label}", "yes" if number % 3 else "no", f"{rng.randrange(10_000) / 100}"])
    steps = measured(project, [["flows.cli", "init", "mine", "--from", str(source), "--yes"], *STAGES])
    of_stages = steps[1:]
    return {
        "what": f"{rows:,} simulated rows",
        "command": "make bench-rows",
        "steps": steps,
        "stages_seconds": round(sum(step["seconds"] for step in of_stages), 1),
        "stages_cpu_seconds": round(sum(step["cpu_seconds"] for step in of_stages), 1),
        "stages_peak_memory_gb": max(step["peak_memory_gb"] for step in of_stages),
        **results(project / "artifacts" / RUN),
    }


def prepared(name: str) -> Path:
    """An empty project: the repository's code, settings and embedded model, in a separate git repository."""
    shutil.rmtree(WORK / name, ignore_errors=True)
    project = WORK / name / "project"
    (project.parent / "source").mkdir(parents=True)
    for path in (*FOLDERS, *FILES, ".dvc/config"):
        whole, copy = ROOT / path, project / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        if whole.is_dir():
            shutil.copytree(whole, copy, ignore=shutil.ignore_patterns("__pycache__"))
        elif whole.exists():
            shutil.copyfile(whole, copy)
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    commit(project, "A project")
    return project


def measured(project: Path, commands: list[list[str]]) -> list[Row]:
    """Run commands in order until one fails; return seconds, CPU time and peak memory, including children."""
    environment = surroundings(project)
    steps: list[Row] = []
    for words in commands:
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=project,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        output = process.stdout.read().decode("utf-8", "replace") if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        steps.append({
            "command": "python -m " + " ".join(words).replace(str(project.parent), "…"),
            "code": process.returncode,
            "seconds": round(time.monotonic() - started, 1),
            "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
            "peak_memory_gb": round(usage.ru_maxrss / 1e6, 2),
            **({} if process.returncode == 0 else {"said": output.strip().splitlines()[-1][-400:]}),
        })  # fmt: skip
        print(steps[-1], flush=True)
        if process.returncode:
            break
    return steps


def results(folder: Path) -> Row:
    """The results of the stages data, audit and classical."""
    record: Row = {}
    data, audit, rung = folder / "data/report.json", folder / "audit/audit.json", folder / "rungs/classical/result.json"
    if data.is_file():
        report = json.loads(data.read_text(encoding="utf-8"))
        record["rows"], record["quarantined"] = report["rows"], report["quarantined"]
        record["splits"] = {split: report["summary"][split] for split in ("train", "dev", "test", "sealed")}
    if audit.is_file():
        summary = json.loads(audit.read_text(encoding="utf-8"))
        record["audit"] = {"suspects": summary["suspects"], "unseen": summary["unseen"]}
    if rung.is_file():
        record["classical_dev_accuracy"] = json.loads(rung.read_text(encoding="utf-8"))["dev_score"]
    sft = folder / "rungs/sft/result.json"
    if sft.is_file():
        record["sft_dev_accuracy"] = json.loads(sft.read_text(encoding="utf-8"))["dev_score"]
    return record


def findings() -> list[Row]:
    """The reported files, each with the test for its current behaviour; `holds` is that test's outcome."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "tests.xml"
        tests = sorted({row["test"].partition("[")[0] for row in FINDINGS})
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *tests]
        subprocess.run(command, cwd=ROOT, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)})
        failed: set[str] = set()
        seen: set[str] = set()
        for case in ET.parse(report).iter("testcase"):
            name = f"{str(case.get('classname')).replace('.', '/')}.py::{str(case.get('name')).partition('[')[0]}"
            seen.add(name)
            if case.find("failure") is not None or case.find("error") is not None:
                failed.add(name)
    return [{**row, "holds": row["test"] in seen and row["test"] not in failed} for row in FINDINGS]


def _real(data: Path | None, name: str) -> Path:
    path = (data or Path("real-data")) / name
    if not path.exists():
        raise FileNotFoundError(2, "not there", name)
    return path


def _jsonl(path: Path, rows: Iterator[Row]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def _banking(data: Path | None) -> Iterator[Row]:
    with _real(data, "banking77/train.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["category"] in _FEW]
    yield from islice(rows, ROWS)


_FEW = {
    "card_arrival", "card_linking", "exchange_rate", "lost_or_stolen_card", "pending_transfer", "request_refund",
    "terminate_account", "top_up_failed", "verify_my_identity", "wrong_amount_of_cash_received", "age_limit",
    "change_pin",
}  # fmt: skip


def _snips(data: Path | None) -> list[Row]:
    lines = _real(data, "snips/train.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[:: max(1, len(lines) // ROWS)]]


def chats(folder: Path, data: Path | None) -> Path:
    """OpenAI fine-tuning chats whose answers are labels in plain text."""
    return _jsonl(folder / "chats.jsonl", (
        {"messages": [
            {"role": "system", "content": "You sort the questions of a bank's customers. Answer with one label."},
            {"role": "user", "content": row["text"]},
            {"role": "assistant", "content": row["category"]},
        ]}
        for row in _banking(data)
    ))  # fmt: skip


def workbook(folder: Path, data: Path | None) -> Path:
    """An Excel workbook with a title above the header."""
    from openpyxl import Workbook

    book = Workbook()
    sheet: Any = book.active
    for row in (["Requests of May"], [], ["Request no.", "What was said", "Intent"]):
        sheet.append(row)
    for number, row in enumerate(_snips(data)):
        sheet.append([number, row["text"], row["intent"]])
    book.save(folder / "requests.xlsx")
    return folder / "requests.xlsx"


def completions(folder: Path, data: Path | None) -> Path:
    """Prompts and completions, which are JSON texts."""
    return _jsonl(folder / "completions.jsonl", (
        {"prompt": row["text"], "completion": json.dumps({"intent": row["intent"], "slots": row["slots"]})}
        for row in _snips(data)
    ))  # fmt: skip


def _pairs(data: Path | None) -> list[clients.Pair]:
    return [(row["text"], json.dumps({"intent": row["category"]})) for row in _banking(data)]


def summaries(folder: Path, data: Path | None) -> Path:
    """Simulated threads with free-text summaries."""
    from components.workloads.digest import generate

    pairs = ((digest.message, " ".join(digest.gold.values())) for digest in islice(generate(ROWS, 7), ROWS))
    return _jsonl(folder / "summaries.jsonl", ({"document": thread, "summary": text} for thread, text in pairs))


SOURCES: dict[str, Callable[[Path, Path | None], Path]] = {
    "banking77": lambda folder, data: _real(data, "banking77"),
    "snips": lambda folder, data: _real(data, "snips"),
    "nluplusplus": lambda folder, data: _real(data, "nluplusplus"),
    "chats": chats,
    "workbook": workbook,
    "completions": completions,
    "langfuse": lambda folder, data: clients.langfuse_items(folder / "items.json", _pairs(data)),
    "opentelemetry": lambda folder, data: clients.otlp(folder / "spans.jsonl", _pairs(data)),
    "summaries": summaries,
}

if __name__ == "__main__":
    main()
