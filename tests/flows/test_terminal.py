"""What customers and models wrote neither steers a person's terminal nor passes for what a command says."""

from pathlib import Path

import pytest
from rich.console import Console

from components.data.init import read_input
from components.data.showing import lines as of_source
from components.data.texts import visible
from components.errors import DataError
from components.records import Message, ToolCall, Trace, Trajectory, Usage
from components.stages.agents import Played
from components.stages.versions import ChangedAnswer
from flows import cli
from flows.agent import _tell
from flows.label import lines as to_label
from flows.verdicts import as_text
from monitoring.watch import Moved, Watched, table

UP_AND_CLEAR = "\x1b[1A\x1b[2K"
HOSTILE = f"late\n  answer: right{UP_AND_CLEAR}\r  answer: right"
# A tab, joiners, marks of direction as phones write them, Arabic's signs around numbers, places for a break, a flag.
HARMLESS = (
    "a\tb, می\u200cخواهم, 👩\u200d🚀", "\u200fالطلب A-1\u200e, \u061c٣", "\u0600\u0661, \u06dd",
    "co\u00adop, ไทย\u200bไทย, a\u2060b", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
)  # fmt: skip
USAGE = Usage(input_tokens=1, output_tokens=1)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines", "two\n    lines"),
        ("a\r\nb\u2028c\x85d", "a\n    b\n    c\n    d"),
        ("\x1b]0;x\x07\x9b2J\x00", "�]0;x��2J�"),
        ("\u202eback\u2066 \ufeff", "�back� �"),
        ("\ud800", "�"),
        *((text, text) for text in HARMLESS),
        ("", ""),
    ],
)
def test_what_steers_a_terminal_is_shown_as_a_sign(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_an_answer_to_label_is_on_the_only_line_that_begins_as_one() -> None:
    trace = Trace(
        id="a", at=1.0, workload="shop", version=1, method="sft", messages=(), input={"message": HOSTILE},
        text='{"kind": "bill"}', finish_reason="stop", usage=USAGE, latency_ms=1.0, valid=True,
    )  # fmt: skip
    said = "\n".join(to_label(trace))
    assert "\x1b" not in said and "\r" not in said
    assert [line for line in said.split("\n") if line.startswith("  answer")] == ['  answer: {"kind": "bill"}']


def test_a_changed_answer_is_shown_without_its_escapes() -> None:
    answer = ChangedAnswer(example_id=HOSTILE, input={"message": HOSTILE}, before="a", after="b", reference="\x1bc")
    said = as_text(answer)
    assert "\x1b" not in said and "\r" not in said
    assert [line for line in said.split("\n") if line.startswith("  after")] == ["  after:     b"]


def test_a_try_is_shown_without_its_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    call = ToolCall(id="a", name="look", arguments=f'{{"id": "{UP_AND_CLEAR}"}}')
    said = (
        Message(role="user", content=HOSTILE),
        Message(role="assistant", content="", tool_calls=(call,)),
        Message(role="tool", content=HOSTILE, tool_call_id="a"),
    )
    trajectory = Trajectory(id="t", example_id="e", messages=said, stop_reason="completed", usage=USAGE)
    _tell(Played(trajectory=trajectory, score=None, failure=UP_AND_CLEAR))
    out = capsys.readouterr().out
    assert "�[1A" in out and "\x1b" not in out


def test_a_drift_is_shown_without_its_escapes_and_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    moved = Moved(column="kind", distance=1.0, limit=0.1, reference="[/red]", current=UP_AND_CLEAR)
    look = Watched(
        workload="shop", version=1, since=0, until=1, total=1, rows=1, judged=True, severity=10, moved=(moved,)
    )
    Console(width=120).print(table(look))
    out = capsys.readouterr().out
    assert "[/red]" in out and "�[1A" in out and "\x1b" not in out


def test_a_source_is_shown_without_the_escapes_of_its_columns_and_cells(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    rows = [f"{number} is late{UP_AND_CLEAR},{'bill' if number % 2 else 'late'}" for number in range(40)]
    file.write_text("\n".join([f"mes{UP_AND_CLEAR}sage,intent", *rows]), encoding="utf-8")
    said = list(of_source(read_input(file)))
    assert any("�[1A" in line for line in said)
    assert not any("\x1b" in line for line in said)


def test_an_error_is_shown_without_the_escapes_of_what_it_names(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise DataError(f"expected a column, found {UP_AND_CLEAR}")

    monkeypatch.setattr(cli, "app", refuse)
    monkeypatch.setattr(cli.os, "umask", lambda mask: None)
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err == "gradus: expected a column, found �[1A�[2K\n"
