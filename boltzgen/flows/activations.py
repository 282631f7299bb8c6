"""SiLU for networks whose derivatives are differentiated again."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.nn import functional


def silu(x: Tensor) -> Tensor:
    """X / (1 + exp(-x)), the same numbers as `torch.nn.functional.silu`.

    Its first derivative is one pass over memory and its second a few in place, where torch's own
    make and keep a tensor for each operation of the formula.
    """
    if not isinstance(x, Tensor):
        return functional.silu(x)
    value: Tensor = _Silu.apply(x)
    return value


def silu_slope(g: Tensor, x: Tensor) -> Tensor:
    """G silu'(x), linear in g, of one shape."""
    product: Tensor = _Slope.apply(g, x)
    return product


class _OfInputs(torch.autograd.Function):
    """A function whose derivatives need what it was given, and nothing else."""

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Any, ...], output: Tensor) -> None:
        del output
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)


class _Silu(_OfInputs):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return functional.silu(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # noqa: ANN401
        return silu_slope(grad, *ctx.saved_tensors)

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:  # noqa: ANN401
        return silu_slope(tangent, *ctx.saved_tensors)


class _Slope(_OfInputs):
    @staticmethod
    def forward(g: Tensor, x: Tensor) -> Tensor:
        product: Tensor = torch.ops.aten.silu_backward(g, x)
        return product

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:  # noqa: ANN401
        g, x = ctx.saved_tensors
        of_g, of_x = ctx.needs_input_grad
        return silu_slope(grad, x) if of_g else None, _bend(x, grad, g) if of_x else None

    @staticmethod
    def jvp(ctx: Any, of_g: Tensor, of_x: Tensor) -> Tensor:  # noqa: ANN401
        g, x = ctx.saved_tensors
        return silu_slope(of_g, x) + _bend(x, of_x, g)


def _bend(x: Tensor, g: Tensor, h: Tensor) -> Tensor:
    """silu''(x) g h, with silu'' = s (1 - s) (2 + x (1 - 2 s)) and s the sigmoid."""
    s = x.sigmoid()
    if torch.is_grad_enabled():
        return s * (1 - s) * (2 + x * (1 - 2 * s)) * g * h
    product = torch.rsub(s, 1, alpha=2).mul_(x).add_(2).mul_(g).mul_(h)
    bent: Tensor = torch.ops.aten.sigmoid_backward(product, s)
    return bent
