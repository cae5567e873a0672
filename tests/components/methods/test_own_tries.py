"""Rungs of an agent: what is learnt from own tries, and which tries its checkpoints are chosen by."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from components.methods.rejection_sampling import RejectionSamplingParams, accepted, only_clean
from components.methods.samples import Sampled
from components.records import Example, Message, Score, Trajectory, Usage
from components.scorers import build
from components.tasks import Replay, demonstrated, roll
from components.training import Look
from components.workloads.desk import cases
from components.workloads.desk import demonstrated as turns_of
from tests.components.methods import small
from tests.components.workloads.desk_settings import SHORT, WORKLOAD

RIGHT, WRONG = Score(value=1.0, passed=True), Score(value=0.0, passed=False)
PARAMS = RejectionSamplingParams(
    epochs=1, learning_rate=0.1, batch_examples=1, device_batch_examples=1, max_tokens=64, most_kept=2, easy_share=1.0
)


def tried(said: str, invalid_calls: int = 0) -> str:
    messages = (Message(role="user", content="Ring."), Message(role="assistant", content=said))
    return Trajectory(
        id="a#0", example_id="a", messages=messages, stop_reason="completed", invalid_calls=invalid_calls,
        usage=Usage(input_tokens=0, output_tokens=0),
    ).demonstration  # fmt: skip


def test_a_try_that_passes_with_an_invalid_call_is_not_learnt_from_and_failures_still_count() -> None:
    texts = (tried("Rung."), tried("Rung!", invalid_calls=1), tried("No.", invalid_calls=2))
    ended = ("stop",) * 3
    sampled = only_clean(Sampled(example_id="a", texts=texts, finish_reasons=ended, scores=(RIGHT, RIGHT, WRONG)))
    assert sampled.passed == texts[:1] and sampled.failed == texts[2:]
    example = Example(id="a", input={"text": "Ring."}, demonstration=tried("Wrong."), reference="", group="a")
    kept = accepted([example], [sampled], PARAMS, seed=1)
    assert [demonstrated(kept_one).answer for kept_one in kept] == ["Rung."]


def test_a_task_that_only_unclean_tries_solve_is_left_out() -> None:
    texts = (tried("Rung!", 1),)
    sampled = only_clean(Sampled(example_id="a", texts=texts, finish_reasons=("stop",), scores=(RIGHT,)))
    assert sampled.texts == ()
    example = Example(id="a", input={"text": "Ring."}, demonstration="", reference="", group="a")
    assert accepted([example], [sampled], PARAMS, seed=1) == []


@pytest.mark.parametrize("sealed", [False, True])
def test_checkpoints_are_chosen_by_tries_that_are_drawn_as_those_that_are_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, sealed: bool
) -> None:
    from components.models import open_model

    dev, drawn = cases(4, 1), list[tuple[float, int]]()

    def rolled(spec: Any, policy: Any, starts: Sequence[Any], limits: Any) -> Any:
        drawn.append((policy._temperature, len(starts)))
        return roll(spec, Replay(turns_of(dev)), starts, limits)

    monkeypatch.setattr("components.opening.roll", rolled)
    assert WORKLOAD.agent is not None
    scorer = build(WORKLOAD.scorer, WORKLOAD.output)
    job = small.job(
        tmp_path, workload=WORKLOAD, columns=("message",), dev=dev, prompt=SHORT, scorer=scorer,
        sealed_scorer=scorer if sealed else None,
    )  # fmt: skip
    score = job.task(4, watched=sealed).score_dev(*open_model(tmp_path / "model"))
    assert drawn == [(WORKLOAD.agent.temperature, 4)]
    right = [example.slices["demonstration"] == "right" for example in dev]
    assert (score.score if isinstance(score, Look) else score) == sum(right) / 4
