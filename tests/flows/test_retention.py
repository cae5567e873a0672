"""Old data is removed, forgotten requests are gone wherever this machine reaches, and the rest is reported."""

import os
import subprocess
import time
from dataclasses import replace
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
    Observation,
    Preference,
    Thumb,
    Trace,
    Usage,
    read_jsonl,
    write_jsonl,
)
from components.registry import Row, old_traces, open_run, store_rows, store_traces
from components.serving import sparing
from components.serving.spool import Spool
from flows.retention import all_going, retention
from flows.serve import FORGOTTEN
from monitoring.lake import Lake

GONE, STAYS = "chatcmpl-00000000000000aa", "chatcmpl-00000000000000bb"
TEXT = 'Where is the "blue" kettle?\nIt is late, señor.'
DAY = 86_400.0
pytestmark = pytest.mark.slow  # a record of its own is made


def trace(name: str, at: float, *before: Message) -> Trace:
    return Trace(
        id=name, at=at, workload="shop", version=1, method="sft", text="{}",
        messages=(*before, Message(role="user", content="Hi")),
        finish_reason="stop", usage=Usage(input_tokens=1, output_tokens=1), latency_ms=1.0, valid=True,
    )  # fmt: skip


def harvested(name: str, **asked: str) -> Harvested:
    example = Example(id=f"P-{name}", input=asked, demonstration="", reference="", group="")
    return Harvested(example=example, split="train", source="corrected")


def referred(content: str) -> str:
    """A run of MLflow's with a reference; its id."""
    Path("reference.jsonl").write_text(content + "\n", encoding="utf-8")
    with open_run("shop", "ladder", {}) as run:
        run.artifact(Path("reference.jsonl"), "reference")
    return str(run.run_id)


def said_of(runs: list[str], output: str) -> list[list[str]]:
    """What the lines about each run begin with."""
    return [[line.partition(":")[0] for line in output.splitlines() if run in line] for run in runs]


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


def test_the_id_of_a_further_answer_forgets_its_request_with_all_answers(project: Path) -> None:
    spool = Spool(project / "state" / "spool" / "shop" / "lake")
    spool.append(trace(f"{GONE}-2", time.time()))
    done = CliRunner().invoke(retention, ["forget", "shop", f"{GONE}-1"])
    assert done.exit_code == 0, done.output
    assert "lake: 3 traces; MLflow: 3 traces" in done.output
    spool.drain(sparing(Lake(Path("state/lake")).store, FORGOTTEN))
    assert ids() == [STAYS, f"{STAYS}-1", f"{STAYS}~shadow"]


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


def test_a_further_answer_that_nobody_got_goes_from_mlflow_wherever_its_route_stands(project: Path) -> None:
    further = [trace(f"{GONE}{end}", time.time()) for end in ("-1~shadow", "~shadow-1")]  # as now, as before
    store_traces("further", [each.model_dump_json() for each in further])
    done = CliRunner().invoke(retention, ["forget", "shop", GONE])
    assert done.exit_code == 0, done.output
    assert "MLflow: 5 traces" in done.output and old_traces("shop", time.time() + DAY) == 3


def test_rows_of_evaluations_that_show_a_request_go_from_mlflow(project: Path) -> None:
    row = Row(f"P-{GONE}", {"text": "Hi"}, "{}", "{}", (1, 1), 1.0, {"valid": True})
    with open_run("shop", "sft", {}) as run:
        names = (row.example_id, f"P-{GONE}-1", f"P-{STAYS}")
        store_rows(str(run.run_id), [replace(row, example_id=name) for name in names])
    done = CliRunner().invoke(retention, ["forget", "shop", GONE])
    assert done.exit_code == 0, done.output
    assert "MLflow: 3 traces, 2 rows of evaluations" in done.output
    assert old_traces("shop", time.time() + DAY) == 3 + 1


def test_files_of_runs_that_have_a_forgotten_request_s_id_or_text_are_reported(project: Path) -> None:
    write_jsonl(Path("data/shop/harvest/1.jsonl"), [harvested(GONE, text=TEXT), harvested(STAYS)])
    write_jsonl(Path("state/gate/shop-nano/standing/sealed.jsonl"), [harvested(GONE)])
    seen = Observation(input={"text": "Hi"}, text="{}", output_tokens=1, valid=True, customer=f"P-{STAYS}")
    by_id = seen.model_copy(update={"customer": f"P-{GONE}"})
    by_text = seen.model_copy(update={"input": {"text": TEXT}})  # in the group of a near-duplicate
    runs = [referred(each.model_dump_json()) for each in (by_id, by_text, seen)]
    done = CliRunner().invoke(retention, ["forget", "shop", GONE])
    assert done.exit_code == 0, done.output
    assert said_of(runs, done.output) == [["Not removed"], ["Not removed"], []]
    assert "Not removed: state/gate/shop-nano/standing/sealed.jsonl" in done.output


def test_a_reference_that_can_be_searched_for_neither_id_nor_text_is_named(project: Path) -> None:
    seen = Observation(input={"text": TEXT}, text="{}", output_tokens=1, valid=True, customer=f"P-{STAYS}")
    earlier = seen.model_dump_json(exclude={"customer", "at"})
    runs = [referred(content) for content in (earlier, seen.model_dump_json())]
    done = CliRunner().invoke(retention, ["forget", "shop", GONE])  # its harvested input has no text
    assert said_of(runs, done.output) == [["Not searched"], []]


def test_a_file_of_any_size_is_searched_wherever_the_id_stands_in_it(project: Path) -> None:
    large = Path("artifacts/shop-nano/answers/sft/test.jsonl")
    large.parent.mkdir(parents=True)
    with large.open("wb") as file:
        file.truncate(60_000_000)
        file.seek(48_000_000 - 10)  # it is read in pieces of 16 MB
        file.write(GONE.encode())
    done = CliRunner().invoke(retention, ["forget", "shop", GONE])
    assert f"Not removed: {large}" in done.output


@pytest.mark.parametrize("name", ["c", "chatcmpl-0000000000000' OR 1"])
def test_an_invalid_id_is_refused(name: str) -> None:
    assert isinstance(CliRunner().invoke(retention, ["forget", "shop", name]).exception, ConfigError)


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
