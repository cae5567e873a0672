import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.engines import Sampling
from components.engines.decoding import Chooser, Row
from components.engines.sampling import choose, uniforms

# Tokens 0, 1 and 2 with the probabilities 0.3, 0.5 and 0.2; in order of probability 1, 0, 2.
LOGITS = torch.tensor([0.3, 0.5, 0.2]).log()


def chosen(uniform: float, sampling: Sampling, logits: torch.Tensor = LOGITS) -> int:
    return int(choose(logits[None], torch.tensor([uniform]), sampling))


@pytest.mark.parametrize(("uniform", "token"), [(0.0, 0), (0.29, 0), (0.31, 1), (0.79, 1), (0.81, 2), (0.999, 2)])
def test_a_uniform_number_finds_its_token_in_the_cumulative_distribution(uniform: float, token: int) -> None:
    assert chosen(uniform, Sampling(temperature=1)) == token


@pytest.mark.parametrize(("uniform", "token"), [(0.0, 1), (0.62, 1), (0.63, 0), (0.999, 0)])
def test_top_p_keeps_the_likeliest_tokens_that_reach_it(uniform: float, token: int) -> None:
    # 0.5 does not reach 0.7, 0.5 + 0.3 does: token 1 is now drawn with 0.5 / 0.8 = 0.625.
    assert chosen(uniform, Sampling(temperature=1, top_p=0.7)) == token


def test_a_lower_temperature_sharpens_the_distribution() -> None:
    # At temperature 0.5 the probabilities are squared: 0.09 / (0.09 + 0.25 + 0.04) = 0.237, then 0.25 / 0.38 = 0.658.
    assert [chosen(uniform, Sampling(temperature=0.5)) for uniform in (0.23, 0.24, 0.89, 0.90)] == [0, 1, 1, 2]


def test_a_token_without_a_chance_is_never_drawn() -> None:
    impossible = torch.tensor([0, 0.3, 0, 0.7, 0]).log()
    result = {chosen(uniform, Sampling(temperature=1), impossible) for uniform in (0.0, 0.5, 0.99999994)}
    assert result == {1, 3}


def test_temperature_zero_takes_the_likeliest_token() -> None:
    assert chosen(0.99, Sampling()) == 1


@pytest.mark.parametrize("temperature", [5e-324, 1e-320, 1e-46, 1e-40, 1e-38, 1e-10, 9e-6, 1e-5])
def test_a_temperature_near_zero_takes_it_too_and_never_what_a_schema_forbids(temperature: float) -> None:
    logits = torch.tensor([float("-inf"), 900.0, 1000.0, -1000.0])
    assert [chosen(uniform, Sampling(temperature=temperature), logits) for uniform in (0.0, 0.5, 0.99)] == [2, 2, 2]


@given(st.lists(st.floats(-20, 20), min_size=2, max_size=30), st.floats(0, 1, exclude_max=True), st.floats(0.01, 1))
def test_likelier_tokens_than_the_chosen_one_weigh_less_than_top_p_and_than_the_number(
    logits: list[float], uniform: float, top_p: float
) -> None:
    values = torch.tensor(logits)
    token = chosen(float(np.float32(uniform)), Sampling(temperature=1, top_p=top_p), values)
    chances = values.softmax(-1)
    above = float(chances[chances > chances[token]].sum())
    assert above < top_p + 1e-5
    if top_p < 1:  # tokens stand in order of their chances
        assert above <= uniform * (top_p + float(chances.max())) + 1e-5


def test_random_numbers_depend_only_on_seed_example_and_sample() -> None:
    again = uniforms("T1", 0, 3, 4)
    assert np.array_equal(again, uniforms("T1", 0, 3, 4))
    assert len(again) == 4
    others = [uniforms("T2", 0, 3, 4), uniforms("T1", 1, 3, 4), uniforms("T1", 0, 4, 4)]
    assert not any(np.array_equal(again, other) for other in others)


def test_a_longer_limit_changes_no_number() -> None:
    assert np.array_equal(uniforms("T1", 0, 3, 5), uniforms("T1", 0, 3, 999)[:5])


def test_numbers_are_drawn_for_the_tokens_that_fit_and_only_where_tokens_are_drawn() -> None:
    rows = [Row(5, "T1", 0, None), Row(3, "T2", 0, None)]
    drawn = Chooser(rows, Sampling(temperature=1, max_new_tokens=10**6), frozenset()).uniforms_RT
    assert drawn is not None and drawn.shape == (2, 5)
    assert Chooser(rows, Sampling(max_new_tokens=10**6), frozenset()).uniforms_RT is None


@pytest.mark.parametrize("wrong", [{"temperature": -1}, {"top_p": 0}, {"top_p": 1.1}, {"max_new_tokens": 0}, {"n": 0}])
def test_sampling_out_of_bounds_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Sampling.model_validate(wrong)
