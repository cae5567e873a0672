"""Converts published data sets from their authors' form to the files that a workload reads.

    python -m components.data.published snips FOLDER                 # FOLDER/{train,valid,test}/{seq.in,seq.out,label}
    python -m components.data.published restaurants8k FOLDER         # FOLDER/{train_0,test}.json
    python -m components.data.published nluplusplus-banking FOLDER   # FOLDER/fold0.json to fold19.json

Each writes data/<set>/<split>.jsonl with all published rows in their order. NLU++ is published in folds: 18 and 19 are
test unless `--test-folds` names others.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from components.errors import EXIT_CODE_ERROR, DataError, GradusError
from components.records import to_json

Rows = list[dict[str, Any]]
FOLDS = range(20)
TEST_FOLDS = (18, 19)


def snips(folder: Path, _: Sequence[int]) -> dict[str, Rows]:
    """Parallel lines of words, BIO tags and intents; dev is called `valid` or `dev`."""
    dev = "valid" if (folder / "valid").is_dir() else "dev"
    return {
        split: _tagged(folder / name, split) for split, name in (("train", "train"), ("dev", dev), ("test", "test"))
    }


def _tagged(folder: Path, split: str) -> Rows:
    texts, tags, intents = (_text(folder / name).splitlines() for name in ("seq.in", "seq.out", "label"))
    if not len(texts) == len(tags) == len(intents):
        counts = f"{len(texts):,}, {len(tags):,} and {len(intents):,}"
        raise DataError(f"expected as many lines in seq.in, seq.out and label, found {counts} ({folder})")
    rows = Rows()
    for number, (text, line, intent) in enumerate(zip(texts, tags, intents, strict=True)):
        words, names = text.split(), line.split()
        if len(words) != len(names):
            where = f"line {number + 1}, {folder / 'seq.out'}"
            raise DataError(f"expected a tag for each of {len(words)} words, found {len(names)} ({where})")
        slots: dict[str, list[str]] = {}
        for name, part in _spans(words, names):
            slots.setdefault(name, []).append(part)
        rows.append({"id": f"{split}-{number}", "text": " ".join(words), "intent": intent.strip(), "slots": slots})
    return rows


def _spans(words: Sequence[str], tags: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Slots and their words: B- begins a slot, I- continues it."""
    current, taken = "", list[str]()
    for word, tag in zip([*words, ""], [*tags, "O"], strict=True):
        kind, _, name = tag.partition("-")
        if kind == "I" and name == current:
            taken.append(word)
            continue
        if current:
            yield current, " ".join(taken)
        current, taken = (name, [word]) if kind in ("B", "I") else ("", [])


def restaurants8k(folder: Path, _: Sequence[int]) -> dict[str, Rows]:
    """Texts with character spans; train_0.json is all of train. If a slot is marked twice, the first counts."""
    return {split: _spanned(folder / f"{name}.json", split) for split, name in (("train", "train_0"), ("test", "test"))}


def _spanned(path: Path, split: str) -> Rows:
    rows = Rows()
    for number, entry in enumerate(_list(path)):
        try:
            text = entry["userInput"]["text"]
            slots: dict[str, str] = {}
            for label in entry.get("labels", []):
                span = label["valueSpan"]
                slots.setdefault(label["slot"], text[span.get("startIndex", 0) : span["endIndex"]])
            requested = entry.get("context", {}).get("requestedSlots", [])
        except (AttributeError, KeyError, TypeError) as error:
            raise _unlike("userInput.text, labels and context", error, number, path) from error
        rows.append({"id": f"{split}-{number}", "text": text, "requested": requested, "slots": slots})
    return rows


def nluplusplus(folder: Path, test_folds: Sequence[int]) -> dict[str, Rows]:
    """Texts with intents and slots with canonical values, in twenty folds."""
    parts: dict[str, Rows] = {"train": [], "test": []}
    for fold in FOLDS:
        path = folder / f"fold{fold}.json"
        for number, entry in enumerate(_list(path)):
            try:
                marked = entry.get("slots", {}).items()
                slots = {name: slot["value"] if "value" in slot else slot["values"] for name, slot in marked}
                row = {"text": entry["text"], "intents": entry.get("intents", []), "slots": slots}
            except (AttributeError, KeyError, TypeError) as error:
                raise _unlike("text, intents and slots", error, number, path) from error
            part = "test" if fold in test_folds else "train"
            parts[part].append({"id": f"{folder.name}-{fold}-{number}", "fold": fold} | row)
    return parts


READERS: dict[str, Callable[[Path, Sequence[int]], dict[str, Rows]]] = {
    "snips": snips,
    "restaurants8k": restaurants8k,
    "nluplusplus-banking": nluplusplus,
    "nluplusplus-hotels": nluplusplus,
}


def convert(name: str, folder: Path, out: Path, test_folds: Sequence[int] = TEST_FOLDS) -> dict[str, int]:
    """Convert published files in `folder` to out/<split>.jsonl, only if all can be read; return the rows per split.

    Raises:
        DataError: A file is missing, or not in the published form.
    """
    splits = READERS[name](folder, test_folds)
    out.mkdir(parents=True, exist_ok=True)
    for split, rows in splits.items():
        part = out / f"{split}.jsonl.part"
        part.write_text("".join(to_json(row) + "\n" for row in rows), encoding="utf-8")
        os.replace(part, out / f"{split}.jsonl")
    return {split: len(rows) for split, rows in splits.items()}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"expected a published file, found {error.strerror or error} ({path})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"expected a published file in UTF-8, found {error} ({path})") from error


def _list(path: Path) -> list[Any]:
    text = _text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"expected JSON, found {error} ({path})") from error
    if not isinstance(content, list):
        raise DataError(f"expected a list of examples, found {type(content).__name__} ({path})")
    return content  # pyright: ignore[reportUnknownVariableType]


def _unlike(expected: str, error: Exception, number: int, path: Path) -> DataError:
    problem = f"no {error}" if isinstance(error, KeyError) else str(error)
    return DataError(f"expected {expected}, found {problem} (entry {number + 1}, {path})")


def main() -> None:
    """Convert a data set, and print the number of rows per split."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=READERS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, default=Path("data"), help="Where the set's folder is made.")
    parser.add_argument("--test-folds", type=int, nargs="+", choices=FOLDS, default=TEST_FOLDS, metavar="FOLD")
    options = parser.parse_args()
    out = options.data / options.set
    try:
        counts = convert(options.set, options.folder, out, options.test_folds)
    except GradusError as error:
        print(f"gradus: {error}", file=sys.stderr)
        raise SystemExit(EXIT_CODE_ERROR) from None
    print(f"{out}: " + ", ".join(f"{split} {rows:,}" for split, rows in counts.items()))


if __name__ == "__main__":
    main()
