"""SiLU against torch's own, and its derivatives by differences."""

import pytest
import torch
from torch import Generator, Tensor
from torch.nn import functional

from boltzgen.flows.activations import silu, silu_slope


def _numbers(*shape: int) -> Tensor:
    return 3 * torch.randn(*shape, generator=Generator().manual_seed(1), dtype=torch.float64)


def test_numbers_are_those_of_torch() -> None:
    x = _numbers(200)
    assert torch.equal(silu(x), functional.silu(x))


def test_derivatives_agree_with_differences() -> None:
    x, g = (part.clone().requires_grad_() for part in _numbers(2, 7))
    assert torch.autograd.gradcheck(silu, x, check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(silu, x, check_fwd_over_rev=True)
    assert torch.autograd.gradcheck(silu_slope, (g, x), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(silu_slope, (g, x))


@pytest.mark.parametrize("create_graph", [False, True], ids=["in place", "with a graph"])
def test_second_derivative_is_that_of_torch(create_graph: bool) -> None:  # noqa: FBT001
    def second(function: object) -> Tensor:
        x = _numbers(50).requires_grad_()
        (first,) = torch.autograd.grad(function(x).sum(), x, create_graph=True)  # type: ignore[operator]
        (found,) = torch.autograd.grad(first.square().sum(), x, create_graph=create_graph)
        return found.detach()

    torch.testing.assert_close(second(silu), second(functional.silu), rtol=1e-12, atol=1e-13)
