"""The recall and the false alarms of masking, on customers' texts from 15 countries and generated tickets.

The rules were tuned on `masking/development.txt`; `masking/held_out.txt` was written before and never used. Personal
data are found if their mark is in the text and no word or number of three or more characters of them remains. A text
without personal data is touched if masking changes it at all, a simulated ticket if it loses anything with a digit
except its phone number. Names are measured but not promised. Times are CPU times, as median and 99th percentile over
tickets.

    python -m benchmarks.masking
"""

import argparse
import json
import re
import statistics
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.data.masking import mask

HERE = Path(__file__).resolve().parent
PROMISED = ("email", "phone", "card", "iban", "id", "birth")
RECALL, FALSE_ALARMS = 0.97, 0.01
TICKETS, SEED = 3_000, 20261127
_SIMULATED = re.compile(r"(?<!\d)0\d{3} 555 \d{4}(?!\d)")  # the generator's phone numbers
_MARKED = re.compile(r"\[\[(\w+):(.*?)\]\]")


@dataclass(frozen=True)
class Text:
    """A text, its country, and its personal data: kind and words."""

    country: str
    text: str
    personal: tuple[tuple[str, str], ...]


@dataclass
class Counts:
    """Counts for a set of texts."""

    n: int = 0
    found: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    touched: list[str] = field(default_factory=list[str])
    clean: int = 0
    missed: list[str] = field(default_factory=list[str])


def main() -> None:
    """Measure, print, and write the record."""
    from benchmarks.ladder import machine

    options = parse()
    parts = {name: counted(read(HERE / "masking" / f"{name}.txt")) for name in ("development", "held_out")}
    parts["generated tickets"] = counted(tickets())
    for name, counts in parts.items():
        for line in (*counts.missed, *counts.touched) if options.show in (name, "all") else ():
            print(line)
    record: dict[str, Any] = {
        "n": sum(counts.n for counts in parts.values()),
        **summary(list(parts.values())),
        "parts": {name: {"n": counts.n, **summary([counts])} for name, counts in parts.items()},
        "milliseconds": times(),
        "machine": machine(), "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python -m benchmarks.masking", *sys.argv[1:]]),
    }  # fmt: skip
    held_out, clean = record["parts"]["held_out"], record["false_alarms"]
    record["met"] = bool(
        held_out["recall"] >= RECALL and clean <= FALSE_ALARMS and held_out["false_alarms"] <= FALSE_ALARMS
    )
    print(json.dumps(record, indent=1))
    part = options.output.with_name(options.output.name + ".part")
    part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    part.replace(options.output)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--show", default="", help="development, held_out or all: what was missed and touched")
    parser.add_argument("--output", type=Path, default=HERE / "masking.json")
    return parser.parse_args()


def read(path: Path) -> list[Text]:
    """The texts in a file."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return [_text(*line.split(" | ", 1)) for line in lines]


def _text(country: str, marked: str) -> Text:
    marked = marked.replace("\\n", "\n")
    personal = tuple((match[1], match[2]) for match in _MARKED.finditer(marked))
    return Text(country, _MARKED.sub(r"\2", marked), personal)


def tickets() -> list[Text]:
    """Simulated tickets and their right answers; their personal data are phone numbers and, separately, names."""
    from components.records import to_json
    from components.workloads import triage

    generated = list(triage.generate(TICKETS, SEED))
    texts = [text for ticket in generated for text in (ticket.message, to_json(ticket.gold))]
    return [Text("simulated", text, tuple(("phone", phone) for phone in _SIMULATED.findall(text))) for text in texts]


def counted(texts: list[Text]) -> Counts:
    """The effect of masking on personal data, on texts without any, and on the rest of simulated ones."""
    counts = Counts(n=len(texts))
    for text in texts:
        masked = mask(text.text)
        if text.country == "simulated":
            counts.clean += 1
            numbers = re.findall(r"\S*\d\S*", _SIMULATED.sub("", text.text))
            lost = numbers != re.findall(r"\S*\d\S*", masked)
        elif not text.personal:
            counts.clean += 1
            lost = masked != text.text
        else:
            lost = False
        counts.touched += [f"touched: {text.text!r} -> {masked!r}"] if lost else []
        left = re.findall(r"\w{3,}", masked)
        for kind, words in text.personal:
            gone = f"<{kind}>" in masked and not set(re.findall(r"\w{3,}", words)) - {"555"} & set(left)
            counts.found[kind].append(gone)
            counts.missed += [] if gone else [f"missed: {kind} {text.country} {text.text!r} -> {masked!r}"]
    return counts


def summary(parts: list[Counts]) -> dict[str, Any]:
    """The recall of the promised kinds, the share of touched clean texts, and each kind's figures."""
    kinds: dict[str, list[bool]] = defaultdict(list)
    for counts in parts:
        for kind, outcomes in counts.found.items():
            kinds[kind] += outcomes
    promised = [outcome for kind in PROMISED for outcome in kinds.get(kind, [])]
    clean, touched = sum(counts.clean for counts in parts), sum(len(counts.touched) for counts in parts)
    return {
        "recall": _share(sum(promised), len(promised)), "recall_interval": _interval(sum(promised), len(promised)),
        "false_alarms": _share(touched, clean), "false_alarms_interval": _interval(touched, clean),
        "personal": len(promised), "clean": clean,
        "kinds": {
            kind: {"n": len(outcomes), "recall": _share(sum(outcomes), len(outcomes)), "promised": kind in PROMISED}
            for kind, outcomes in sorted(kinds.items())
        },
    }  # fmt: skip


def _share(count: int, n: int) -> float | None:
    return count / n if n else None


def _interval(count: int, n: int) -> list[float] | None:
    if not n:
        return None
    from components.evaluation.metrics import wilson

    interval = wilson(count, n)
    return [interval.low, interval.high]


def times() -> dict[str, float]:
    """Milliseconds to mask a ticket."""
    took = list[float]()
    for ticket in tickets()[::2]:
        started = time.process_time()
        mask(ticket.text)
        took.append((time.process_time() - started) * 1e3)
    return {"median": statistics.median(took), "p99": statistics.quantiles(took, n=100)[98]}


if __name__ == "__main__":
    main()
