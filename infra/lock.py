"""Rebuilds requirements.lock: all that Gradus and its tests need, each with the SHA-256 of every file it comes in.

`make lock` calls it; pins stay where pyproject.toml allows them, `make lock ARGS=--upgrade` lets them go. uv resolves
for all platforms and Pythons at once. What only torch's CUDA build needs (several GB) goes into a lock of its own.
"""

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

LOCK, CUDA = Path("requirements.lock"), Path("requirements-cuda.lock")
EXTRAS = ("serve", "dev", "k8s", "s3", "postgres", "mcp", "llama")
OLDEST = "3.11"
ONLY_CUDA = re.compile(r"(?:nvidia|cuda)-|triton\b")
HEADER = "# Made by `make lock`; installed by `make setup`, which takes no file with another hash.\n"
CUDA_HEADER = (
    "# What torch's CUDA build needs beside requirements.lock; `make setup` installs it where that build is.\n"
)


def entries(text: str) -> dict[str, tuple[str, frozenset[str]]]:
    """The entries of a lock by `name==version`: the whole first line, and the hashes."""
    entries_by_pin: dict[str, tuple[str, frozenset[str]]] = {}
    for line, hashes in _blocks(text):
        entries_by_pin[line.split(" ")[0]] = (line, hashes)
    return entries_by_pin


def _blocks(text: str) -> Iterator[tuple[str, frozenset[str]]]:
    joined = re.sub(r"\\\n\s*", " ", text)
    for line in joined.splitlines():
        if line and not line.startswith("#"):
            requirement, *hashes = line.split(" --hash=")
            yield requirement.strip(), frozenset(digest.strip() for digest in hashes)


def written(pinned: dict[str, tuple[str, frozenset[str]]], header: str) -> str:
    """A lock as text."""
    lines = [
        " \\\n    ".join((line, *(f"--hash={digest}" for digest in sorted(hashes)))) for line, hashes in pinned.values()
    ]
    return header + "".join(f"{line}\n" for line in lines)


def merged(
    new: dict[str, tuple[str, frozenset[str]]], old: dict[str, tuple[str, frozenset[str]]]
) -> dict[str, tuple[str, frozenset[str]]]:
    """The new entries; a version that stays keeps hashes that the index does not have: those of torch on a CPU."""
    return {pin: (line, hashes | old[pin][1] if pin in old else hashes) for pin, (line, hashes) in sorted(new.items())}


def resolved(earlier: str, upgrade: bool) -> str:
    """What uv resolves pyproject.toml to, with earlier pins where it can."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "lock.txt"
        output.write_text(earlier, encoding="utf-8")
        command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--output-file", str(output)]
        command += [word for extra in EXTRAS for word in ("--extra", extra)]
        command += ["--universal", "--python-version", OLDEST, "--generate-hashes", "--no-annotate", "--no-header"]
        subprocess.run([*command, "--quiet", *(["--upgrade"] if upgrade else [])], check=True)
        return output.read_text(encoding="utf-8")


def main() -> None:
    """Write both locks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upgrade", action="store_true", help="the newest versions that pyproject.toml allows")
    parser.add_argument("--wheel", type=Path, action="append", default=[], help="a build of torch to be allowed too")
    options = parser.parse_args()
    earlier = "".join(path.read_text(encoding="utf-8") for path in (LOCK, CUDA) if path.is_file())
    lock = merged(entries(resolved(earlier, options.upgrade)), entries(earlier))
    for wheel in options.wheel:
        name, version = wheel.name.split("-")[:2]
        pin = f"{name}=={version.partition('+')[0]}"
        line, hashes = lock[pin]
        lock[pin] = line, hashes | {f"sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"}
    parts = (
        {pin: entry for pin, entry in lock.items() if bool(ONLY_CUDA.match(pin)) is cuda} for cuda in (False, True)
    )
    for path, part, header in zip((LOCK, CUDA), parts, (HEADER, CUDA_HEADER), strict=True):
        path.write_text(written(part, header), encoding="utf-8")


if __name__ == "__main__":
    main()
