from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.cache_utils import Cache, LinearAttentionLayer

from components.engines.batch import Batch, OwnLayer


def batch_of(rows: int) -> Batch:
    """A batch in which every number in a row differs from those of other rows."""
    own = torch.arange(rows, dtype=torch.float32)[:, None, None, None].expand(rows, 2, 5, 3)
    inputs = torch.arange(rows, dtype=torch.float32)[:, None, None].expand(rows, 4, 2)
    convolution = LinearAttentionLayer()
    convolution.lazy_initialization(conv_states=inputs)
    convolution.conv_states[0] = inputs.clone()
    layers: list[Any] = [OwnLayer(own.clone(), own.clone(), used=4), convolution]
    return Batch(Cache(layers=layers), {}, torch.arange(rows)[:, None] * 1.0, torch.arange(rows))


@given(st.data())
def test_rows_that_stay_keep_their_own_states_wherever_they_move(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 12))
    staying = sorted(data.draw(st.sets(st.integers(0, rows - 1), min_size=1)))
    batch = batch_of(rows)
    order = batch.keep(staying)
    assert sorted(order) == staying
    layers: list[Any] = batch.cache.layers
    attention, convolution = layers
    own = (attention.keys[:, :, :4], attention.values[:, :, :4], convolution.conv_states[0], batch.hidden_RL)
    for result in (*own, batch.positions_R[:, None]):
        assert (result.flatten(1) == torch.tensor(order)[:, None]).all()


@given(st.data())
def test_rows_that_stay_where_they_are_are_not_moved(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 12))
    staying = sorted(data.draw(st.sets(st.integers(0, rows - 1), min_size=1)))
    order = batch_of(rows).keep(staying)
    assert all(order[place] == place for place in staying if place < len(staying))
