"""Commands of agents."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from flows.cli import app


def test_tries_are_imported_and_counted_from_the_command_line(tmp_path: Path) -> None:
    tries = [{"task_id": task, "trial": trial, "reward": float(trial <= task), "info": {}, "traj": []}
             for task in range(2) for trial in range(2)]  # fmt: skip
    file = tmp_path / "tries.json"
    file.write_text(json.dumps(tries), encoding="utf-8")
    taken = CliRunner().invoke(app, ["agent", "import", str(file)])
    assert taken.exit_code == 0 and "4 trajectories of 2 tasks" in taken.output
    for source in (file, tmp_path / "tries.trajectories.jsonl"):
        shown = CliRunner().invoke(app, ["agent", "pass", str(source)]).output
        assert [line.split("│")[1:3] for line in shown.splitlines() if "0.750" in line or "0.500" in line] == [
            [" 1 ", " 0.750  "], [" 2 ", " 0.500  "]
        ]  # fmt: skip


def test_an_import_does_not_replace_another_unless_it_is_named(tmp_path: Path) -> None:
    def imported(name: str, task: int, *more: str) -> Any:
        file = tmp_path / name
        file.write_text(json.dumps([{"task_id": task, "reward": 1.0, "info": {}, "traj": []}]), encoding="utf-8")
        return CliRunner().invoke(app, ["agent", "import", str(file), *more])

    target = tmp_path / "gpt-4.1.trajectories.jsonl"
    assert imported("gpt-4.1.json", 1).exit_code == 0
    first = target.read_text(encoding="utf-8")
    assert imported("gpt-4.1.json", 1).exit_code == 0  # the same again
    refused = imported("gpt-4.1.ndjson", 2)
    assert refused.exit_code != 0 and f"file at {target}, found others" in str(refused.exception)
    assert target.read_text(encoding="utf-8") == first
    assert imported("gpt-4.1.ndjson", 2, "--to", str(target)).exit_code == 0
    assert '"example_id":"2"' in target.read_text(encoding="utf-8")


def test_a_try_is_shown_step_by_step_with_its_verdict() -> None:
    shown = CliRunner().invoke(app, ["agent", "play", "desk", "--policy", "demonstration", "--case", "1"])
    assert shown.exit_code == 0, shown.output
    assert "assistant  calls get_order" in shown.output and "tool  " in shown.output
    assert "Ended by completed" in shown.output and "Judged: " in shown.output


def test_the_scorer_of_the_desk_is_tried_and_an_unknown_workload_is_refused() -> None:
    tried = CliRunner().invoke(app, ["agent", "certify", "desk", "--cases", "20"])
    assert tried.exit_code == 0 and tried.output.count("of 20 cases pass") == 3
    refused = CliRunner().invoke(app, ["agent", "certify", "bank"])
    assert refused.exit_code != 0 and "desk" in str(refused.exception)
    answers = CliRunner().invoke(app, ["agent", "certify", "triage"])
    assert "expected a workload with a section `agent`" in str(answers.exception)
