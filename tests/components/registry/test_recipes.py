"""What a version was made from: enough to make it again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from components.registry import recipe, register_winner
from components.registry.runs import open_run
from tests.components.registry.conftest import answers, candidate


def test_the_threads_of_the_rung_are_known_and_not_those_of_the_climb(record: Any, tmp_path: Path) -> None:
    (tmp_path / "answer.txt").write_text("yes", encoding="utf-8")
    with open_run("threads", "triage-nano", {"run": "triage-nano"}) as climb:
        with open_run("threads", "sft", {"threads": "3"}, climb.run_id) as rung:
            made = candidate("threads", tmp_path, makes="prompt")
        of_this_rung = replace(
            made, run_id=str(climb.run_id), rung=made.rung.model_copy(update={"mlflow_run_id": rung.run_id})
        )
        register_winner(of_this_rung, answers("yes"))
    assert (recipe("threads", 1).run, recipe("threads", 1).threads) == ("triage-nano", 3)
