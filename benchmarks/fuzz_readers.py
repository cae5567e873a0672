"""Fuzzes readers with damaged and invented files: each must be read, or refused in one sentence.

    python -m benchmarks.fuzz_readers --n 200000

A seeded generator changes files of every format at random places: bytes, lines, tokens of JSON and csv, parts of other
files. Anything but a GradusError is a failure, and is printed with its file.
"""

import argparse
import gzip
import io
import json
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from components.data.init import read_input
from components.data.reading.folders import Options
from components.data.rows import rows_of
from components.errors import GradusError
from components.registry.translation import translated

TOKENS = [
    b"{", b"}", b"[", b"]", b'"', b"'", b",", b";", b"\t", b"\n", b"\r\n", b"\r", b":", b"null", b"NaN", b"-Infinity",
    b"1e999", b"9" * 30, b"9" * 5000, b"-0", b"true", b'"\\ud800"', b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"sep=;\n",
    b"\xe2\x80\xa8", b"[" * 200, b'{"a":' * 100, b"messages", b"role", b"assistant", b"answer", b"__expected", b"&a *a",
    b"\\", b"0001-01-01", b"31/02/2024", b"99999999999", b"9" * 12, b"2024-13-01T99:99", b"__label__x", b"|", b"1,5",
    b"\x1f", b"\xc3",
]  # fmt: skip
Change = Callable[[random.Random, bytes, list[bytes]], bytes]


def main() -> None:
    """Read so many files, and print the outcomes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=200_000, help="Files.")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    started, (ends, failures) = time.monotonic(), fuzz(chosen.n, chosen.seed)
    for content, trace in failures[:5]:
        print(repr(content[:400]), trace, sep="\n", file=sys.stderr)
    seconds = round(time.monotonic() - started, 1)
    print(json.dumps({"files": chosen.n, "seed": chosen.seed, "seconds": seconds, **ends}))
    raise SystemExit(bool(failures))


def fuzz(n: int, seed: int) -> tuple[Counter[str], list[tuple[bytes, str]]]:
    """The number of files read, refused and failed; the failures with their tracebacks."""
    rng, seeds = random.Random(seed), list(examples().items())
    ends: Counter[str] = Counter()
    failures: list[tuple[bytes, str]] = []
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        for _ in tqdm(range(n), "files", mininterval=5):
            name, content = rng.choice(seeds)
            content = changed(rng, content, [other for _, other in seeds])
            path = Path(folder) / (name if rng.random() < 0.8 else rng.choice(seeds)[0])
            path.write_bytes(content)
            try:
                reading = read_input(path, Options(translate=translated))
                rows_of(reading.source, reading.meaning)
                ends["read"] += 1
            except GradusError as error:
                ends["refused"] += 1
                if "\n" in str(error):
                    failures.append((content, f"more than one line: {error}"))
            except Exception:  # of any kind: this is the purpose
                ends["failed"] += 1
                failures.append((content, traceback.format_exc()))
            path.unlink()
    return ends, failures


def changed(rng: random.Random, content: bytes, others: list[bytes]) -> bytes:
    """A file with a few changes."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        content = rng.choice(CHANGES)(rng, content, others)
    return content[:200_000]


def _byte(rng: random.Random, content: bytes, others: list[bytes]) -> bytes:
    index = rng.randrange(len(content) + 1)
    return content[:index] + bytes([rng.randrange(256)]) + content[index + 1 :]


def _token(rng: random.Random, content: bytes, others: list[bytes]) -> bytes:
    index = rng.randrange(len(content) + 1)
    return content[:index] + rng.choice(TOKENS) + content[index + rng.choice((0, 0, 1, 5)) :]


def _cut(rng: random.Random, content: bytes, others: list[bytes]) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _gap(rng: random.Random, content: bytes, others: list[bytes]) -> bytes:
    index = rng.randrange(len(content) + 1)
    return content[:index] + content[index + rng.randrange(1, 60) :]


def _again(rng: random.Random, content: bytes, others: list[bytes]) -> bytes:
    index = rng.randrange(len(content) + 1)
    return content[:index] + content[index : index + rng.randrange(1, 200)] * rng.choice((2, 3)) + content[index:]


def _joined(rng: random.Random, content: bytes, others: list[bytes]) -> bytes:
    other = rng.choice(others)
    index = rng.randrange(len(other) + 1)
    return content[: rng.randrange(len(content) + 1)] + other[index : index + 400]


def _lines(rng: random.Random, content: bytes, others: list[bytes]) -> bytes:
    lines = content.split(b"\n")
    rng.shuffle(lines)
    return b"\n".join(lines)


def _value(rng: random.Random, content: bytes, others: list[bytes]) -> bytes:
    """Replace a JSON value with another."""
    values = (b"null", b"[]", b"{}", b'""', b"0", b"true", b'[{"role": 1}]', b'{"a": {"b": [1]}}', b'"{\\"x\\": 1}"')
    parts = content.split(b'": ')
    index = rng.randrange(len(parts))
    head, comma, rest = parts[index].partition(b",")
    parts[index] = rng.choice(values) + comma + rest if index else head + comma + rest
    return b'": '.join(parts)


CHANGES: list[Change] = [_byte, _token, _token, _cut, _gap, _again, _joined, _lines, _value, _value]


def examples() -> dict[str, bytes]:
    """A small file of each format."""
    rows = [{"text": f"parcel {n} is late, again", "label": ["a", "b"][n % 2], "sum": f"{n},5"} for n in range(8)]
    chats = [
        {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": row["text"]},
                      {"role": "assistant", "content": json.dumps({"label": row["label"]})}]}
        for row in rows
    ]  # fmt: skip
    calls = [
        {"messages": [{"role": "user", "content": [{"type": "text", "text": row["text"]}]},
                      {"role": "assistant", "content": None, "tool_calls": [
                          {"type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}]}]}
        for row in rows
    ]  # fmt: skip
    spans = [
        {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "chat", "startTimeUnixNano": "1714550000000000000",
            "attributes": [
                {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
                {"key": "gen_ai.input.messages", "value": {"stringValue": json.dumps(
                    [{"role": "user", "parts": [{"type": "text", "content": row["text"]}]}])}},
                {"key": "gen_ai.output.messages", "value": {"stringValue": json.dumps(
                    [{"role": "assistant", "parts": [{"type": "text", "content": row["label"]}]}])}},
            ]}]}]}]}
        for row in rows
    ]  # fmt: skip
    logged = [
        {"request": {"messages": [{"role": "user", "content": row["text"]}]},
         "response": {"choices": [{"message": {"role": "assistant", "content": row["label"]}}]}}
        for row in rows
    ]  # fmt: skip
    csv = "\n".join(["text;label;sum;received", *(f'"{r["text"]}";{r["label"]};{r["sum"]};2024-05-01' for r in rows)])
    files = {
        "a.csv": csv.encode(),
        "u.csv": csv.encode("utf-16"),
        "a.tsv": csv.replace(";", "\t").encode(),
        "a.jsonl": _jsonl(rows),
        "a.json": json.dumps({"data": rows}, indent=1).encode(),
        "chats.jsonl": _jsonl(chats),
        "calls.jsonl": _jsonl(calls),
        "spans.jsonl": _jsonl(spans),
        "pairs.jsonl": _jsonl([{"prompt": row["text"], "completion": row["label"]} for row in rows]),
        "evals.jsonl": _jsonl([{"input": row["text"], "ideal": [row["label"]]} for row in rows]),
        "items.json": json.dumps(
            [{"id": str(n), "input": {"q": r["text"]}, "expectedOutput": {"l": r["label"]}} for n, r in enumerate(rows)]
        ).encode(),
        "log.jsonl": _jsonl(logged),
        "nested.jsonl": _jsonl(
            [{"text": row["text"], "intents": [row["label"]], "slots": {"s": row["sum"]}} for row in rows]
        ),
        "tests.yaml": b"tests:\n" + b"".join(
            f"- vars: {{mail: 'm {n}'}}\n  assert: [{{type: equals, value: {'ab'[n % 2]}}}]\n".encode()
            for n in range(8)
        ),
        "labels.txt": b"".join(f"__label__{r['label']} {r['text']}\n".encode() for r in rows),
        "a.csv.gz": gzip.compress(csv.encode()),
    }  # fmt: skip
    return files | {"a.xlsx": _workbook(rows), "a.parquet": _parquet(rows)}


def _jsonl(rows: Sequence[Mapping[str, object]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _workbook(rows: list[dict[str, str]]) -> bytes:
    from openpyxl import Workbook

    book, buffer = Workbook(), io.BytesIO()
    sheet = book.active
    for row in [list(rows[0]), *(list(row.values()) for row in rows)]:
        sheet.append(row)  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
    book.save(buffer)
    return buffer.getvalue()


def _parquet(rows: list[dict[str, str]]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
