"""Muon and AdamW behind one optimiser."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import _muon

from components.training import optimiser
from components.training.optimiser import make_optimiser, orthogonalised


def small_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.ModuleDict({"embed": nn.Embedding(5, 4), "layer": nn.Linear(4, 4), "norm": nn.LayerNorm(4)})


def take_step(model: nn.Module, optimiser: torch.optim.Optimizer, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        weight.grad = torch.randn(weight.shape, generator=generator)
    optimiser.step()
    optimiser.zero_grad()


def test_matrices_of_layers_go_to_muon_and_everything_else_to_adamw() -> None:
    model = small_model()
    muon, adamw = make_optimiser(model, 0.01, 0.0).parts
    assert [tuple(weight.shape) for weight in muon.param_groups[0]["params"]] == [(4, 4)]
    assert len(adamw.param_groups[0]["params"]) == 4  # embeddings, two biases, a norm


@pytest.mark.parametrize("architecture", ["Llama", "GPT2"])
def test_neither_embeddings_nor_output_matrices_go_to_muon(architecture: str) -> None:
    import transformers

    sizes: dict[str, Any] = {
        "Llama": {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2},
        "GPT2": {"n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 16},
    }[architecture]
    config = transformers.AutoConfig.for_model(
        architecture.lower(), vocab_size=20, tie_word_embeddings=False, bos_token_id=None, eos_token_id=None, **sizes
    )
    model = transformers.AutoModelForCausalLM.from_config(config)
    names = {id(weight): name for name, weight in model.named_parameters()}
    muon, adamw = make_optimiser(model, 0.01, 0.0).parts
    taken = {names[id(weight)] for weight in muon.param_groups[0]["params"]}
    layers = {"Llama": "model.layers.0.", "GPT2": "transformer.h.0."}[architecture]
    assert taken and all(name.startswith(layers) for name in taken)
    assert len(taken) + len(adamw.param_groups[0]["params"]) == len(names)


def test_a_training_of_nothing_but_matrices_leaves_adamw_without_any() -> None:
    model = nn.Linear(4, 4, bias=False)  # as adapters of all linear layers are
    before = model.weight.detach().clone()
    optimiser = make_optimiser(model, 0.01, 0.0)
    take_step(model, optimiser, seed=1)
    assert not optimiser.parts[1].param_groups[0]["params"]
    assert not torch.equal(model.weight, before)


def test_frozen_weights_are_left_out() -> None:
    model = small_model()
    model["layer"].bias.requires_grad_(False)  # pyright: ignore[reportIndexIssue]
    _, adamw = make_optimiser(model, 0.01, 0.0).parts
    assert len(adamw.param_groups[0]["params"]) == 3


def test_a_schedule_moves_the_learning_rates_of_both() -> None:
    optimiser = make_optimiser(small_model(), 0.01, 0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 0.5**step)
    optimiser.step()
    schedule.step()
    assert [part.param_groups[0]["lr"] for part in optimiser.parts] == [0.005, 0.005]


def test_a_restored_optimiser_goes_on_exactly() -> None:
    model, twin = small_model(), small_model()
    ours, theirs = make_optimiser(model, 0.01, 0.1), make_optimiser(twin, 0.01, 0.1)
    take_step(model, ours, 1)
    take_step(twin, theirs, 1)
    fresh = make_optimiser(twin, 0.01, 0.1)
    fresh.load_state_dict(theirs.state_dict())
    take_step(model, ours, 2)
    take_step(twin, fresh, 2)
    for parameter, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(parameter, other)


@pytest.mark.parametrize("shape", [(24, 8), (8, 24), (16, 16)])
def test_without_fast_bfloat16_muon_computes_the_same_in_float32(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    settings = (_muon.DEFAULT_A, _muon.DEFAULT_B, _muon.DEFAULT_C), _muon.DEFAULT_NS_STEPS, _muon.EPS
    matrix = torch.randn(shape)
    exact, rounded = orthogonalised(matrix, *settings), _muon._zeropower_via_newtonschulz(matrix, *settings)
    assert exact.dtype == torch.float32
    assert rounded.dtype == torch.bfloat16
    assert torch.allclose(exact, rounded.float(), atol=0.03)
    values = torch.linalg.svdvals(exact)
    assert values.min() > 0.6
    assert values.max() < 1.3

    reference, used = _muon._zeropower_via_newtonschulz, list[bool]()
    for fast in (True, False):
        monkeypatch.setattr(optimiser, "computes_bf16", lambda fast=fast: fast)
        monkeypatch.setattr(optimiser, "orthogonalised", lambda *given: used.append(True) or orthogonalised(*given))
        take_step(model := small_model(), make_optimiser(model, 0.01, 0.0), 1)
        assert used == ([] if fast else [True])
        assert _muon._zeropower_via_newtonschulz is reference
