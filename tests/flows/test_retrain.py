"""A retraining as a person starts it: what production taught becomes a data version, a ladder and a decision."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.data.harvest import Harvested
from components.data.sources import read
from components.data.versions import DataVersion, Origin, new_version
from components.errors import ConfigError, DataError, ServiceError
from components.params import SPLITS, Workload, load
from components.records import (
    Example,
    Feedback,
    Message,
    Preference,
    Record,
    Thumb,
    Trace,
    Usage,
    read_jsonl,
    read_record,
    write_jsonl,
    write_record,
)
from components.serving import note
from components.stages.publish import Published
from components.stages.run import Run
from flows.serve import FORGOTTEN
from monitoring.canary import Judged
from monitoring.lake import Lake
from tests.flows.conftest import ROOT, RUN, WORKLOAD, Project, commit

ANSWER = {
    "intent": "not_received", "product": "wifi_router", "order_id": "DK-20418", "amount": None, "wants_refund": False,
    "priority": "normal",
}  # fmt: skip


def answered(number: int) -> Trace:
    inputs = {"message": f"Mesh node number {number} never came, code {number * 7919 % 1000}", "channel": "chat"}
    return Trace(
        id=f"chatcmpl-{number}", at=time.time(), workload="triage", version=1, method="classical", input=inputs,
        messages=(Message(role="user", content=inputs["message"]),), text=json.dumps(ANSWER), finish_reason="stop",
        usage=Usage(input_tokens=1, output_tokens=1), latency_ms=1.0, valid=True,
    )  # fmt: skip


def corrected(number: int) -> Feedback:
    return Feedback(
        trace_id=f"chatcmpl-{number}", at=time.time(), workload="triage", score=0.0, corrected=json.dumps(ANSWER),
        sender="r", reviewer=True,
    )  # fmt: skip


def put(project: Project, *records: Record, segment: str = "1") -> None:
    Lake(project.folder / "state" / "lake").store(segment, [record.model_dump_json() for record in records])


def mended(numbers: Iterable[int]) -> Iterator[Record]:
    """Wrong answers to requests that have nothing in common, and a reviewer's corrections of all of them."""
    wrong = json.dumps({**ANSWER, "priority": "urgent"})
    for number in numbers:
        inputs = {"message": sha256(str(number).encode()).hexdigest(), "channel": "chat"}
        yield answered(number).model_copy(update={"input": inputs, "text": wrong})
        yield corrected(number)


def git(project: Project, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=project.folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_few_answers_and_uncommitted_changes_start_nothing(climbed: Project) -> None:
    few = climbed.call("flows.cli", "retrain", "triage")
    assert (few.returncode, few.stdout) == (0, "Expected at least 100 right answers to learn from, found 0.\n")
    put(climbed, *(record for number in range(120) for record in (answered(number), corrected(number))))
    climbed.set("pipeline.yaml", {"retraining": {"cooldown_hours": 2}})
    dirty = climbed.call("flows.cli", "retrain", "triage")
    assert dirty.returncode == 2
    assert "expected all settings and code to be committed" in dirty.stderr
    assert "params/pipeline.yaml" in dirty.stderr
    git(climbed, "checkout", "--", "params/pipeline.yaml")


@pytest.mark.slow
def test_what_production_taught_climbs_on_a_branch_of_its_own(climbed: Project) -> None:
    put(climbed, *(record for number in range(120) for record in (answered(number), corrected(number))))
    before = git(climbed, "rev-parse", "HEAD"), git(climbed, "status", "--porcelain", "--", "params", "components")
    done = climbed.call("flows.cli", "retrain", "triage")
    assert done.returncode == 0, done.stderr
    outcome, branch = done.stdout.splitlines()[-2:]
    assert outcome.startswith(("The old champion stays: ", "Version 2 waits: "))  # nobody asks it here
    name = branch.removeprefix("Branch: ").split()[0]
    assert (
        git(climbed, "rev-parse", "HEAD"),
        git(climbed, "status", "--porcelain", "--", "params", "components"),
    ) == before
    files = git(climbed, "show", "--name-only", "--format=", name).split()
    assert "params/workloads/triage.yaml" in files
    assert any(path.endswith(".jsonl.dvc") for path in files)
    there = climbed.folder / "state" / "retrain" / "triage"
    harvests = list((there / "data" / "triage" / "harvest").glob("*.jsonl"))
    harvested = read_jsonl(harvests[0], Harvested)
    for split in ("train", "dev", "test", "sealed"):
        examples = {
            example.id for example in read_jsonl(there / "artifacts" / RUN / "data" / f"{split}.jsonl", Example)
        }
        assert {row.example.id for row in harvested if row.split == split} <= examples
    own = {example.id for example in read_jsonl(climbed.artifacts / "data" / "sealed.jsonl", Example)}
    new = {example.id for example in read_jsonl(there / "artifacts" / RUN / "data" / "sealed.jsonl", Example)}
    assert own < new


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of settings alone, in which one works."""
    shutil.copytree(ROOT / "params", tmp_path / "params")
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


@pytest.fixture
def versioned(settings: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project under git and DVC, whose source has no examples of its own in any split, and no gate."""
    from flows import retrain

    (settings.folder / ".dvc").mkdir()
    for name in (".gitignore", ".dvcignore", ".dvc/config"):
        shutil.copyfile(ROOT / name, settings.folder / name)
    settings.set("workloads/triage.yaml", WORKLOAD)
    commit(settings.folder)
    for split in SPLITS:
        write_jsonl(settings.artifacts / "data" / f"{split}.jsonl", [])
    monkeypatch.setattr(retrain, "examples_asked_for", lambda workload: 0)
    return settings


def harvested(run: Run, origin: Origin) -> tuple[list[Harvested], Any]:
    """What a retraining harvests whose data begin there, and what it knows."""
    from flows import retrain

    known = retrain.known_at(run, origin)
    return retrain.gather.fn(run, known, time.time()), known


def test_a_harvest_has_nothing_of_an_earlier_one_that_made_the_champion(versioned: Project) -> None:
    run = Run.load(RUN)
    put(versioned, *mended(range(100, 140)))
    first, _ = harvested(run, Origin())
    champion = Origin(new_version(versioned.folder, "triage", first, "first").commit)
    put(versioned, *mended(range(140, 160)), segment="2")  # the first forty requests are of this week, too
    second, known = harvested(run, champion)
    assert {line.example.id for line in first} == {f"P-chatcmpl-{number}" for number in range(100, 140)}
    assert {line.example.id for line in second} == {f"P-chatcmpl-{number}" for number in range(140, 160)}

    from flows.retrain import feedback

    said = feedback(run, second, known, time.time())
    made = new_version(versioned.folder, "triage", second, "second", champion, said)
    workload = load(made.folder / "params" / "workloads" / "triage.yaml", Workload)
    assert workload.harvest == ("first.jsonl", "second.jsonl")
    rows = read(workload, made.folder / "data" / "triage")  # as the stage `data` does, which refuses an id twice
    assert {row.example.id for row in rows if row.harvested} == {f"P-chatcmpl-{number}" for number in range(100, 160)}


def test_opinions_on_what_an_earlier_harvest_judges_by_are_not_learnt_from(versioned: Project) -> None:
    from flows.retrain import feedback

    run = Run.load(RUN)
    put(versioned, *mended(range(100, 140)))
    first, _ = harvested(run, Origin())
    assert {line.split for line in first} >= {"train", "dev"}
    champion = Origin(new_version(versioned.folder, "triage", first, "first").commit)
    put(versioned, *mended(range(140, 160)), segment="2")
    second, known = harvested(run, champion)
    opinions = [said for kind in feedback(run, second, known, time.time()).values() for said in kind]
    about = {said.example_id for said in opinions if isinstance(said, Preference | Thumb)}
    assert about == {line.example.id for line in (*first, *second) if line.split == "train"}


def test_what_a_champion_learnt_that_lacks_later_work_of_the_project_is_known_and_kept(versioned: Project) -> None:
    run = Run.load(RUN)
    put(versioned, *mended(range(100, 110)))
    first, _ = harvested(run, Origin())
    champion = Origin(new_version(versioned.folder, "triage", first, "first").commit)
    versioned.set("pipeline.yaml", {"retraining": {"cooldown_hours": 2}})
    for words in (["add", "."], ["commit", "--quiet", "-m", "More"]):
        git(versioned, "-c", "user.name=Test", "-c", "user.email=test@localhost", *words)
    put(versioned, *mended(range(110, 120)), segment="2")
    second, _ = harvested(run, champion)
    assert {line.example.id for line in second} == {f"P-chatcmpl-{number}" for number in range(110, 120)}
    made = new_version(versioned.folder, "triage", second, "second", champion)  # it begins at the project's own commit
    assert git(versioned, "rev-parse", f"{made.commit}^") == git(versioned, "rev-parse", "HEAD")
    workload = load(made.folder / "params" / "workloads" / "triage.yaml", Workload)
    rows = read(workload, made.folder / "data" / "triage")
    assert {row.example.id for row in rows if row.harvested} == {f"P-chatcmpl-{number}" for number in range(100, 120)}


def test_what_is_forgotten_is_in_no_harvest_of_the_next_version(versioned: Project) -> None:
    from flows.retrain import version_data

    run = Run.load(RUN)
    put(versioned, *mended(range(100, 110)))
    first, _ = harvested(run, Origin())
    champion = Origin(new_version(versioned.folder, "triage", first, "first").commit)
    put(versioned, *mended(range(110, 120)), segment="2")
    note(FORGOTTEN, "chatcmpl-100")  # the lake has it still
    second, known = harvested(run, champion)
    assert "P-chatcmpl-100" not in {example.id for examples in known.values() for example in examples}
    note(FORGOTTEN, "chatcmpl-110")  # after the harvest
    made = version_data.fn(run, second, known, champion, time.time())
    workload = load(made.folder / "params" / "workloads" / "triage.yaml", Workload)
    rows = read(workload, made.folder / "data" / "triage")
    kept = {*range(101, 110), *range(111, 120)}
    assert {row.example.id for row in rows if row.harvested} == {f"P-chatcmpl-{number}" for number in kept}


def retrained(**changes: Any) -> Any:
    from flows.retrain import Retrained

    facts = {"workload": "triage", "reason": "drift: input", "started": 3600.0, "outcome": "It has not ended."}
    return Retrained.model_validate(facts | changes)


def test_a_further_try_after_a_forgotten_request_is_forgotten_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.retrain import forgotten

    monkeypatch.chdir(tmp_path)
    gone, stays = "chatcmpl-" + "1" * 32, "chatcmpl-" + "2" * 32
    note(FORGOTTEN, gone)
    names = (gone, f"{gone}-1", f"{gone}-101", f"{gone}-1-102", stays, f"{stays}-101", f"{stays}-1-101")
    assert list(map(forgotten(), names)) == [True] * 4 + [False] * 3


def test_drift_waits_for_the_cooldown_and_a_person_does_not(settings: Project) -> None:
    from flows.retrain import BY_HAND, cooling_h, record_path

    run = Run.load(RUN)
    assert cooling_h(run, "drift: input", 0.0) == 0  # there was none before
    write_record(record_path(run), retrained())  # it was killed, or an earlier version of Gradus wrote this
    assert cooling_h(run, "drift: input", 3 * 3600.0) == 22  # two of its 24 hours are over
    assert cooling_h(run, BY_HAND, 3 * 3600.0) == 0
    assert cooling_h(run, "drift: input", 25 * 3600.0) == 0
    assert cooling_h(run, "drift: input", 3599.0) == 0  # noted in the future: the clock was set back
    write_record(record_path(run), retrained(ended=30 * 3600.0))
    assert cooling_h(run, "drift: input", 31 * 3600.0) == 23  # one hour since its end
    assert cooling_h(run, "drift: input", 54 * 3600.0) == 0
    assert cooling_h(run, "drift: input", 29 * 3600.0) == 0  # before its end: the clock was set back
    record_path(run).write_text('{"workload": "triage", "reason": ')
    assert cooling_h(run, "drift: input", 3 * 3600.0) == 0  # half a file says nothing, and holds up nothing
    assert [path.name for path in record_path(run).parent.glob("*.broken")] == ["triage.json.broken"]


@pytest.mark.parametrize("alias", ["candidate", "canary"])
def test_drift_starts_none_while_a_version_waits_for_its_release(
    settings: Project, monkeypatch: pytest.MonkeyPatch, alias: str
) -> None:
    from flows import retrain

    run, named = Run.load(RUN), {"champion": 3, "previous": 2}
    monkeypatch.setattr(retrain, "aliases", lambda workload: named)
    assert retrain.held_up(run, "drift: input", 0.0) is None
    named[alias] = 4
    why = f"Version 4, the {alias}, waits for its release (gradus release triage)."
    assert retrain.held_up(run, "drift: input", 0.0) == why
    assert retrain.held_up(run, retrain.BY_HAND, 0.0) is None


def made_in(folder: Path) -> DataVersion:
    return DataVersion(folder, "retrain/triage/1", "c0ffee", folder / "1.jsonl")


@pytest.fixture
def taught(versioned: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose production has taught enough for a retraining on drift."""
    from flows import retrain

    put(versioned, *mended(range(120)))
    monkeypatch.setattr(retrain, "score", lambda *settings, **more: None)
    monkeypatch.setattr(retrain, "aliases", lambda workload: {"champion": 1})
    monkeypatch.setattr(retrain, "registered", lambda workload: SimpleNamespace(git_commit=""))
    monkeypatch.setattr(retrain, "gather", retrain.gather.fn)
    return versioned


def test_a_retraining_whose_data_version_fails_is_recorded_and_drift_waits_after_it(
    taught: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import retrain

    def fails(*ingredients: Any) -> None:
        raise DataError("expected `git commit` to succeed, found a full disk")

    monkeypatch.setattr(retrain, "version_data", fails)
    with pytest.raises(DataError, match="a full disk"):
        retrain.retrain.fn("triage", "nano", "drift: input")
    run = Run.load(RUN)
    kept = read_record(retrain.record_path(run), retrain.Retrained)
    assert (kept.outcome, kept.branch, kept.examples) == ("It failed.", "", 120)
    assert retrain.held_up(run, "drift: input", kept.until) == "Cooling down for 24.0 h more."


def test_a_retraining_that_uncommitted_changes_refuse_is_none(taught: Project) -> None:
    from flows import retrain

    taught.set("pipeline.yaml", {"retraining": {"cooldown_hours": 2}})
    with pytest.raises(ConfigError, match=r"found changes in params/pipeline\.yaml"):
        retrain.retrain.fn("triage", "nano", "drift: input")
    assert not retrain.record_path(Run.load(RUN)).exists()
    assert not (taught.folder / "state" / "retrain" / "triage").exists()


def test_a_retraining_that_fails_is_recorded_and_drift_waits_after_it(
    settings: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import retrain

    run, begun, seen = Run.load(RUN), retrained(started=time.time()), list[Any]()

    def dies(folder: Path, run: Run) -> None:
        seen.append(read_record(retrain.record_path(run), retrain.Retrained))
        raise ServiceError("expected the ladder to be climbed, found that it ended with code 2")

    monkeypatch.setattr(retrain, "climb_in", dies)
    with pytest.raises(ServiceError):
        retrain.climbed(run, begun, lambda: made_in(settings.folder))
    assert seen == [begun.model_copy(update={"branch": "retrain/triage/1"})]  # so that one that is killed is noted, too
    kept = read_record(retrain.record_path(run), retrain.Retrained)
    assert (kept.outcome, kept.branch) == ("It failed.", "retrain/triage/1")
    assert kept.ended is not None and kept.ended >= begun.started
    assert retrain.cooling_h(run, "drift: input", kept.ended + 3600) == pytest.approx(23)


@pytest.mark.parametrize(
    ("alias", "judged", "outcome"),
    [
        ("candidate", Judged(decision="promoted", reasons=("better",)), "Version 2 is champion: better"),
        ("candidate", Judged(decision="withdrawn", reasons=("worse",)), "The old champion stays: worse"),
        ("candidate", Judged(decision="waiting", reasons=("more",)), "Version 2 waits: more"),
        (None, None, "The old champion stays: the gate's reason"),
    ],
)
def test_a_retraining_releases_its_candidate_and_says_how_that_ended(
    settings: Project, monkeypatch: pytest.MonkeyPatch, alias: Any, judged: Judged | None, outcome: str
) -> None:
    from flows import retrain

    gate = SimpleNamespace(verdicts=[SimpleNamespace(reasons=("the gate's reason",))])
    made = Published(decision="d", champion="sft", version=2, alias=alias)
    monkeypatch.setattr(retrain, "climb_in", lambda folder, run: (gate, made))
    monkeypatch.setattr(retrain, "release", None if judged is None else lambda workload, profile: judged)
    run = Run.load(RUN)
    result = retrain.climbed(run, retrained(), lambda: made_in(settings.folder))
    assert (result.outcome, result.version, result.branch) == (outcome, 2, "retrain/triage/1")
    assert read_record(retrain.record_path(run), retrain.Retrained) == result
