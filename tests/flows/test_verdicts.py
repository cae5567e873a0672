"""What a version changed, and a kept decision made again, as a person asks for them."""

import json

from tests.flows.conftest import RUN, Project


def test_two_rungs_are_compared_by_slice_and_with_examples(climbed: Project) -> None:
    done = climbed.call("flows.cli", "compare", "triage", "classical", "sft", "--examples", "1", "--json-out", "c.json")
    assert done.returncode == 0, done.stderr
    assert "of 40 test examples, classical on" in done.stdout
    assert "By slice, the worst first" in done.stdout and "channel=" in done.stdout
    result = json.loads((climbed.folder / "c.json").read_text())
    assert result["overall"]["fixed"] == len(result["fixed"]) and result["overall"]["broken"] == len(result["broken"])
    assert done.stdout.count("\nBroken: ") == min(1, len(result["broken"]))


def test_an_unknown_version_is_reported_in_a_sentence(climbed: Project) -> None:
    done = climbed.call("flows.cli", "compare", "triage", "classical", "nobody")
    assert done.returncode == 2 and "gradus: expected a model at models:/triage@nobody" in done.stderr


def test_the_gates_decisions_come_out_the_same_again_and_a_changed_one_does_not(climbed: Project) -> None:
    done = climbed.call("flows.cli", "replay", "triage")
    assert done.returncode == 0, done.stderr
    kept = json.loads((climbed.folder / "artifacts" / RUN / "gate" / "gate.json").read_text())
    assert done.stdout.count("the same") == len(kept["verdicts"]) >= 4
    kept["verdicts"][0]["decision"] = "kept" if kept["verdicts"][0]["decision"] == "promoted" else "promoted"
    changed = climbed.folder / "artifacts" / RUN / "gate" / "changed.json"  # beside it lie the sealed numbers
    changed.write_text(json.dumps(kept))
    done = climbed.call("flows.cli", "replay", "triage", "--file", str(changed))
    changed.unlink()
    assert (done.returncode, done.stdout.count("differs")) == (1, 1)
