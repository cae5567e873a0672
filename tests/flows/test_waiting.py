"""What a release waits for, what it does not wait for, and what it keeps meanwhile."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.errors import RegistryError
from components.params import LabellingParams, ReleaseParams, RoutingParams
from components.records import Message, Trace, Usage, write_record
from components.registry import Version
from components.serving import Keys
from components.stages.run import Run
from flows import release
from monitoring.lake import Lake

CHAMPION, CANARY = (Version(number, "grpo", "model", "short", Path()) for number in (1, 2))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    result = Run.of("triage", "nano")
    monkeypatch.chdir(tmp_path)
    return result


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


def tried(run: Run, since: float) -> release.Judged:
    return release.tried.fn(run, CANARY, CHAMPION, since)


def test_a_canary_that_can_never_be_shown_is_not_waited_for(run: Run) -> None:
    for endless, setting in (
        (settings(run, canary_share=1.0), "serving.routing.canary_share"),
        (settings(run, labelled=0.0), "serving.labelling.share"),
    ):
        result = tried(endless, time.time())
        assert result.decision == "waiting" and result.reasons[0].startswith(setting)


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


def test_a_record_that_is_away_ends_no_release(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*names: str, **hours: float) -> None:
        raise RegistryError("expected MLflow, found nobody")

    monkeypatch.setattr(release, "score", away)
    assert tried(settings(run, hours=1e-12), time.time() - 10).decision == "waiting"
    assert "expected MLflow, found nobody" in caplog.text


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


@pytest.mark.parametrize(("decision", "kept"), [("promoted", False), ("withdrawn", False), ("waiting", True)])
def test_when_a_canary_began_is_kept_until_it_is_decided(
    run: Run, monkeypatch: pytest.MonkeyPatch, decision: Any, *, kept: bool
) -> None:
    path = release.begun_path(run)
    write_record(path, release.Begun(version=2, since=1.0))
    monkeypatch.setattr(release.Run, "of", lambda workload, profile: run)
    champion = replace(CANARY, number=1)
    monkeypatch.setattr(release, "registered", lambda workload, alias="": CANARY if alias == "canary" else champion)
    monkeypatch.setattr(release, "needs_approval", lambda run, keys: False)
    monkeypatch.setattr(release, "tried", lambda *things: release.Judged(decision=decision, reasons=()))
    for name in ("promote", "withdraw"):
        monkeypatch.setattr(release, name, lambda *things: None)
    assert release.release.fn("triage").decision == decision
    assert path.exists() == kept


def test_retyping_an_answer_calls_it_right_and_another_text_corrects_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import label

    usage, schema = Usage(input_tokens=1, output_tokens=1), {"type": "object", "required": ["kind"]}
    given = Trace(
        id="a", at=1.0, workload="shop", version=1, method="sft", messages=(), text='{"kind": "late"}',
        finish_reason="stop", usage=usage, latency_ms=1.0, valid=True,
    )  # fmt: skip
    for typed, score in (("", 1.0), ('{ "kind":"late" }', 1.0), ('{"kind": "bill"}', 0.0)):
        answers = iter(["no answer", typed])  # asked again while it is none
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
