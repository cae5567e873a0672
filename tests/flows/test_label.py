"""What people type and paste at a real terminal is the label of the answer that they were shown, and of no other."""

import os
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import typer

from components.params.answers import enveloped
from components.records import Trace, Usage
from flows import label

A_TEXT = enveloped({"type": "string"}), "late"
AN_OBJECT = {"type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}}}, '{"x":1}'
Said = tuple[float | None, str | None] | None


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Generator[int]:
    """The other end of the terminal that is asked at."""
    ours, theirs = os.openpty()
    with open(theirs, encoding="utf-8") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        yield ours
    os.close(ours)


@pytest.fixture
def labelled(keyboard: int, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """The label from a person who types or pastes these at the questions, and ends each with Enter."""
    ask, left = typer.prompt, list[str]()

    def asked(*words: Any, **settings: Any) -> Any:
        os.write(keyboard, left[0].encode())
        if not left.pop(0).endswith("\n"):
            threading.Timer(0.5, os.write, (keyboard, b"\n")).start()
        return ask(*words, **settings)

    def result(shown: tuple[dict[str, Any], str], *typed: str) -> Said:
        left.extend(typed)
        word = label.ask_person(answered(shown[1]), shown[0])
        assert left == []
        return word and (word.score, word.corrected)

    monkeypatch.setattr(label.typer, "prompt", asked)
    return result


def answered(text: str) -> Trace:
    usage = Usage(input_tokens=1, output_tokens=1)
    return Trace(
        id="a", at=1.0, workload="shop", version=1, method="sft", messages=(), text=text, finish_reason="stop",
        usage=usage, latency_ms=1.0, valid=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("shown", "typed", "expected"),
    [
        (A_TEXT, ["It is\non its way.\n"], (0.0, "It is\non its way.")),
        (A_TEXT, ["It is\non its way."], (0.0, "It is\non its way.")),
        (A_TEXT, ["\nÉté:\n\nit is on its way.\n\n"], (0.0, "Été:\n\nit is on its way.")),
        (AN_OBJECT, ['{\n "x": 2\n}'], (0.0, '{\n "x": 2\n}')),
        (AN_OBJECT, ['{\n "x": 1\n}\n'], (1.0, '{\n "x": 1\n}')),
        (AN_OBJECT, ['{"x": 2}\n{"x": 3}\n', "\n", "?\n"], None),
        (AN_OBJECT, ['{\n "x": "two"\n}', "\n", "=\n"], (1.0, '{"x":1}')),
        (AN_OBJECT, ["\n\n"], (1.0, '{"x":1}')),
        (AN_OBJECT, ["?\n"], None),
    ],
)
def test_lines_that_are_pasted_together_are_one_answer_or_none(
    labelled: Callable[..., Said], capsys: pytest.CaptureFixture[str], shown: Any, typed: list[str], expected: Said
) -> None:
    assert labelled(shown, *typed) == expected
    refused = "lines, none of which was taken: " in capsys.readouterr().out
    assert refused == (len(typed) > 1)


def test_what_was_typed_before_an_answer_was_shown_says_nothing_of_it(
    keyboard: int, labelled: Callable[..., Said]
) -> None:
    os.write(keyboard, b"the end of a slow paste\nand of another")
    assert labelled(A_TEXT, "\n") == (1.0, "late")


def test_a_file_has_an_entry_on_each_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "entries"
    file.write_text("bill\n\nlate\n", encoding="utf-8")
    with file.open(encoding="utf-8") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert [label.entered("right?") for _ in range(3)] == ["bill", "", "late"]
        with pytest.raises(typer.Abort):
            label.entered("right?")
