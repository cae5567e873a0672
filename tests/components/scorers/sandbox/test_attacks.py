"""Programs that try to escape or to score: none succeeds, and the honest program after each still passes."""

import os
import platform
import re
import secrets
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from components.errors import ScorerError
from components.params.sandbox import Isolation, SandboxParams
from components.scorers.sandbox import Answer, Call, Execution, Program, Sandbox
from components.scorers.unit_tests import UnitTest, verdict
from tests.components.scorers.sandbox_here import require

# The mark is in two parts, so that a program that shows its own text does not seem to have got out.
HELPERS = """\
import ctypes, os
def escaped(action, *arguments, **named):
    try: return "ESCAPE" f"D {action(*arguments, **named)!r}"
    except BaseException as error: return f"refused: {error}"
def libc(name, *arguments):
    return "ESCAPE" "D " + name if getattr(ctypes.CDLL(None), name)(*arguments) != -1 else "refused"
def write_everywhere(data):
    for number in range(3, 64):
        try: os.write(number, data)
        except OSError: pass
"""
HONEST = Program(code="import math\ndef g(n): return math.comb(n, 2)\n", calls=(Call(call="g", args=(9,)),))
FOLDER = Path(__file__).parent / "attacks"


def attacks() -> dict[str, str]:
    """Kind and name → program."""
    programs: dict[str, str] = {}
    for path in sorted(FOLDER.glob("*.txt")):
        for text in path.read_text(encoding="utf-8").split("## ")[1:]:
            name, code = text.split("\n", 1)
            programs[f"{path.stem}: {name}"] = code
    return programs


@dataclass(frozen=True)
class Target:
    """What an attack could reach: a secret, a folder, listeners on this machine, the process of the tests."""

    secret: str
    secret_file: Path
    outside: Path
    fills: dict[str, str]
    heard: list[str]

    def program(self, code: str) -> Program:
        for name, value in self.fills.items():
            code = code.replace(f"@{name}@", value)
        return Program(code=HELPERS + code, calls=tuple(Call(call="f", args=(n,)) for n in (1, 2, 3)))


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    secret, outside, home = secrets.token_hex(16), tmp_path / "outside", tmp_path / "home"
    outside.mkdir()
    home.mkdir()
    (home / "credentials").write_text(secret)
    (home / ".ssh").mkdir()
    (home / ".ssh" / "id_ed25519").write_text(secret)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("API_KEY", secret)
    abstract = f"gradus-{secrets.token_hex(4)}"
    unix = str(tmp_path / "s")
    listeners = [socket.create_server(("127.0.0.1", 0))]
    for address in (unix, "\0" + abstract):
        listeners.append(socket.socket(socket.AF_UNIX))
        listeners[-1].bind(address)
        listeners[-1].listen()
    heard: list[str] = []
    for listener in listeners:
        threading.Thread(target=_listen, args=(listener, heard), daemon=True).start()
    fills = {
        "CANARY_FILE": str(home / "credentials"),
        "OUTSIDE": str(outside),
        "HOME": str(home),
        "PARENT": str(os.getpid()),
        "PORT": str(listeners[0].getsockname()[1]),
        "UNIX": unix,
        "ABSTRACT": abstract,
        "HOST": platform.node(),
        "REPO": str(Path(__file__).resolve().parents[4]),
    }
    yield Target(secret, home / "credentials", outside, fills, heard)
    for listener in listeners:
        listener.close()


def _listen(listener: socket.socket, heard: list[str]) -> None:
    while True:
        try:
            connection, address = listener.accept()
        except OSError:
            return
        heard.append(str(address))
        connection.close()


def opened(isolation: Isolation, wall_seconds: float) -> Sandbox:
    """A sandbox with short limits; skips where this isolation does not work."""
    params = SandboxParams(isolation=isolation, cpu_seconds=1, wall_seconds=wall_seconds, memory_mb=256, answer_kb=256)
    require(isolation)
    sandbox = Sandbox(params)
    assert sandbox.isolation
    return sandbox


def test_there_are_two_hundred_attacks_that_differ_in_more_than_numbers() -> None:
    programs = attacks().values()
    assert len(set(programs)) == len(programs)
    assert len({re.sub(r"[\d\s]", "", code) for code in programs}) >= 200


def attack_all(isolation: Isolation, target: Target, wall_seconds: float) -> None:
    names, programs = zip(*((name, target.program(code)) for name, code in attacks().items()), strict=True)
    # No program can find out what is expected: the numbers are drawn here and stay here.
    tests = [UnitTest(call="f", args=(n,), expected=secrets.randbits(60)) for n in (1, 2, 3)]
    ours = psutil.Process()
    before = ours.children(recursive=True)
    with opened(isolation, wall_seconds) as sandbox:
        executions = sandbox.run_many([program for attack in programs for program in (attack, HONEST)])
        honest = executions[1::2]
        for _ in range(5):  # such short a time may be over before a busy machine gets round to it
            tired = [
                execution
                for execution in honest
                if isinstance(execution, Execution) and "did not end" in (execution.failure or "")
            ]
            honest = [execution for execution in honest if execution not in tired] + sandbox.run_many(
                [HONEST] * len(tired)
            )
    failed = {
        name: str(outcome)
        for name, outcome in zip(names, executions[::2], strict=True)
        if isinstance(outcome, ScorerError)
    }
    executed = {
        name: execution
        for name, execution in zip(names, executions[::2], strict=True)
        if isinstance(execution, Execution)
    }
    assert failed == {}, "what an attack does is never the sandbox's failure"
    assert [name for name, execution in executed.items() if verdict(tests, execution, 0.0).value > 0] == []
    got_out = [
        name for name, execution in executed.items() if "ESCAPED" in repr(execution) or target.secret in repr(execution)
    ]
    assert got_out == []
    assert [
        execution
        for execution in honest
        if not isinstance(execution, Execution) or execution.answers != (Answer(value=36),)
    ] == []
    assert list(target.outside.iterdir()) == []
    assert target.secret_file.read_text() == target.secret
    assert target.heard == []
    assert ours.children(recursive=True) == before


def test_no_attack_escapes_and_none_scores(target: Target) -> None:
    attack_all("auto", target, wall_seconds=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("isolation", ["bubblewrap", "unshare"])
def test_no_attack_escapes_from_either_isolation(isolation: Isolation, target: Target) -> None:
    attack_all(isolation, target, wall_seconds=1.0)


def test_without_isolation_the_same_attacks_reach_what_they_are_after(target: Target) -> None:
    codes = [attacks()[name] for name in ("secrets: file_by_its_path", "outside: write_a_file")]
    with opened("none_i_trust_the_code", wall_seconds=5.0) as sandbox:
        read, wrote = sandbox.run_many([target.program(code) for code in codes])
    assert target.secret in repr(read)
    assert "ESCAPED" in repr(wrote)
    assert [path.name for path in target.outside.iterdir()] == ["written"]
