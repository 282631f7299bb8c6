"""Penalties of a residual, elementwise."""

from typing import Protocol

from torch import Tensor
from torch.nn import functional

from boltzgen.checks import check_positive


class Penalty(Protocol):
    """A non-negative function of a residual, (B,) -> (B,)."""

    def __call__(self, residual: Tensor) -> Tensor:
        """Evaluate elementwise."""


class Squared:
    """r^2 / 2."""

    def __call__(self, residual: Tensor) -> Tensor:
        """Evaluate elementwise."""
        return 0.5 * residual.square()


class Huber:
    """r^2 / 2 below delta, delta (|r| - delta / 2) above: outliers pull with a bounded force.

    Args:
        delta: Where the quadratic turns linear.
    """

    def __init__(self, delta: float = 1.0) -> None:
        check_positive("delta", delta)
        self.delta = delta

    def __call__(self, residual: Tensor) -> Tensor:
        """Evaluate elementwise."""
        zero = residual.new_zeros(()).expand_as(residual)
        return functional.huber_loss(residual, zero, reduction="none", delta=self.delta)
