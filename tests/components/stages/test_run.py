"""What a run is known by: the hash of its settings, the commit of its code."""

import re
import subprocess
from pathlib import Path

import pytest

from components.params import GateParams
from components.stages.run import digest, git_commit


def git(*words: str) -> None:
    settings = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    subprocess.run(["git", *settings, *words], check=True, capture_output=True)


def test_a_digest_tells_settings_texts_and_their_borders_apart() -> None:
    settings = GateParams(alpha=0.05)
    assert digest(settings, "text", 1) == digest(GateParams(alpha=0.05), "text", 1)
    different = [
        digest(settings, "text", 1), digest(GateParams(alpha=0.01), "text", 1), digest(settings, "texts", 1),
        digest(settings, "text", 2), digest("ab", "c"), digest("a", "bc"),
    ]  # fmt: skip
    assert len(set(different)) == len(different)
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in different)


def test_the_commit_is_marked_where_files_differ_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert git_commit() == "unknown"
    git("init")
    Path("code.py").write_text("a = 1\n")
    git("add", ".")
    git("commit", "--message", "First")
    git("tag", "--annotate", "v1", "--message", "A tag")
    clean = git_commit()
    assert re.fullmatch("[0-9a-f]{40}", clean)
    Path("code.py").write_text("a = 2\n")
    assert git_commit() == f"{clean}-dirty"
