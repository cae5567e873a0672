"""`gradus run --quick`: a first look at a part of the data."""

from collections.abc import Callable

import pytest

from tests.flows.conftest import Project

QUICK = {"first_look": {"train": 40, "dev": 8, "test": 10}}


@pytest.mark.slow
def test_a_first_look_shows_a_table_and_publishes_nothing(make_project: Callable[[], Project]) -> None:
    project = make_project()
    project.set("ladders/quick.yaml", QUICK)
    looked = project.call("flows.cli", "run", "triage", "--quick")
    assert looked.returncode == 0, looked.stderr
    assert "A first look at triage on nano (simulated)" in looked.stdout
    assert "10 test examples, little training: too few to decide on" in looked.stdout
    assert "Nothing was decided. The whole climb: gradus run triage --profile nano" in looked.stdout
    artifacts = project.folder / "artifacts" / "triage-nano-quick"
    assert {path.name for path in artifacts.iterdir()} == {"answers", "best", "data", "evaluation", "rungs", "stages"}
    assert (artifacts / "data" / "sealed.jsonl").read_text() == ""
    assert "is empty" not in looked.stdout + looked.stderr  # of a split that is meant to be
    again = project.call("flows.cli", "run", "triage", "--quick")
    assert again.returncode == 0, again.stderr
    assert looked.stdout == again.stdout


def test_quick_and_another_ladder_are_refused(make_project: Callable[[], Project]) -> None:
    refused = make_project().call("flows.cli", "run", "triage", "--quick", "--ladder", "standard")
    assert refused.returncode == 2
    assert "expected --quick or --ladder, found --quick and --ladder standard" in refused.stderr
