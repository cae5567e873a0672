"""`gradus init` at the command line: shown before it is written, agreed to, changed."""

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.components.data.conftest import sentence

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "flows.cli", "init", "mails", "--from", "mails.jsonl"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "params").mkdir()
    shutil.copyfile(ROOT / "params" / "pipeline.yaml", tmp_path / "params" / "pipeline.yaml")
    rows = [{"text": sentence(n), "label": ["a", "b"][n % 2], "note": f"note {n % 3}"} for n in range(30)]
    (tmp_path / "mails.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return tmp_path


def run(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*COMMAND, *more],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def at_terminal(folder: Path, typed: str) -> int:
    """The exit code of the command when somebody types this."""
    master, slave = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        COMMAND, cwd=folder, env=environment, stdin=slave, stdout=subprocess.PIPE, stderr=slave
    ) as process:
        os.close(slave)
        os.write(master, typed.encode())
        process.communicate(timeout=120)
    os.close(master)
    return process.returncode


def test_without_a_terminal_it_shows_what_it_understood_and_writes_only_with_yes(folder: Path) -> None:
    shown = run(folder)
    assert shown.returncode == 2
    assert shown.stderr == "gradus: expected a terminal to ask at, or --yes, found neither; nothing was written\n"
    assert "  input      text\n" in shown.stdout
    assert shown.stdout.count("    -> ") == 10
    assert sorted(path.name for path in folder.iterdir()) == ["mails.jsonl", "params"]
    written = run(folder, "--yes", "--role", "note=leave")
    assert written.returncode == 0, written.stderr
    assert "  left out   note: as requested\n" in written.stdout
    first = json.loads((folder / "data/mails/all.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert first == {"text": sentence(0), "label": "a"}


def test_an_unknown_role_is_refused_by_name(folder: Path) -> None:
    for role, message in (
        ("note", "COLUMN=ROLE"),
        ("note=boss", "expected a role of"),
        ("no=leave", "expected a column"),
    ):
        result = run(folder, "--yes", "--role", role)
        assert (result.returncode, result.stderr.count("\n")) == (2, 1)
        assert message in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo terminal")
def test_at_a_terminal_roles_are_changed_until_somebody_says_yes_or_no(folder: Path) -> None:
    assert at_terminal(folder, "n\n") == 2
    assert not (folder / "data").exists()
    assert at_terminal(folder, "note=nonsense\nnote=slice\ny\n") == 0
    assert "slices: [note]" in (folder / "params/workloads/mails.yaml").read_text(encoding="utf-8")
