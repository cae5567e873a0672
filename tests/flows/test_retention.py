"""Old data is removed, forgotten requests are gone wherever this machine reaches, and the rest is reported."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from components.data.branches import old_branches, remove_branch
from components.data.harvest import Harvested
from components.data.opinions import KINDS
from components.errors import ConfigError
from components.params import RetentionParams
from components.records import (
    Example,
    Feedback,
    Logged,
    Message,
    Preference,
    Thumb,
    Trace,
    Usage,
    read_jsonl,
    write_jsonl,
)
from components.registry import old_traces, store_traces
from components.serving import sparing
from components.serving.spool import Spool
from flows.retention import all_going, retention
from flows.serve import FORGOTTEN
from monitoring.lake import Lake

GONE, STAYS = "chatcmpl-00000000000000aa", "chatcmpl-00000000000000bb"
DAY = 86_400.0
pytestmark = pytest.mark.slow  # a record of its own is made


def trace(name: str, at: float, *before: Message) -> Trace:
    return Trace(
        id=name, at=at, workload="shop", version=1, method="sft", text="{}",
        messages=(*before, Message(role="user", content="Hi")),
        finish_reason="stop", usage=Usage(input_tokens=1, output_tokens=1), latency_ms=1.0, valid=True,
    )  # fmt: skip


def harvested(name: str) -> Harvested:
    example = Example(id=f"P-{name}", input={}, demonstration="", reference="", group="")
    return Harvested(example=example, split="train", source="corrected")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An old and a new request in a lake, a record, a spool and a harvest."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for days, name in ((400, STAYS), (0, GONE)):
        at = time.time() - days * DAY
        names = (name, f"{name}-1", f"{name}~shadow")
        reported = [Feedback(trace_id=each, at=at, workload="shop", score=1.0) for each in names]
        lines = [each.model_dump_json() for each in (*(trace(each, at) for each in names), *reported)]
        Lake(Path("state/lake")).store(name, lines)
        store_traces(name, lines)
    write_jsonl(Path("data/shop/harvest/1.jsonl"), [harvested(GONE), harvested(STAYS)])
    thumbs = [Thumb(example_id=f"P-{name}", text="{}", good=True) for name in (GONE, STAYS)]
    pairs = [Preference(example_id=f"P-{name}", chosen="a", rejected="b") for name in (GONE, STAYS)]
    write_jsonl(Path("data/shop/harvest/1.thumbs.jsonl"), thumbs)
    write_jsonl(Path("data/shop/harvest/1.preferences.jsonl"), pairs)
    logs = [Logged(example_id=f"P-{name}", text="{}", score=1.0) for name in (GONE, STAYS)]
    write_jsonl(Path("data/shop/harvest/1.logs.jsonl"), logs)
    write_jsonl(Path("artifacts/shop-nano/data/train.jsonl"), [harvested(GONE)])
    return tmp_path


def ids() -> list[str]:
    return sorted(each.id for each in Lake(Path("state/lake")).read(Trace, "shop"))


def test_a_request_is_forgotten_everywhere_and_what_is_left_is_reported(project: Path) -> None:
    spool = Spool(project / "state" / "spool" / "shop" / "lake")
    spool.append(trace(GONE, time.time()))  # a server that runs has it in the segment that it writes
    idle = Spool(project / "state" / "spool" / "shop" / "mlflow")
    idle.append(trace(f"{GONE}-2", time.time()))
    idle.append(trace(f"{STAYS}-2", time.time()))
    idle.close()
    done = CliRunner().invoke(retention, ["forget", "shop", GONE])
    assert done.exit_code == 0, done.output
    assert ids() == [STAYS, f"{STAYS}-1", f"{STAYS}~shadow"]
    assert sorted(each.trace_id for each in Lake(Path("state/lake")).read(Feedback, "shop")) == ids()
    assert old_traces("shop", time.time() + DAY) == 3
    assert [each.example.id for each in read_jsonl(Path("data/shop/harvest/1.jsonl"), Harvested)] == [f"P-{STAYS}"]
    for kind, record in KINDS.items():
        kept = read_jsonl(Path(f"data/shop/harvest/1.{kind}.jsonl"), record)
        assert [kept_one.example_id for kept_one in kept] == [f"P-{STAYS}"]
    assert "Not yet: 1 lines in a segment that a server writes" in done.output
    assert "Not removed: artifacts/shop-nano/data/train.jsonl" in done.output
    lake = Lake(Path("state/lake"))
    spool.drain(sparing(lake.store, FORGOTTEN))
    Spool(project / "state" / "spool" / "shop" / "mlflow").drain(sparing(lake.store, FORGOTTEN))
    assert ids() == [STAYS, f"{STAYS}-1", f"{STAYS}-2", f"{STAYS}~shadow"]
    assert GONE not in FORGOTTEN.read_text()
    assert FORGOTTEN.stat().st_mode & 0o777 == 0o600
    assert CliRunner().invoke(retention, ["forget", "shop", GONE]).exit_code == 0


def test_the_turns_of_a_conversation_that_hold_a_request_go_with_it(project: Path) -> None:
    first = trace(GONE, time.time())
    later = trace("chatcmpl-00000000000000cc", time.time(), *first.messages, first.reply)
    Lake(Path("state/lake")).store("later", [later.model_dump_json()])
    store_traces("later", [later.model_dump_json()])
    write_jsonl(Path("data/shop/harvest/1.jsonl"), [harvested(later.id), harvested(STAYS)])
    done = CliRunner().invoke(retention, ["forget", "shop", GONE])
    assert done.exit_code == 0, done.output
    assert f"conversation: 2 requests, {GONE}, {later.id}" in done.output
    assert "lake: 4 traces; MLflow: 4 traces" in done.output
    assert ids() == [STAYS, f"{STAYS}-1", f"{STAYS}~shadow"]
    assert [each.example.id for each in read_jsonl(Path("data/shop/harvest/1.jsonl"), Harvested)] == [f"P-{STAYS}"]


def test_an_invalid_id_is_refused() -> None:
    assert isinstance(CliRunner().invoke(retention, ["forget", "shop", "c"]).exception, ConfigError)


def test_old_data_is_listed_and_removed(project: Path) -> None:
    params = RetentionParams(branches=None, dvc_cache=False)
    broken = project / "state" / "lake" / "x.parquet.broken"
    broken.write_text("x")
    os.utime(broken, (0, 0))
    going = list(all_going("shop", params, time.time()))
    assert [each.what for each in going] == ["day of the lake", "day of the lake", "traces in MLflow", "set aside"]
    assert len(ids()) == 6
    for each in going:
        each.remove()
    assert ids() == [GONE, f"{GONE}-1", f"{GONE}~shadow"]
    assert old_traces("shop", time.time() + DAY) == 3
    assert not broken.exists()
    assert list(all_going("shop", params, time.time())) == []
    nothing = RetentionParams(
        lake_days=None, trace_days=None, broken_days=None, compared_days=None, branches=None, versions=None,
        dvc_cache=False,
    )  # fmt: skip
    assert list(all_going("shop", nothing, time.time() + 1e9)) == []


def test_old_branches_go_but_for_those_that_are_needed_or_checked_out(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        command = ["git", "-c", "user.name=T", "-c", "user.email=t@localhost", *words]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    commits = {}
    for number in range(5):
        git("commit", "--quiet", "--allow-empty", "-m", str(number))
        git("branch", f"retrain/shop/{number}")
        commits[number] = git("rev-parse", "HEAD")
    git("worktree", "add", "--quiet", "elsewhere", "retrain/shop/1")
    assert old_branches(tmp_path, "shop", 1, {commits[2]}) == ["retrain/shop/3", "retrain/shop/0"]
    remove_branch(tmp_path, "retrain/shop/3")
    assert old_branches(tmp_path, "shop", 1) == ["retrain/shop/2", "retrain/shop/0"]
    assert old_branches(tmp_path, "other", 0) == []
