"""What a release waits for, what it does not wait for, and what it keeps meanwhile."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import typer
from prefect.exceptions import FlowPauseTimeout

from components.errors import ConfigError, RegistryError
from components.params import ApiParams, JudgeParams, LabellingParams, ReleaseParams, RoutingParams
from components.records import Message, Trace, Usage, write_record
from components.registry import Version
from components.serving import Keys
from components.stages.run import Run
from flows import release
from monitoring.lake import Lake

CHAMPION, CANARY = (Version(number, "grpo", "model", "short", Path()) for number in (1, 2))
DESK = Run.of("desk", "nano").workload  # an agent's
YES, NO = release.Approval(approved=True), release.Approval(approved=False, comment="the holidays come first")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    result = Run.of("triage", "nano")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(release, "aliases", lambda workload: {"champion": 1, "canary": 2})
    monkeypatch.setattr(release.Run, "of", lambda workload, profile: result)
    return result


@dataclass
class Registry:
    """The aliases that a release reads and moves, in memory."""

    named: dict[str, int]

    def version(self, workload: str, alias: str = "champion") -> Version:
        return replace(CHAMPION, number=self.named[alias])

    def version_if_any(self, workload: str, alias: str) -> Version | None:
        return self.version(workload, alias) if alias in self.named else None

    def make_canary(self, workload: str, number: int) -> None:
        self.withdraw(workload, number)
        self.named["canary"] = number

    def withdraw(self, workload: str, number: int) -> None:
        tried = [alias for alias in ("candidate", "canary") if self.named.get(alias) == number]
        self.named = {alias: at for alias, at in self.named.items() if alias not in tried}

    def promote(self, workload: str, number: int) -> None:
        self.withdraw(workload, number)
        self.named |= {"previous": self.named["champion"], "champion": number}


@pytest.fixture
def registry(run: Run, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Champion 1 and candidate 2; whoever is tried goes on waiting, and a person's word is a test's to say."""
    result = Registry({"champion": 1, "candidate": 2})
    monkeypatch.setattr(release, "aliases", lambda workload: dict(result.named))
    monkeypatch.setattr(release, "registered", result.version)
    monkeypatch.setattr(release, "registered_if_any", result.version_if_any)
    for name in ("make_canary", "withdraw", "promote"):
        monkeypatch.setattr(release, name, getattr(result, name))
    monkeypatch.setattr(release, "get_run_logger", lambda: logging.getLogger("release"))
    monkeypatch.setattr(release, "needs_approval", lambda run, keys: True)
    monkeypatch.setattr(release, "tried", lambda *things: release.Judged(decision="waiting", reasons=("more",)))
    return result


def ask(monkeypatch: pytest.MonkeyPatch, answer: Callable[[], release.Approval]) -> list[int]:
    """Have a person give this answer; how long each question waits for it, in seconds."""
    waited: list[int] = []

    def pause(*, wait_for_input: type[release.Approval], timeout: int) -> release.Approval:
        waited.append(timeout)
        return answer()

    monkeypatch.setattr(release, "pause_flow_run", pause)
    monkeypatch.setattr(release, "without_pages", lambda: False)
    return waited


def at_a_terminal(monkeypatch: pytest.MonkeyPatch, *, terminal: bool, typed: str = "") -> list[str]:
    """Have Prefect's server be that of a single command, and a person type these words; the questions shown."""
    shown, words = list[str](), typed.split()

    def prompt(text: str, **_: Any) -> str:
        shown.append(text)
        if not words:
            raise typer.Abort
        return words.pop(0)

    def refuse(**_: Any) -> None:
        raise AssertionError("expected no wait for pages that nobody sees")

    monkeypatch.setattr(release, "without_pages", lambda: True)
    monkeypatch.setattr(release, "pause_flow_run", refuse)
    for stream in ("stdin", "stderr"):
        monkeypatch.setattr(getattr(release.sys, stream), "isatty", lambda: terminal)
    monkeypatch.setattr(release.typer, "prompt", prompt)
    return shown


def settings(run: Run, hours: float = 1.0, labelled: float = 0.1, **routing: Any) -> Run:
    serving = run.workload.serving.model_copy(
        update={
            "routing": RoutingParams.model_validate({"canary_share": 0.2, **routing}),
            "labelling": LabellingParams(share=labelled),
        }
    )
    retraining = run.retraining.model_copy(update={"release": ReleaseParams(canary_hours=hours)})
    return replace(run, workload=run.workload.model_copy(update={"serving": serving}), retraining=retraining)


def asked(n: int, at: float) -> None:
    """Answers of the champion, each to another customer."""
    usage, inputs = Usage(input_tokens=1, output_tokens=1), {"message": "?"}
    said = (Message(role="user", content="?"),)
    traces = [
        Trace(id=f"a{number}", at=at, workload="triage", version=1, method="grpo", input=inputs, messages=said,
              text="{}", finish_reason="stop", usage=usage, latency_ms=1.0, valid=True, customer=f"c{number}")
        for number in range(n)
    ]  # fmt: skip
    Lake(Path("state/lake")).store("1", [trace.model_dump_json() for trace in traces])


TRIED = release.tried


def tried(run: Run, since: float) -> release.Judged:
    return TRIED.fn(run, CANARY, CHAMPION, since)


def as_agent(run: Run) -> Run:
    return replace(run, workload=run.workload.model_copy(update={"agent": DESK.agent}))


ENDLESS: list[tuple[dict[str, Any], bool, str]] = [
    ({"canary_share": 1.0}, False, "serving.routing.canary_share is 1"),
    ({"labelled": 0.0}, False, "serving.labelling.share is 0"),
    ({}, True, "No conversations are drawn for labelling"),
]


@pytest.mark.parametrize(("changed", "agent", "why"), ENDLESS)
@pytest.mark.parametrize("typed", ["yes", "later", "no"])
def test_a_candidate_that_can_never_be_shown_answers_nobody_whoever_approves_it_and_may_be_refused(
    run: Run, registry: Registry, monkeypatch: pytest.MonkeyPatch, typed: str, *, changed: dict[str, Any], agent: bool,
    why: str,
) -> None:  # fmt: skip
    endless = settings(run, **changed)
    monkeypatch.setattr(release.Run, "of", lambda workload, profile: as_agent(endless) if agent else endless)
    monkeypatch.setattr(release, "tried", None)
    shown = at_a_terminal(monkeypatch, terminal=True, typed=typed)
    result = release.release.fn("triage")
    assert len(shown) == 1 and why in shown[0]
    if typed == "no":
        assert (result.decision, registry.named) == ("withdrawn", {"champion": 1})
    else:
        assert result.decision == "waiting" and result.reasons[-1].startswith(why)
        assert registry.named == {"champion": 1, "candidate": 2}


@pytest.mark.parametrize(("changed", "agent", "why"), ENDLESS)
def test_a_canary_that_can_never_be_shown_and_is_out_is_watched_while_the_champion_answers_too(
    run: Run, registry: Registry, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], why: str, *, agent: bool
) -> None:
    endless, now = settings(run, **changed), time.time()
    registry.named = {"champion": 1, "canary": 2}
    monkeypatch.setattr(release.Run, "of", lambda workload, profile: as_agent(endless) if agent else endless)
    write_record(release.begun_path(run), release.Begun(version=2, since=now - release.LOADED_S - 1, champion=1))
    watched = ("more",) if endless.workload.serving.routing.canary_share < 1 else ()
    result = release.release.fn("triage")
    assert result.decision == "waiting" and result.reasons[:-1] == watched and result.reasons[-1].startswith(why)
    if watched:
        monkeypatch.setattr(release, "tried", TRIED.fn)
        monkeypatch.setattr(release, "score", lambda *names, **hours: None)
        asked(200, now - 5)
        assert release.release.fn("triage").reasons[0].startswith("The canary got no request")
        assert registry.named == {"champion": 1}


def test_the_command_that_promotes_an_agents_candidate_by_hand_names_the_version(run: Run) -> None:
    endless = release.never_shown(as_agent(settings(run)), CANARY)
    assert endless is not None and "(gradus promote triage 2)" in endless


def test_a_candidate_of_which_no_share_is_asked_waits_for_no_labels(run: Run) -> None:
    assert release.never_shown(settings(run, labelled=0.0, canary_share=0.0), CANARY) is None


def test_silence_says_nothing_while_a_server_loads_the_canary(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class StillWaits(Exception):
        pass

    def sleep(seconds: float) -> None:
        raise StillWaits

    monkeypatch.setattr(release, "score", lambda *names, **hours: None)
    monkeypatch.setattr(release.time, "sleep", sleep)
    now = time.time()
    asked(200, now - 5)
    with pytest.raises(StillWaits):
        tried(settings(run), now - 10)
    result = tried(settings(run), now - release.LOADED_S - 1)
    assert result.decision == "withdrawn" and result.reasons[0].startswith("The canary got no request")
    assert tried(settings(run, hours=1e-12), now - 10).decision == "withdrawn"  # its time is over


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ("score", RegistryError("expected MLflow, found nobody")),
        ("score", ConfigError("expected MLflow, found nobody")),
        ("score", OSError(28, "expected MLflow, found nobody")),
        ("score", httpx.ConnectError("expected MLflow, found nobody")),
        ("aliases", RegistryError("expected MLflow, found nobody")),
        ("side", OSError(100, "expected MLflow, found nobody")),
    ],
)
def test_what_is_away_ends_no_release(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, asked: str, error: Exception
) -> None:
    def away(*names: object, **settings: object) -> None:
        raise error

    monkeypatch.setattr(release, "score", lambda *names, **hours: None)
    monkeypatch.setattr(release, asked, away)
    assert tried(settings(run, hours=1e-12), time.time() - 10).decision == "waiting"
    assert "expected MLflow, found nobody" in caplog.text


def test_nothing_is_decided_at_a_look_at_which_nobody_knows_the_aliases(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []

    def named(workload: str) -> dict[str, int]:
        looks.append(1)
        if len(looks) == 1:
            raise RegistryError("expected MLflow, found nobody")
        return {"champion": 1, "canary": 2}

    monkeypatch.setattr(release, "score", lambda *names, **hours: None)
    monkeypatch.setattr(release, "aliases", named)
    monkeypatch.setattr(release.time, "sleep", lambda seconds: None)
    asked(200, time.time() - 5)
    assert tried(settings(run), time.time() - release.LOADED_S - 1).decision == "withdrawn"
    assert len(looks) == 2


@pytest.mark.parametrize("asking", [{"judge_share": 0.5}, {"labelling": LabellingParams(share=0.1, checked=0.5)}])
def test_a_rubric_that_is_missing_is_told_of_before_a_person_is_asked_or_a_canary_answers(
    run: Run, registry: Registry, monkeypatch: pytest.MonkeyPatch, asking: dict[str, Any]
) -> None:
    wrong = settings(run)
    serving = wrong.workload.serving.model_copy(update=asking)
    judge = JudgeParams(model="judge", rubric="rubric.md", api=ApiParams(base_url="http://localhost:1/v1"))
    scorer = wrong.workload.scorer.model_copy(update={"judge": judge})
    wrong = replace(wrong, workload=wrong.workload.model_copy(update={"serving": serving, "scorer": scorer}))
    monkeypatch.setattr(release.Run, "of", lambda workload, profile: wrong)
    waited = ask(monkeypatch, lambda: YES)
    with pytest.raises(ConfigError, match=r"judge\.rubric: expected a file, found none at rubric\.md"):
        release.release.fn("triage")
    assert waited == [] and registry.named == {"champion": 1, "candidate": 2}


def test_a_disk_that_is_full_lets_no_canary_out(run: Run, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*things: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(release, "write_record", full)
    with pytest.raises(OSError, match="No space left"):
        release.started(run, CANARY, CHAMPION)
    assert registry.named == {"champion": 1, "candidate": 2}


@pytest.mark.parametrize(
    ("approval", "keys", "asked"),
    [(None, (), True), (None, ("ab" * 32,), False), (True, ("ab" * 32,), True), (False, (), False)],
)
def test_a_person_is_asked_where_anybody_may_correct_answers_or_as_the_settings_say(
    run: Run, *, approval: bool | None, keys: tuple[str, ...], asked: bool
) -> None:
    params = run.retraining.model_copy(update={"release": ReleaseParams(approval=approval)})
    assert release.needs_approval(replace(run, retraining=params), Keys(keys)) is asked


def test_the_shipped_settings_ask_a_person_where_there_are_no_keys(run: Run) -> None:
    assert release.needs_approval(run, Keys())


@pytest.mark.parametrize(
    ("decision", "named", "kept"),
    [
        ("promoted", {"champion": 2, "previous": 1}, False),
        ("withdrawn", {"champion": 1}, False),
        ("waiting", {"champion": 1, "canary": 2}, True),
    ],
)
def test_when_a_canary_began_is_kept_until_it_is_decided(
    run: Run, registry: Registry, monkeypatch: pytest.MonkeyPatch, decision: Any, named: dict[str, int], *, kept: bool
) -> None:
    registry.named = {"champion": 1, "canary": 2}
    path = release.begun_path(run)
    write_record(path, release.Begun(version=2, since=1.0))
    monkeypatch.setattr(release, "tried", lambda *things: release.Judged(decision=decision, reasons=("so",)))
    assert release.release.fn("triage").decision == decision
    assert (registry.named, path.exists()) == (named, kept)


def test_a_candidate_answers_nobody_before_a_person_approves_it(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, int]] = []

    def approve() -> release.Approval:
        seen.append(dict(registry.named))
        return YES

    ask(monkeypatch, approve)
    assert release.release.fn("triage").decision == "waiting"
    assert seen == [{"champion": 1, "candidate": 2}]
    assert registry.named == {"champion": 1, "canary": 2}


def test_a_candidate_that_is_refused_is_never_tried(
    run: Run, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.named["canary"] = 3  # of an earlier release: it goes on
    ask(monkeypatch, lambda: NO)
    monkeypatch.setattr(release, "tried", None)
    said = release.release.fn("triage")
    assert said == release.Judged(decision="withdrawn", reasons=("Not approved: the holidays come first.",))
    assert registry.named == {"champion": 1, "canary": 3}
    assert not release.begun_path(run).exists()


def test_where_nobody_is_asked_a_candidate_is_the_canary_at_once(
    run: Run, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "needs_approval", lambda run, keys: False)
    before = time.time()
    assert release.release.fn("triage").decision == "waiting"
    assert registry.named == {"champion": 1, "canary": 2}
    begun = release.begun(run, CANARY)
    assert begun is not None and before <= begun.since <= time.time()


def test_whom_nobody_approves_or_refuses_for_a_week_stays_the_candidate(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody() -> release.Approval:
        raise FlowPauseTimeout("Flow run was paused and never resumed.")

    waited = ask(monkeypatch, nobody)
    said = release.release.fn("triage")
    assert said.decision == "waiting"
    assert said.reasons == ("Nobody approved or refused it within 168 hours; gradus release triage asks again.",)
    assert waited == [7 * 24 * 3600]
    assert registry.named == {"champion": 1, "candidate": 2}


@pytest.mark.parametrize(("url", "without"), [(None, True), ("http://127.0.0.1:4200/api", False)])
def test_a_server_that_no_setting_names_is_a_single_commands(url: str | None, without: bool) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: url}):
        assert release.without_pages() is without


@pytest.mark.parametrize("closed", [False, True])
def test_where_prefect_has_no_pages_and_nobody_is_at_a_terminal_the_candidate_waits_and_says_for_what(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, closed: bool
) -> None:
    shown = at_a_terminal(monkeypatch, terminal=False)
    if closed:
        monkeypatch.setattr(release.sys, "stdin", None)
    said = release.release.fn("triage")
    assert said.decision == "waiting" and "release/triage" in said.reasons[0] and "PREFECT_API_URL" in said.reasons[0]
    assert shown == [] and registry.named == {"champion": 1, "candidate": 2}


@pytest.mark.parametrize(
    ("typed", "ending", "named"),
    [
        ("yes", ("waiting", "more"), {"champion": 1, "canary": 2}),
        ("perhaps No", ("withdrawn", "Not approved: no comment."), {"champion": 1}),
        ("later", ("waiting", "gradus release triage asks again."), {"champion": 1, "candidate": 2}),
        ("", ("waiting", "gradus release triage asks again."), {"champion": 1, "candidate": 2}),
    ],
)
def test_where_prefect_has_no_pages_the_terminal_asks(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, typed: str, ending: tuple[str, str], named: dict[str, int]
) -> None:
    shown = at_a_terminal(monkeypatch, terminal=True, typed=typed)
    said = release.release.fn("triage")
    assert said.decision == ending[0] and said.reasons[0].endswith(ending[1]) and registry.named == named
    assert len(shown) == max(1, len(typed.split()))
    assert {question.partition("?")[0] for question in shown} == {"Release version 2 in the place of version 1"}


def test_a_canary_is_asked_for_once_and_one_that_was_made_by_hand_too(
    run: Run, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.named = {"champion": 1, "canary": 2}
    waited = ask(monkeypatch, lambda: YES)
    release.release.fn("triage")  # how it became the canary nobody has noted
    assert len(waited) == 1
    release.release.fn("triage")
    assert len(waited) == 1


def test_a_canary_that_lost_its_alias_begins_anew_when_it_gets_it_again(
    run: Run, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_record(release.begun_path(run), release.Begun(version=2, since=1.0))
    before, since = time.time(), release.started(run, CANARY, CHAMPION)  # a candidate, which nobody got whoever asked
    assert since >= before
    assert release.started(run, CANARY, CHAMPION) == since


@pytest.mark.parametrize(
    ("kept", "anew"),
    [
        ('{"format": 1, "version": 2, "since": 1.0, "champion": 1}', False),
        ('{"format": 1, "version": 2, "since": 1.0, "champion": 3}', True),
        ('{"format": 1, "version": 2, "since": 1.0}', True),  # an earlier release's
    ],
)
def test_beside_another_champion_a_canary_begins_anew_and_stays_approved(
    run: Run, registry: Registry, kept: str, *, anew: bool
) -> None:
    registry.named = {"champion": 1, "canary": 2}
    path = release.begun_path(run)
    path.parent.mkdir(parents=True)
    path.write_text(kept, encoding="utf-8")
    before, since = time.time(), release.started(run, CANARY, CHAMPION)
    assert since >= before if anew else since == 1.0
    assert release.approved(run, CANARY)
    assert release.begun(run, CANARY) == release.Begun(version=2, since=since, champion=1)


Overtaken = tuple[dict[str, int], str, str]  # the aliases then, the decision, and a part of its reason
OVERTAKEN: list[Overtaken] = [
    ({"champion": 1, "canary": 3}, "withdrawn", "version 3 is the canary now"),
    ({"champion": 1, "candidate": 3}, "withdrawn", "version 3 is the candidate now"),
    ({"champion": 1}, "withdrawn", "no version is tried now"),
    ({"champion": 2, "previous": 1}, "promoted", "made it champion meanwhile"),
    ({"champion": 4, "canary": 2}, "waiting", "Version 1 is champion no longer: gradus release triage"),
]


@pytest.mark.parametrize("overtaken", OVERTAKEN)
@pytest.mark.parametrize("judged", ["promoted", "withdrawn", "waiting"])
def test_aliases_that_others_moved_while_a_release_waited_stay_where_they_are(
    run: Run, registry: Registry, monkeypatch: pytest.MonkeyPatch, judged: Any, overtaken: Overtaken
) -> None:
    named, decision, why = overtaken
    registry.named = {"champion": 1, "canary": 2}
    write_record(release.begun_path(run), release.Begun(version=2, since=1.0))

    def tried(*things: object) -> release.Judged:
        registry.named = dict(named)
        return release.Judged(decision=judged, reasons=("so",))

    monkeypatch.setattr(release, "tried", tried)
    said = release.release.fn("triage")
    assert said.decision == decision and why in said.reasons[0]
    assert registry.named == named


@pytest.mark.parametrize("overtaken", OVERTAKEN)
def test_a_release_notices_at_a_look_that_it_was_overtaken(
    run: Run, registry: Registry, monkeypatch: pytest.MonkeyPatch, overtaken: Overtaken
) -> None:
    registry.named, decision, why = overtaken
    monkeypatch.setattr(release, "score", lambda *names, **hours: None)
    said = TRIED.fn(settings(run), CANARY, CHAMPION, time.time())
    assert said.decision == decision and why in said.reasons[0]


def test_what_is_kept_of_another_canary_is_not_removed_with_this_one(
    run: Run, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    another = release.Begun(version=3, since=1.0)

    def tried(*things: object) -> release.Judged:
        registry.named = {"champion": 1, "canary": 3}
        write_record(release.begun_path(run), another)
        return release.Judged(decision="withdrawn", reasons=("so",))

    ask(monkeypatch, lambda: YES)
    monkeypatch.setattr(release, "tried", tried)
    release.release.fn("triage")
    assert release.begun(run, replace(CANARY, number=3)) == another


def test_a_person_who_says_yes_too_late_moves_no_alias(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def approve() -> release.Approval:
        registry.named = {"champion": 1, "candidate": 3}
        return YES

    ask(monkeypatch, approve)
    assert release.release.fn("triage").decision == "withdrawn"
    assert registry.named == {"champion": 1, "candidate": 3}


@pytest.mark.parametrize("others", [*OVERTAKEN, ({"champion": 1, "canary": 2}, "waiting", "approved elsewhere")])
def test_pages_stop_asking_once_others_have_approved_a_version_or_decided_on_it(
    run: Run, registry: Registry, monkeypatch: pytest.MonkeyPatch, others: Overtaken
) -> None:
    named, decision, why = others
    paused, resumed, answers = uuid4(), threading.Event(), list[dict[str, Any]]()

    def resume_flow_run(name: UUID, run_input: dict[str, Any]) -> None:
        assert name == paused
        answers.append(run_input)
        if len(answers) == 1:
            raise httpx.ConnectError("Prefect's server starts anew")
        resumed.set()

    def nobody() -> release.Approval:
        registry.named = dict(named)
        write_record(release.begun_path(run), release.Begun(version=named.get("canary", 0), since=1.0, champion=1))
        assert resumed.wait(10)
        return release.Approval.model_validate(answers[-1])

    monkeypatch.setattr(release, "ELSEWHERE_S", 0.01)
    monkeypatch.setattr(release, "flow_run", SimpleNamespace(id=str(paused)))
    monkeypatch.setattr(release, "get_client", lambda **_: SimpleNamespace(resume_flow_run=resume_flow_run))
    ask(monkeypatch, nobody)
    said = release.release.fn("triage")
    assert said.decision == decision and why in said.reasons[0]
    assert registry.named == named


def test_retyping_an_answer_calls_it_right_and_another_text_corrects_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import label

    usage, schema = Usage(input_tokens=1, output_tokens=1), {"type": "object", "required": ["kind"]}
    given = Trace(
        id="a", at=1.0, workload="shop", version=1, method="sft", messages=(), text='{"kind": "late"}',
        finish_reason="stop", usage=usage, latency_ms=1.0, valid=True,
    )  # fmt: skip
    for typed, score in (("=", 1.0), ('{ "kind":"late" }', 1.0), ('{"kind": "bill"}', 0.0)):
        answers = iter(["no answer", "", typed])  # asked again while it is none
        monkeypatch.setattr(label.typer, "prompt", lambda *words, answers=answers, **settings: next(answers))
        word = label.ask_person(given, schema)
        assert word is not None and word.score == score


def test_labelling_says_where_nothing_is_drawn_for_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from flows.label import label

    monkeypatch.setattr(Run, "of", lambda workload, profile: settings(run, labelled=0.0))
    said = CliRunner().invoke(label, ["triage"]).output
    assert "No answers of triage are drawn for labelling: serving.labelling.share is 0." in said
    assert "0 labelled, 0 wait." in said
