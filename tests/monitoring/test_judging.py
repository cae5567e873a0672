"""A judge scores a share of production's answers once, and a failed verdict is not a score."""

from pathlib import Path

import pytest

from components.params import ApiParams, JudgeParams
from components.records import Message, Scored, Trace, Usage
from components.scorers.judge import JudgeScorer
from monitoring.judging import Bench, Judged, judge_window
from monitoring.lake import Lake
from monitoring.windows import best_scores
from tests.components.scorers.judge_server import RUBRIC, by_rule, judging

DAY = 86_400.0


def trace(number: int, text: str, *, returned: bool = True) -> Trace:
    return Trace(
        id=f"trace-{number}", at=100.0 + number, workload="triage", version=3, method="grpo",
        messages=(Message(role="user", content="Hi"),), input={"message": f"Ticket {number}"}, text=text,
        finish_reason="stop", usage=Usage(input_tokens=5, output_tokens=4), latency_ms=12.5, valid=True,
        returned=returned,
    )  # fmt: skip


def judge(tmp_path: Path, port: int) -> JudgeScorer:
    (tmp_path / "rubric.md").write_text(RUBRIC)
    api = ApiParams(base_url=f"http://127.0.0.1:{port}/v1", key_variable=None, max_retries=0)
    return JudgeScorer(JudgeParams(model="m", rubric=str(tmp_path / "rubric.md"), api=api, cache=None))


def test_a_share_is_judged_once_and_the_verdicts_are_in_the_lake(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    traces = [trace(number, "thank you" if number % 2 else "no") for number in range(200)]
    lake.store("segment", [each.model_dump_json() for each in traces])
    with judging() as server:
        bench = Bench("triage", judge(tmp_path, server.server_port), 0.25)
        first = judge_window(lake, bench, 0.0, DAY)
        assert 30 <= first.judged <= 70  # of 200, about a quarter
        assert judge_window(lake, bench, 0.0, DAY) == Judged(before=first.judged)
        assert len(server.seen) == first.judged
        assert "Ticket" in server.seen[0]["messages"][1]["content"]
        assert "reference" not in server.seen[0]["messages"][1]["content"]
    result = {each.trace_id: each for each in lake.read(Scored, "triage")}
    assert len(result) == first.judged
    assert {each.source for each in result.values()} == {"judge"}
    texts = {each.id: each.text for each in traces}
    assert all(each.passed == (texts[name] == "thank you") for name, each in result.items())


def test_answers_that_no_caller_got_are_not_judged(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.store("segment", [trace(1, "no", returned=False).model_dump_json(), trace(2, "no").model_dump_json()])
    with judging() as server:
        assert judge_window(lake, Bench("triage", judge(tmp_path, server.server_port), 1.0), 0.0, DAY).judged == 1


def test_a_failure_of_the_version_is_not_judged_and_does_not_count_as_judged_before(tmp_path: Path) -> None:
    lake, lost = Lake(tmp_path / "lake"), trace(1, "no answer").model_copy(update={"finish_reason": "error"})
    lake.store("segment", [each.model_dump_json() for each in (lost, trace(2, "no"))])
    with judging() as server:
        bench = Bench("triage", judge(tmp_path, server.server_port), 1.0)
        assert judge_window(lake, bench, 0.0, DAY) == Judged(judged=1)
        assert judge_window(lake, bench, 0.0, DAY) == Judged(before=1)


def test_a_failed_verdict_is_no_score_and_is_repeated(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lake = Lake(tmp_path / "lake")
    lake.store("segment", [trace(number, "no").model_dump_json() for number in range(3)])
    with judging() as server:
        bench = Bench("triage", judge(tmp_path, server.server_port), 1.0)
        server.answer = lambda body, n: "?" if "Ticket 1" in body["messages"][1]["content"] else by_rule(body, n)
        assert judge_window(lake, bench, 0.0, DAY) == Judged(judged=2, failed=1)
        assert "1 answers have no verdict" in caplog.text
        server.answer = by_rule
        assert judge_window(lake, bench, 0.0, DAY) == Judged(judged=1, before=2)
    assert str(Judged(judged=1, before=2)) == "1 judged, 2 judged before, 0 without a verdict"


def test_of_several_scores_the_latest_of_people_counts_and_a_judges_last() -> None:
    reported = {"trace_id": "x", "workload": "w", "value": 0.0, "passed": False}
    said = [
        Scored.model_validate({**reported, "at": at, "source": source})
        for at, source in ((3.0, "judge"), (2.0, "scorer"), (1.0, "feedback"))
    ]
    assert best_scores(said)["x"].source == best_scores(said[:2])["x"].source == "scorer"
    assert best_scores(said[::2])["x"].source == "feedback"
    reviewed = said[2].model_copy(update={"reviewer": True})
    assert best_scores([*said, reviewed])["x"] is reviewed
