"""The sandbox with programs that mean no harm, and with workers that are lost."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import psutil
import pytest

from components.errors import ScorerError
from components.params.sandbox import SandboxParams
from components.scorers.sandbox import Answer, Call, Execution, Program, Sandbox
from components.scorers.sandbox.isolation import ENVIRONMENT
from tests.components.scorers.sandbox_here import require

SLEEP = "import time\ndef f(n):\n    time.sleep(n)\n    return n\n"


def program(code: str, *args: object, calls: int = 1) -> Program:
    return Program(code=code, calls=tuple(Call(call="f", args=args) for _ in range(calls)))


def answers(execution: Execution | ScorerError) -> list[object]:
    assert isinstance(execution, Execution)
    assert execution.failure is None
    return [answer.value for answer in execution.answers]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    require()
    with Sandbox(SandboxParams(cpu_seconds=1, memory_mb=256, answer_kb=64)) as opened:
        assert opened.isolation
        yield opened


def test_each_program_answers_its_own_calls_in_order(sandbox: Sandbox) -> None:
    programs = [program(f"count = {n}\ndef f():\n    global count\n    count += 1\n    return count\n", calls=2)
                for n in range(20)]  # fmt: skip
    assert [answers(outcome) for outcome in sandbox.run_many(programs)] == [[n + 1, n + 2] for n in range(20)]


def test_an_exception_comes_out_as_the_built_in_one_that_it_is(sandbox: Sandbox) -> None:
    code = "class Mine(KeyError): pass\ndef f(): raise Mine('x')\n"
    (execution,) = sandbox.run_many([program(code)])
    assert isinstance(execution, Execution)
    assert execution.answers == (Answer(raised="KeyError", reason="Mine: 'x'"),)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import asyncio\nasync def g(): return 7\ndef f(): return asyncio.run(g())", 7),
        ("import threading\nx = []\ndef f():\n  t = threading.Thread(target=x.append, args=(7,))\n"
         "  t.start()\n  t.join()\n  return x[0]", 7),
        ("from concurrent.futures import ThreadPoolExecutor\n"
         "def f():\n  with ThreadPoolExecutor(4) as pool: return sum(pool.map(abs, [-3, -4]))", 7),
        ("from __future__ import annotations\nfrom dataclasses import dataclass, asdict\n"
         "@dataclass\nclass P:\n  x: int\ndef f(): return asdict(P(7))['x']", 7),
        ("import tempfile\ndef f():\n  with tempfile.TemporaryFile('w+') as t:\n    t.write('7'); t.seek(0)\n"
         "    return int(t.read())", 7),
        ("import sqlite3\ndef f(): return sqlite3.connect(':memory:').execute('select 3 + 4').fetchone()[0]", 7),
        ("import re, json, decimal, fractions, datetime, statistics, heapq\n"
         "def f(): return statistics.mean([6, 8])", 7),
        ("# " + "x" * 300_000 + "\ndef f(): return 7", 7),  # more than a pipe holds
        ("def f(): return (7, [None, True, 1.5, {'a': 'é'}])", [7, [None, True, 1.5, {"a": "é"}]]),
    ],
)  # fmt: skip
def test_what_honest_programs_use_works(sandbox: Sandbox, code: str, expected: object) -> None:
    assert answers(sandbox.run_many([program(code)])[0]) == [expected]


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("def f():\n  while True: pass", "used up 1 s of CPU"),
        ("def f(): return 'x' * 100_000", "returned more than 64 KB"),
        ("import os\ndef f(): os._exit(3)", "left with status 3"),
        ("import ctypes\ndef f(): ctypes.string_at(0)", "was ended by SIGSEGV"),
        ("def f():\n  x = []\n  for _ in range(200): x = [x]\n  return x", "returned more than 100 levels of nesting"),
    ],
)
def test_a_failure_says_what_happened(sandbox: Sandbox, code: str, failure: str) -> None:
    (execution,) = sandbox.run_many([program(code)])
    assert isinstance(execution, Execution)
    assert execution.failure == failure


def test_a_program_that_waits_runs_out_of_time() -> None:
    with Sandbox(SandboxParams(wall_seconds=0.3)) as short:
        (execution,) = short.run_many([program(SLEEP, 60)])
    assert isinstance(execution, Execution)
    assert execution.failure == "did not end within 0.3 s"


def test_nothing_of_a_program_is_left_for_the_next() -> None:
    leave = (
        "import builtins, json, os, random, sys\n"
        "open('/tmp/left', 'w').close()\nrandom.seed(5)\nos.environ['LEFT'] = '1'\nos.chdir('/')\n"
        "json.left = builtins.left = sys.left = True\ndef f(): return os.listdir('/tmp')\n"
    )
    look = (
        "import builtins, json, os, random, sys\ndef f(): return ["
        "os.listdir('/tmp'), os.environ.get('LEFT'), os.getcwd(), hasattr(json, 'left'), hasattr(builtins, 'left'), "
        "hasattr(sys, 'left'), random.random()]\n"
    )
    with Sandbox(SandboxParams(workers=1)) as small:
        before, left, after = (
            answers(execution) for execution in small.run_many([program(code) for code in (look, leave, look)])
        )
    assert left == [["left"]]
    assert before == after
    assert before[0][:6] == [[], None, "/tmp", False, False, False]  # type: ignore[index]


def test_workers_give_the_same_answers() -> None:
    code = "import random\ndef f(): return [list({'a', 'b', 'c', 'd', 'e'}), random.random()]\n"
    returned: list[object] = []
    for _ in range(2):
        with Sandbox(SandboxParams(workers=1)) as small:
            returned.append(answers(small.run_many([program(code)])[0]))
    assert returned[0] == returned[1]


HEAVY_SLEEP = "import time\ndef f(n):\n    held = b'x' * (96 << 20)\n    time.sleep(n)\n    return n\n"


@contextlib.contextmanager
def killing(times: int) -> Generator[None]:
    """Kill every process of the sandbox once HEAVY_SLEEP runs in it, known by its memory; so many times."""
    over = threading.Event()

    def memory(child: psutil.Process) -> int:
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended since it was listed
            return child.memory_info().rss
        return 0

    def kill_when_it_runs() -> bool:
        children = psutil.Process().children(recursive=True)
        if not any(memory(child) > 96 << 20 for child in children):
            return False
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended with the one before it
                child.kill()
        psutil.wait_procs(children, timeout=5)
        return True

    killed = 0

    def kill() -> None:
        nonlocal killed
        while killed < times and not over.wait(0.02):
            killed += kill_when_it_runs()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        over.set()
        killer.join()
    assert killed == times


def test_a_program_whose_worker_is_lost_runs_again_in_a_fresh_one() -> None:
    with Sandbox(SandboxParams(workers=1)) as small:
        assert small.isolation
        with killing(1):
            executions = small.run_many([program(HEAVY_SLEEP, 3), program(SLEEP, 0)])
    assert [answers(execution) for execution in executions] == [[3], [0]]


def test_a_program_that_brings_down_two_workers_is_blamed_and_the_next_is_not() -> None:
    with Sandbox(SandboxParams(workers=1)) as small:
        assert small.isolation
        with killing(2):
            lost, after = small.run_many([program(HEAVY_SLEEP, 9), program(SLEEP, 0)])
    assert isinstance(lost, Execution)
    assert lost.failure == "brought down two workers"
    assert answers(after) == [0]


def test_closing_ends_every_process() -> None:
    us = psutil.Process()
    before = us.children(recursive=True)
    with Sandbox(SandboxParams()) as opened:
        opened.run_many([program(SLEEP, 0.1)] * 2)
        assert len(us.children(recursive=True)) > len(before)
    assert us.children(recursive=True) == before


def test_workers_end_with_a_parent_that_is_killed() -> None:
    code = (
        "from components.params.sandbox import SandboxParams\n"
        "from components.scorers.sandbox import Call, Program, Sandbox\n"
        "sandbox = Sandbox(SandboxParams(wall_seconds=60))\n"
        f"sleep = Program(code={SLEEP!r}, calls=(Call(call='f', args=(60,)),))\n"
        "print(sandbox.isolation, flush=True)\n"
        "sandbox.run_many([sleep, sleep])\n"
    )
    root = Path(__file__).resolve().parents[4]
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=root)
    assert parent.stdout is not None
    parent.stdout.readline()
    time.sleep(0.5)
    family = psutil.Process(parent.pid).children(recursive=True)
    assert len(family) >= 3
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []


def test_without_tools_it_refuses_and_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENVIRONMENT, "PATH", str(tmp_path))
    with Sandbox(SandboxParams()) as refusing:
        outcomes = refusing.run_many([program(SLEEP, 0)] * 2)
    assert [type(outcome) for outcome in outcomes] == [ScorerError, ScorerError]
    assert "bubblewrap: no bwrap is installed; unshare: no " in str(outcomes[0])
    assert "isolation: none_i_trust_the_code" in str(outcomes[0])
    with Sandbox(SandboxParams(isolation="none_i_trust_the_code")) as trusting:
        assert answers(trusting.run_many([program(SLEEP, 0)])[0]) == [0]


def test_an_isolation_that_does_not_start_is_the_sandboxs_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'No permissions to create a new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setitem(ENVIRONMENT, "PATH", str(tmp_path))
    with Sandbox(SandboxParams(isolation="bubblewrap")) as refusing:
        (error,) = refusing.run_many([program(SLEEP, 0)])
    assert isinstance(error, ScorerError)
    assert "bubblewrap did not start: No permissions to create a new namespace" in str(error)
