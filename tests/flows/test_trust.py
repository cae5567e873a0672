"""The certificate and the audit, as a person asks for them, and RL that waits for a permit."""

from collections.abc import Callable

from rich.console import Console

from components.evaluation.label_audit import Suspect
from flows.trust import suspects_table
from tests.flows.conftest import RUN, Project


def test_a_climb_leaves_a_certificate_and_an_audit_on_its_page(climbed: Project) -> None:
    page = (climbed.artifacts / "report" / "report.html").read_text(encoding="utf-8")
    assert "Can the reward and the labels be trusted?" in page
    assert "Was the reward hacked?" in page and "the sealed score never fell" in page
    certify = climbed.call("flows.cli", "certify", "triage")
    assert certify.returncode == 0, certify.stderr
    assert "wrong answers that pass" in certify.stdout and "Above the floor." in certify.stdout
    audit = climbed.call("flows.cli", "audit", "triage")
    assert audit.returncode == 0, audit.stderr
    assert "demonstrations look wrong" in audit.stdout
    assert (climbed.artifacts / "audit" / "suspects.csv").is_file()


def test_below_the_floor_rl_does_not_start_and_says_why(climbed: Project) -> None:
    climbed.set("pipeline.yaml", {"certificate": {"max_false_positive": 0.0001}})
    certify = climbed.call("flows.cli", "certify", "triage")
    assert certify.returncode == 1
    assert "Below the floor: wrong answers that pass" in certify.stdout
    stopped = climbed.call("components.stages", "rung", RUN, "grpo")
    assert stopped.returncode == 2
    assert "expected a scorer above the floor before RL, found wrong answers that pass" in stopped.stderr


def test_a_certificate_can_be_made_before_anything_is_trained(make_project: Callable[[], Project]) -> None:
    project = make_project()
    done = project.call("flows.cli", "certify", "triage")
    assert done.returncode == 0, done.stderr
    assert "There is no rung classical yet" in done.stderr
    assert "answer of" not in (project.artifacts / "certificate" / "certificate.json").read_text(encoding="utf-8")


def test_fields_and_values_with_brackets_are_shown_as_they_are() -> None:
    shown = ("tags[late]", "[red]true", "[/b] text")
    suspect = Suspect(
        example_id="a", field=shown[0], value=shown[1], suggested=shown[2], probability=0.9, reason="r", text="t"
    )
    console = Console(width=120, record=True)
    console.print(suspects_table([suspect]))
    printed = console.export_text()
    assert all(text in printed for text in shown)
