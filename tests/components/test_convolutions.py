import torch
from torch.nn.functional import conv1d

from components.models import fused_convolutions, shifted_convolution


def test_shifted_products_equal_the_causal_convolution_and_its_gradient() -> None:
    torch.manual_seed(0)
    states, weight, bias = torch.randn(2, 5, 11), torch.randn(5, 3), torch.randn(5)
    ours, theirs = states.clone().requires_grad_(), states.clone().requires_grad_()
    shifted = shifted_convolution(ours, weight, bias)
    expected = conv1d(theirs, weight[:, None], bias, padding=2, groups=5)[:, :, :11]
    torch.testing.assert_close(shifted, expected)
    shifted.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_the_reference_is_back_after_the_block() -> None:
    from transformers.models.lfm2 import modeling_lfm2

    before = modeling_lfm2.causal_conv1d_fn
    with fused_convolutions():
        assert modeling_lfm2.causal_conv1d_fn is shifted_convolution
    assert modeling_lfm2.causal_conv1d_fn is before
