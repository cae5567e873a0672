import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.methods.grpo.settings import GrpoParams
from components.methods.grpo.training import train_rl
from components.params import HackingParams
from components.records import Example
from components.tracking import NullTracker
from components.training import Look, Sample, TrainingTask
from components.training.hacking_watch import best_sealed, divergence, entry, looks, p_fallen, watched

PARAMS = HackingParams(alpha=0.05, examples=2)
RL = GrpoParams(
    steps=4, learning_rate=0.01, prompts_per_step=2, generations=4, device_batch_rollouts=8, max_new_tokens=6,
    probe_prompts=0, evaluations=4, patience=4,
)  # fmt: skip


def look(trained: Sequence[float | None], sealed: Sequence[float | None]) -> Look:
    ids = [f"E{number}" for number in range(len(trained))]
    return Look(
        score=0.5, trained=list(trained), sealed=list(sealed), answers=[f"answer {key}" for key in ids], ids=ids
    )


def test_a_fall_in_k_of_k_changed_examples_has_the_chance_of_k_heads() -> None:
    assert p_fallen([[1.0] * 20], [0.0] * 5 + [1.0] * 15) == pytest.approx(1 / 2**5)
    assert p_fallen([[1.0] * 20], [1.0] * 20) == 1.0


def test_one_risen_among_five_changed_leaves_six_of_thirty_two_signs() -> None:
    # Sums of five signs at most −3: all negative, or exactly one positive.
    assert p_fallen([[1, 1, 1, 1, 0]], [0, 0, 0, 0, 1]) == pytest.approx(6 / 32)


def test_examples_of_one_group_change_sign_together() -> None:
    # Five examples fell: alone 1 of 32, in one group of two and one of three 1 of 4.
    assert p_fallen([[1.0] * 5], [0.0] * 5, ["a", "a", "b", "b", "b"]) == pytest.approx(1 / 4)


def test_the_choice_of_the_best_earlier_look_is_paid_for() -> None:
    # Two examples fell from the first look: of four pairs of signs one keeps that. From a second look one fell and one
    # rose: with the signs (+, −) it shows as large a fall.
    assert p_fallen([[1, 1]], [0, 0]) == pytest.approx(1 / 4)
    assert p_fallen([[1, 1], [1, -1]], [0, 0]) == pytest.approx(2 / 4)


def test_what_an_earlier_look_would_have_stopped_is_paid_for() -> None:
    # The third example fell from the first look: of eight draws of signs the four that keep its own show as large a
    # fall. At the second look the largest fall is that of the signs (+, +, −), which are none of these: where a look
    # may stop one draw of eight, they have stopped there.
    assert p_fallen([[1, 1, 0.5], [0, 0, 1]], [1, 1, 0], level=1 / 16) == pytest.approx(4 / 8)
    assert p_fallen([[1, 1, 0.5], [0, 0, 1]], [1, 1, 0], level=1 / 8) == pytest.approx(5 / 8)


def test_looks_spend_the_level_together() -> None:
    after = look([0.9] * 200, [0.0] * 40 + [1.0] * 160)
    seen = [(step, look([0.5] * 200, [1.0] * 200)) for step in range(3)]
    divergence_at_last = divergence([*seen, (3, after)], planned=5, params=PARAMS)
    assert divergence_at_last is not None and divergence_at_last.limit == pytest.approx(3 * 0.05 / 4)
    few = look([0.9] * 200, [0.0] * 5 + [1.0] * 195)  # one of 32: more than a look's own share, less than three have
    assert divergence([seen[0], (1, few)], planned=5, params=PARAMS) is None
    assert divergence([*seen, (3, few)], planned=5, params=PARAMS) is not None


def test_a_fall_is_seen_however_many_looks_are_planned() -> None:
    before, after = look([0.5] * 200, [1.0] * 200), look([0.9] * 200, [0.0] * 40 + [1.0] * 160)
    fall = divergence([(0, before), (8, after)], planned=33, params=PARAMS)
    assert fall is not None and fall.p_value <= fall.limit == pytest.approx(0.05 / 32)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=8), st.randoms())
def test_a_rise_is_never_a_fall(before: list[float], rng: Any) -> None:
    after = [max(value, rng.choice([0.0, 0.5, 1.0])) for value in before]
    assert p_fallen([before], after) >= 0.5


def test_a_rising_reward_with_a_falling_sealed_score_is_hacking() -> None:
    seen = [(0, look([0.5] * 40, [1.0] * 40)), (8, look([0.9] * 40, [0.0] * 20 + [1.0] * 20))]
    fall = divergence(seen, planned=5, params=PARAMS)
    assert fall is not None
    assert (fall.step, fall.best_step) == (8, 0)
    assert fall.reward == (pytest.approx(0.5), pytest.approx(0.9))
    assert fall.sealed == (1.0, 0.5)
    assert fall.limit == pytest.approx(0.05 / 4)  # of five looks the first shows nothing
    assert [change.example_id for change in fall.examples] == ["E0", "E1"]


@pytest.mark.parametrize(
    ("reward", "sealed"),
    [
        ([0.4] * 40, [0.0] * 20 + [1.0] * 20),  # both fall: bad training, which patience ends
        ([0.9] * 40, [1.0] * 40),  # both stand or rise
        ([0.9] * 40, [0.0] * 3 + [1.0] * 37),  # three broken of forty: p = 1/8
    ],
)
def test_changes_that_are_not_hacking_do_not_stop_the_training(
    reward: list[float | None], sealed: list[float | None]
) -> None:
    seen = [(0, look([0.5] * 40, [1.0] * 40)), (8, look(reward, sealed))]
    assert divergence(seen, planned=5, params=PARAMS) is None


def test_the_best_earlier_checkpoint_is_the_sealed_scores() -> None:
    fallen = [0.0] * 30 + [1.0] * 10
    seen = [(0, look([0.2] * 40, [0.0] * 10 + [1.0] * 30)), (4, look([0.5] * 40, [1.0] * 40)),
            (8, look([0.7] * 40, fallen))]  # fmt: skip
    fall = divergence(seen, planned=3, params=PARAMS)
    assert fall is not None
    assert fall.best_step == 4
    assert best_sealed(seen) == seen[1]


@pytest.mark.parametrize("decided", [0, 1, 19])
def test_a_look_with_few_decided_answers_is_never_the_best_and_hides_no_fall(decided: int) -> None:
    few = look([0.4] * 40, [1.0] * decided + [None] * (40 - decided))
    seen = [(0, few), (4, look([0.5] * 40, [1.0] * 32 + [0.0] * 8)), (8, look([0.9] * 40, [1.0] + [0.0] * 39))]
    fall = divergence(seen, planned=3, params=PARAMS)
    assert fall is not None
    assert fall.best_step == 4
    assert best_sealed(seen[:1]) is None
    assert divergence(seen[:2], planned=3, params=PARAMS) is None


def test_what_a_scorer_could_not_decide_is_left_out_and_counted() -> None:
    before, after = look([0.5] * 12, [1.0] * 12), look([0.9] * 12, [None, *[0.0] * 11])
    fall = divergence([(0, before), (4, after)], planned=2, params=PARAMS)
    assert fall is not None
    assert fall.sealed == (1.0, 0.0)
    history = [{"step": 0, **entry(before)}, {"step": 4, **entry(after), "divergence": fall.model_dump(mode="json")}]
    watch = watched(history)
    assert watch is not None
    assert (watch.looks, watch.examples, watch.failed, watch.stopped) == (2, 12, 1, fall)


def test_a_look_comes_back_from_the_history_as_json_keeps_it() -> None:
    seen = look([0.5, None], [1.0, 0.0])
    kept = json.loads(json.dumps([{"step": 3, **entry(seen)}, {"step": 4, **entry(0.25)}]))
    assert kept[0]["trained_reward"] == 0.5
    assert kept[1] == {"step": 4, "dev_score": 0.25}
    ((step, restored),) = looks(kept)
    assert (step, list(restored.trained), list(restored.sealed)) == (3, [0.5, None], [1.0, 0.0])
    assert watched([{"step": 4, **entry(0.25)}]) is None


class Judge:
    """Dev of eight examples: the score rises at each look, the sealed score falls from the third on."""

    def __init__(self, *sealed: list[float | None]) -> None:
        self.left, self.seen = list(sealed), 0

    def __call__(self, model: Any, tokenizer: Any) -> Look:
        if self.seen == len(self.left):
            raise KeyboardInterrupt
        coming = look([0.1 * (self.seen + 1)] * 12, self.left[self.seen])
        self.seen += 1
        return Look(score=0.1 * self.seen, trained=coming.trained, sealed=coming.sealed, answers=coming.answers,
                    ids=coming.ids)  # fmt: skip


def reward(examples: list[Example], completions: list[str]) -> list[float]:
    return [sum(letter.isalpha() for letter in text) / 6 for text in completions]


HALF: list[float | None] = [*[1.0] * 6, *[0.0] * 6]
FULL: list[float | None] = [1.0] * 12
NONE: list[float | None] = [0.0] * 12


def test_hacking_stops_rl_at_the_best_earlier_weights(
    make_task: Callable[..., TrainingTask], sample: Sample, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    task = make_task(score_dev=Judge(HALF, FULL, NONE, NONE, NONE))
    trained = train_rl(task, RL, reward, NullTracker(), sample)
    assert trained.watch is not None
    assert trained.watch.stopped is not None
    assert (trained.watch.stopped.step, trained.best_step, trained.steps) == (2, 1, 2)
    assert trained.dev_score == pytest.approx(0.2)
    assert trained.curves["sealed_score"] == [(0, 0.5), (1, 1.0), (2, 0.0)]
    published = load_file(task.out / "model.safetensors")
    best = load_file(task.work / "best-1" / "model.safetensors")
    assert all((published[name] == best[name].to(published[name].dtype)).all() for name in published)


def test_a_training_killed_after_hacking_was_seen_does_not_go_on(
    make_task: Callable[..., TrainingTask], sample: Sample
) -> None:
    train_rl(make_task(score_dev=Judge(HALF, FULL, NONE)), RL, reward, NullTracker(), sample)
    again = train_rl(make_task(score_dev=Judge()), RL, reward, NullTracker(), sample)
    assert (again.best_step, again.steps) == (1, 2)


def test_an_honest_reward_trains_to_its_end(make_task: Callable[..., TrainingTask], sample: Sample) -> None:
    task = make_task(score_dev=Judge(HALF, HALF, FULL, FULL, FULL))
    trained = train_rl(task, RL, reward, NullTracker(), sample)
    assert trained.watch is not None
    assert trained.watch.stopped is None
    assert (trained.best_step, trained.steps) == (4, 4)


def test_without_a_sealed_scorer_nothing_is_watched(make_task: Callable[..., TrainingTask], sample: Sample) -> None:
    assert train_rl(make_task(), RL, reward, NullTracker(), sample).watch is None
