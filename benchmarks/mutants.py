"""Mutation tests of the modules with guards, with cosmic-ray's operators: do their tests notice changes?

Each mutant is a change of a line in a copy of the tree, tested only with that module's tests; it is killed if they fail
or time out. With `--most`, so many mutants of each module are drawn with the seed, and the killed share has an
interval. The record keeps the rows of modules that were not measured.

    python -m benchmarks.mutants --most 60
"""

import argparse
import compileall
import difflib
import json
import os
import py_compile
import queue
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.ladder import machine
from components.evaluation.metrics import wilson

ROOT = Path(__file__).resolve().parents[1]
TARGET, SEED = 0.85, 20261127
# Module → pytest arguments: the module's tests, without those that measure time.
GUARDS = {
    "components/data/masking.py": [
        "tests/components/data/test_masking.py", "-k", "not proportion and not twice and not fifteen",
    ],
    "components/data/personal.py": ["tests/components/data/test_personal.py"],
    "components/data/names.py": ["tests/components/data/test_names.py"],
    "components/data/check_digits.py": ["tests/components/data/test_check_digits.py"],
    "components/data/pages.py": ["tests/components/data/test_pages.py", "-k", "not browser and not data_docs"],
    "components/data/harvest.py": ["tests/components/data/test_harvest.py"],
    "components/scorers/answers.py": [
        "tests/components/scorers/test_answers.py", "tests/components/scorers/test_scorers.py",
    ],
    "components/schema/patterns.py": ["tests/components/scorers/test_patterns.py"],
    "components/scorers/sql_databases.py": ["tests/components/scorers/test_sql_databases.py"],
    "components/scorers/sql_inside.py": [
        "tests/components/scorers/test_sql_inside.py", "tests/components/scorers/test_sql_databases.py",
    ],
    "components/scorers/sandbox/inside.py": ["tests/components/scorers/sandbox/test_inside.py"],
    "components/scorers/sandbox/isolation.py": ["tests/components/scorers/sandbox/test_isolation.py"],
    "components/scorers/sandbox/pool.py": ["tests/components/scorers/sandbox/test_pool.py"],
    "components/scorers/sandbox/programs.py": ["tests/components/scorers/sandbox/test_programs.py"],
    "components/scorers/sandbox/system_calls.py": ["tests/components/scorers/sandbox/test_system_calls.py"],
    "components/scorers/sandbox/worker.py": ["tests/components/scorers/sandbox/test_worker.py"],
    "components/evaluation/gate.py": [
        "tests/components/evaluation/test_gate.py", "tests/components/evaluation/test_compare_and_gate.py",
    ],
    "components/serving/access.py": [
        "tests/components/serving/test_access.py", "tests/components/serving/test_owners.py", "-k",
        "not http and not anonymous",
    ],
    "components/serving/owners.py": ["tests/components/serving/test_owners.py", "-k", "not http and not anonymous"],
    "components/serving/browsers.py": ["tests/components/serving/test_browsers.py"],
    "components/serving/waiting.py": ["tests/components/serving/test_waiting.py"],
    "components/serving/corrections.py": ["tests/components/serving/test_corrections.py"],
    "components/serving/protocol.py": ["tests/components/serving/test_protocol.py"],
    "components/serving/spool.py": [
        "tests/components/serving/test_spool.py", "tests/components/serving/test_spool_faults.py", "-k",
        "not kill and not server",
    ],
    "components/serving/segment.py": ["tests/components/serving/test_segment.py"],
    "flows/guard.py": ["tests/flows/test_guard.py"],
    "monitoring/lake.py": [
        "tests/monitoring/test_lake.py", "tests/monitoring/test_kept_files.py",
        "tests/monitoring/test_candidates.py",
    ],
    "monitoring/voices.py": ["tests/monitoring/test_voices.py"],
}  # fmt: skip


# Module → mutated line → why no test can notice it. Such mutants are drawn and tried, but do not count in the share.
EQUIVALENT = {
    "components/scorers/sandbox/inside.py": {
        "if result < 0:": "these calls return 0 or -1",
        "written = os.read(report, 4095)": "a report has a few hundred bytes",
        "os.write(say_ready, str(error).encode()[: 301])": "300 bytes are read",
        'if __name__ <= "__main__":': "it only runs as a script",
        "if program <= 0:": "a process id is not negative",
        '_ask(_LIBC.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, -1), "put on the filter of system calls")':
            "the kernel does not read the last argument",
    },
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A module with a change."""

    module: str
    operator: str
    source: str
    mutated: str

    @property
    def equivalent(self) -> bool:
        """Whether it is known to do the same as the module."""
        known = EQUIVALENT.get(self.module, {})
        before = self.source.splitlines()
        return any(line.strip() in known for line in self.mutated.splitlines() if line not in before)

    @property
    def change(self) -> str:
        """The lines that differ."""
        lines = difflib.unified_diff(self.source.splitlines(), self.mutated.splitlines(), n=0, lineterm="")
        return "\n".join([f"{self.module} ({self.operator})", *list(lines)[2:]])


def main() -> None:
    """Measure, print, and write the record."""
    options = parse()
    chosen = {name: tests for name, tests in GUARDS.items() if not options.modules or name in options.modules}
    record: dict[str, Any] = (
        json.loads(options.output.read_text(encoding="utf-8")) if options.output.exists() else {"modules": {}}
    )
    for module, tests in chosen.items():
        if not (ROOT / module).is_file():
            sys.exit(f"expected the module {module}, found none")
        every = mutants(module)
        drawn = random.Random(SEED).sample(every, min(options.most or len(every), len(every)))
        killed = tried(drawn, tests, options.workers, options.seconds)
        survivors = [mutant.change for mutant, dead in zip(drawn, killed, strict=True) if not dead]
        print("\n\n".join(survivors), flush=True)
        equivalent = sum(mutant.equivalent for mutant, dead in zip(drawn, killed, strict=True) if not dead)
        share = wilson(sum(killed), len(killed) - equivalent)
        record["modules"][module] = {
            "killed": sum(killed), "survived": len(survivors), "equivalent": equivalent,
            "drawn_of": len(every), "share": share.value, "interval": [share.low, share.high], "tests": " ".join(tests),
            "left": survivors, "date": datetime.now(UTC).isoformat(timespec="seconds"), "command": command(),
        }  # fmt: skip
        record |= {"target": TARGET, "seed": SEED, "machine": machine()}
        part = options.output.with_name(options.output.name + ".part")
        part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        part.replace(options.output)
        print(f"{module}: {sum(killed)} of {len(killed)} killed, drawn from {len(every)}", flush=True)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", help="all by default")
    parser.add_argument("--most", type=int, default=0, help="mutants of a module; 0: all of them")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seconds", type=float, default=180.0, help="for the tests of one mutant")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "mutants.json")
    return parser.parse_args()


def command() -> str:
    """The command line of this call."""
    return " ".join(["python -m benchmarks.mutants", *sys.argv[1:]])


def mutants(module: str) -> list[Mutant]:
    """All distinct mutants of a module by cosmic-ray's operators without arguments."""
    from cosmic_ray.ast import ast_nodes, get_ast_from_path
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator, operator_names

    source = (ROOT / module).read_text(encoding="utf-8")
    tree: Any = get_ast_from_path(ROOT / module)
    by_text: dict[str, Mutant] = {}
    for name in sorted(operator_names()):
        kind: Any = get_operator(name)
        if kind.arguments():
            continue
        operator = kind()
        positions = sum(1 for node in ast_nodes(tree) for _ in operator.mutation_positions(node))
        for occurrence in range(positions):
            try:
                mutated = mutate_code(source, operator, occurrence)
            except AttributeError:  # the library cannot replace exceptions with qualified names
                continue
            if mutated is not None and mutated != source:
                by_text.setdefault(mutated, Mutant(module, name, source, mutated))
    return list(by_text.values())


def tried(drawn: list[Mutant], tests: list[str], workers: int, seconds: float) -> list[bool]:
    """Whether each mutant is killed; each worker has its own copy of the tree."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        free: queue.Queue[Tree] = queue.Queue()
        for number in range(min(workers, len(drawn))):
            free.put(stack.enter_context(tree(Path(folder) / str(number), drawn[0].module, tests)))
        first, started = free.get(), time.monotonic()
        if not first.passes(tests, 10 * seconds):
            sys.exit(f"expected {' '.join(tests)} to pass without a mutant, found that they do not")
        enough = min(seconds, 20 + 5 * (time.monotonic() - started))
        free.put(first)

        def is_killed(mutant: Mutant) -> bool:
            own = free.get()
            try:
                (own.folder / mutant.module).write_text(mutant.mutated, encoding="utf-8")
                return not own.passes(tests, enough)
            finally:
                (own.folder / mutant.module).write_text(mutant.source, encoding="utf-8")
                free.put(own)

        with ThreadPoolExecutor(workers) as threads:
            return list(tqdm(threads.map(is_killed, drawn), total=len(drawn), desc=drawn[0].module))


@dataclass(frozen=True)
class Tree:
    """A copy of the project, with a process that runs tests in it."""

    folder: Path
    process: "subprocess.Popen[str]"

    def passes(self, tests: list[str], seconds: float) -> bool:
        """Whether the tests pass in time."""
        assert self.process.stdin and self.process.stdout
        print(json.dumps({"tests": tests, "seconds": seconds}), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())


@contextmanager
def tree(folder: Path, module: str, tests: list[str]) -> Generator[Tree]:
    """A copy with all code compiled, and what does not depend on the module imported."""
    copied(folder)
    compileall.compile_dir(folder, quiet=2)
    # The module's compiled code is checked by the source's hash, because a change may have the same second and size.
    py_compile.compile(str(folder / module), invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    run = [sys.executable, "-B", "-m", "benchmarks.warm_tests", module, *tests]
    environment = os.environ | {
        "PYTHONPATH": str(folder), "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / ".hypothesis"),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # some plugins take seconds to import, and no test here needs them
    }  # fmt: skip
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(run, cwd=folder, env=environment, **pipes) as process:
        yield Tree(folder, process)


def copied(folder: Path) -> None:
    """Copy the parts of the project that tests may read, with what is compiled of them already."""
    for name in ("components", "flows", "monitoring", "benchmarks", "tests", "params", "models", "infra"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / ".dvc").mkdir()
    for name in (
        "pyproject.toml", "dvc.yaml", "dvc.lock", "requirements.lock", "requirements-cuda.lock", ".dvcignore",
        ".gitignore", ".dvc/config",
    ):  # fmt: skip
        shutil.copy(ROOT / name, folder / name)


if __name__ == "__main__":
    main()
