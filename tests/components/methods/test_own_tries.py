"""Rejection sampling of an agent: tries that pass are learnt from, unless they have an invalid call."""

from components.methods.rejection_sampling import RejectionSamplingParams, accepted, only_clean
from components.methods.samples import Sampled
from components.records import Example, Message, Score, Trajectory, Usage
from components.tasks import demonstrated

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
    sampled = only_clean(Sampled(example_id="a", texts=texts, scores=(RIGHT, RIGHT, WRONG)))
    assert sampled.passed == texts[:1] and sampled.failed == texts[2:]
    example = Example(id="a", input={"text": "Ring."}, demonstration=tried("Wrong."), reference="", group="a")
    kept = accepted([example], [sampled], PARAMS, seed=1)
    assert [demonstrated(kept_one).answer for kept_one in kept] == ["Rung."]


def test_a_task_that_only_unclean_tries_solve_is_left_out() -> None:
    sampled = only_clean(Sampled(example_id="a", texts=(tried("Rung!", 1),), scores=(RIGHT,)))
    assert sampled.texts == ()
    example = Example(id="a", input={"text": "Ring."}, demonstration="", reference="", group="a")
    assert accepted([example], [sampled], PARAMS, seed=1) == []
