from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard, DataLoaderShard, skip_first_batches
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import BatchSampler
from transformers import AutoConfig, AutoModelForCausalLM, TrainerControl, TrainerState

from components.errors import TrainingError
from components.models import open_model
from components.training import TrainingTask
from components.training.batches import LengthSampler, collate, length_batches, refuse_shifted
from components.training.dev import BestOnDev, Plan
from components.training.encode import IGNORED
from components.training.likelihood import log_likelihoods
from components.training.precision import Compute
from components.training.run import starting_model


@given(st.lists(st.integers(1, 60), min_size=1, max_size=200), st.integers(1, 9), st.integers(0, 99))
def test_every_example_comes_once_and_runs_are_sorted_slices(lengths: list[int], batch: int, seed: int) -> None:
    order = length_batches(lengths, batch, torch.Generator().manual_seed(seed))
    assert sorted(order) == list(range(len(lengths)))
    for start in range(0, len(order), batch):
        run = [lengths[index] for index in order[start : start + batch]]
        assert run == sorted(run)


def test_a_model_with_a_table_of_positions_is_neither_trained_nor_are_its_likelihoods_computed(
    make_task: Callable[..., TrainingTask], model_folder: Callable[..., Path], tokenizer: Any, tmp_path: Path
) -> None:
    for kind, sizes in (("gpt2", {"n_embd": 8, "n_layer": 1, "n_head": 2}), ("opt", {"num_attention_heads": 2})):
        config = AutoConfig.for_model(
            kind, vocab_size=264, hidden_size=8, word_embed_proj_dim=8, bos_token_id=None, eos_token_id=258, **sizes
        )
        AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / kind)
        tokenizer.save_pretrained(tmp_path / kind)
    task = make_task(model=tmp_path / "gpt2")
    with pytest.raises(TrainingError, match=r"a table of positions, .* found transformer\.wpe \(GPT2LMHeadModel\)"):
        starting_model(task, None, Compute.choose("fp32"))
    with pytest.raises(TrainingError, match="a table of positions"):
        log_likelihoods(task.model, task.prompt, [(task.train[0], "yes")], "fp32")
    for folder in (tmp_path / "opt", model_folder("Llama"), model_folder("Lfm2"), model_folder("Qwen3")):
        refuse_shifted(open_model(folder)[0])  # OPT's table is read by the mask


def test_batches_of_one_window_do_not_overlap_in_length() -> None:
    lengths = [7, 1, 5, 3, 8, 2, 6, 4]
    order = length_batches(lengths, 2, torch.Generator().manual_seed(0))
    pairs = {tuple(lengths[index] for index in order[start : start + 2]) for start in range(0, 8, 2)}
    assert pairs == {(1, 2), (3, 4), (5, 6), (7, 8)}


def test_the_order_depends_on_the_epoch_and_on_nothing_else() -> None:
    sampler = LengthSampler(list(range(40)), 4, seed=3)
    first, again = list(sampler), list(sampler)
    sampler.set_epoch(1)
    assert first == again
    assert list(sampler) != first


def test_two_processes_that_resume_within_an_epoch_go_on_in_its_order() -> None:
    whole = LengthSampler(list(range(32)), 4, seed=3)
    whole.set_epoch(1)
    order = list(whole)
    batches = [order[start : start + 2] for start in range(0, 32, 2)]
    assert order != list(LengthSampler(list(range(32)), 4, seed=3))

    shards = BatchSamplerShard(BatchSampler(LengthSampler(list(range(32)), 4, seed=3), 2, False), 2, 0)
    data: Any = list(range(32))
    loader = DataLoaderShard(data, batch_sampler=shards)
    unused: Any = None
    callback = BestOnDev(Plan(frozenset(), 1), unused)
    callback.on_epoch_begin(unused, TrainerState(epoch=1.375), TrainerControl(), train_dataloader=loader)
    left: Any = skip_first_batches(loader, 3)
    left.set_epoch(1)  # the trainer's, which does not get through
    assert list(left.batch_sampler) == batches[6::2]  # of two processes the first one's, behind three of its own


def test_padding_is_on_the_left_and_labels_keep_the_longest_answer_and_one_column() -> None:
    rows = [
        {"input_ids": [1, 2, 3], "labels": [IGNORED, IGNORED, 3]},
        {"input_ids": [4, 5, 6, 7, 8], "labels": [IGNORED, IGNORED, IGNORED, 7, 8]},
    ]
    batch = collate(rows, pad=0)
    assert batch["input_ids"].tolist() == [[0, 0, 1, 2, 3], [4, 5, 6, 7, 8]]
    assert batch["attention_mask"].tolist() == [[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]]
    assert batch["labels"].tolist() == [[IGNORED, IGNORED, 3], [IGNORED, 7, 8]]


def test_an_answer_in_several_turns_is_kept_whole() -> None:
    rows = [
        {"input_ids": [1, 2, 3, 4, 5, 6], "labels": [IGNORED, 2, IGNORED, IGNORED, 5, 6]},
        {"input_ids": [1, 2], "labels": [IGNORED, 2]},
    ]
    assert collate(rows, pad=0)["labels"].tolist() == [
        [IGNORED, 2, IGNORED, IGNORED, 5, 6], [IGNORED, IGNORED, IGNORED, IGNORED, IGNORED, 2]
    ]  # fmt: skip
