from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from components.training import Look
from components.training.dev import (
    BestOnDev,
    Hooks,
    Plan,
    best_of,
    best_step,
    curves_of,
    dev_scores,
    out_of_patience,
    training_seconds,
)

HISTORY = [
    {"loss": 2.0, "step": 1},
    {"dev_score": 0.4, "step": 2, "seconds": 3.0},
    {"loss": 1.0, "step": 2},
    {"dev_score": 0.6, "step": 4, "seconds": 7.0},
    {"dev_score": 0.6, "step": 6, "seconds": 9.0},
    {"train_runtime": 9.9, "step": 6},
]


def test_evaluations_are_spread_evenly_and_end_with_the_last_step() -> None:
    assert Plan.spread(10, 3, 1).steps == {4, 7, 10}
    assert Plan.spread(10, 2, 1, first=True).steps == {0, 5, 10}
    assert Plan.spread(2, 8, 1).steps == {1, 2}


def test_the_earliest_of_equal_scores_is_the_best() -> None:
    assert dev_scores(HISTORY) == [(2, 0.4), (4, 0.6), (6, 0.6)]
    assert best_of(dev_scores(HISTORY)) == (4, 0.6)


def test_patience_counts_scores_since_the_best() -> None:
    scores = [(1, 0.4), (2, 0.6), (3, 0.6), (4, 0.5)]
    assert out_of_patience(scores, 2)
    assert not out_of_patience(scores, 3)
    assert not out_of_patience([], 1)


def test_values_that_are_not_finite_are_on_no_curve() -> None:
    history = [
        {"loss": 2.0, "kl": float("nan"), "step": 1},
        {"loss": float("inf"), "step": 2},
        {"loss": 1.0, "step": 3},
    ]
    assert curves_of(history, {"loss": "loss", "kl": "kl"}) == {"loss": [(1.0, 2.0), (3.0, 1.0)]}


def test_curves_are_named_and_keep_their_steps() -> None:
    assert curves_of(HISTORY, {"loss": "loss", "dev_score": "dev"}) == {
        "loss": [(1.0, 2.0), (2.0, 1.0)],
        "dev": [(2.0, 0.4), (4.0, 0.6), (6.0, 0.6)],
    }
    assert training_seconds(HISTORY) == 9.0
    assert training_seconds([]) == 0.0


def test_weights_that_hacking_was_told_from_stay_though_later_ones_have_a_higher_mean(tmp_path: Path) -> None:
    # At the third look the forty that were wrong at the second are undecided and thirty fell: 130 of 160 is more than
    # 160 of 200, and of those decided in both looks less than 160 of 160.
    sealed: list[Sequence[float | None]] = [
        [1.0] * 150 + [0.0] * 50,
        [1.0] * 160 + [0.0] * 40,
        [1.0] * 130 + [0.0] * 30 + [None] * 40,
    ]
    ids = [f"E{number}" for number in range(200)]
    coming = iter(Look(0.1 * at, [0.1 * at] * 200, values, ids, ids) for at, values in enumerate(sealed, start=1))
    hooks = Hooks(lambda: next(coming), lambda folder: folder.mkdir(), tmp_path)
    state: Any = SimpleNamespace(global_step=0, log_history=[], is_world_process_zero=True)
    control: Any = SimpleNamespace(should_training_stop=False)
    watch = BestOnDev(Plan(frozenset({0, 10, 20}), 3), hooks)
    given: Any = (SimpleNamespace(), state, control)
    watch.on_train_begin(*given)
    for state.global_step in (10, 20):
        watch.on_step_end(*given)
        watch.on_save(*given)
    assert control.should_training_stop
    assert best_step(state.log_history) == 10
    assert (tmp_path / "best-10").is_dir()
