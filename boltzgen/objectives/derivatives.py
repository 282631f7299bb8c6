"""d log q(x | c) / d log c of a density: exactly, or by a central difference."""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from boltzgen.base import Density
from boltzgen.checks import check_positive


class ControlSlope(NamedTuple):
    """log q(x | c), shape (B,), and its derivative in log c, shape (B,); both keep their graph."""

    log_prob: Tensor
    slope: Tensor


class ControlDerivative(Protocol):
    """A way to differentiate a density in its one control."""

    def __call__(self, density: Density, x: Tensor, c: Tensor) -> ControlSlope:
        """Evaluate at x (B, *E) and c (B, 1)."""


class ExactDerivative:
    """Reverse-mode autograd with a graph, so that the slope itself can be trained."""

    def __call__(self, density: Density, x: Tensor, c: Tensor) -> ControlSlope:
        """Evaluate at x (B, *E) and c (B, 1); exact."""
        level = c.log().detach().requires_grad_()
        log_prob = density.log_prob(x, level.exp())
        (slope,) = torch.autograd.grad(log_prob.sum(), level, create_graph=True)
        return ControlSlope(log_prob, slope[:, 0])


class CentralDifference:
    """[log q(x | c e^h) - log q(x | c e^-h)] / 2 h on a doubled batch.

    The truncation error is h^2 / 6 times the third derivative in log c where log q is smooth. The
    slope of a spline flow jumps where a knot passes a point; a sample between whose two values of c
    that happens, a share of order h, is off by a part of the jump. In float32 the rounding of log q
    adds about 1e-6 / h, at most 1e-5 / h. `tests/boltzgen/objectives/test_derivatives.py` measures
    all three against the exact slope. The log-density returned is the mean of the two.

    Args:
        step: h.
    """

    def __init__(self, step: float = 0.02) -> None:
        check_positive("step", step)
        self.step = step

    def __call__(self, density: Density, x: Tensor, c: Tensor) -> ControlSlope:
        """Evaluate at x (B, *E) and c (B, 1)."""
        factor = torch.exp(c.new_tensor(self.step))
        both = density.log_prob(torch.cat([x, x]), torch.cat([c * factor, c / factor]))
        above, below = both.chunk(2)
        return ControlSlope((above + below) / 2, (above - below) / (2 * self.step))
