from components.training.dev import Plan, best_of, curves_of, dev_scores, out_of_patience, training_seconds

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
