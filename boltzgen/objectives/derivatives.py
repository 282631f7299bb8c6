"""d log q(x | c) / d log(c + offset) of a density: exactly, or by a central difference."""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from boltzgen.base import Density
from boltzgen.checks import check_positive


class ControlSlope(NamedTuple):
    """log q(x | c), shape (B,), and its derivative in log(c + offset), (B,); both keep a graph."""

    log_prob: Tensor
    slope: Tensor


class ControlDerivative(Protocol):
    """A way to differentiate a density in its first control; the others stay.

    A control that may be 0, such as the power of a likelihood, has an offset of the size below
    which it makes little difference; a temperature has none.
    """

    @property
    def offset(self) -> float:
        """Added to the control before its logarithm is taken."""

    def __call__(self, density: Density, x: Tensor, c: Tensor) -> ControlSlope:
        """Evaluate at x (B, *E) and c (B, C)."""


class ExactDerivative:
    """Reverse-mode autograd with a graph, so that the slope itself can be trained.

    Args:
        offset: Added to the control before its logarithm is taken, at least 0.
    """

    def __init__(self, *, offset: float = 0.0) -> None:
        self.offset = _checked(offset)

    def __call__(self, density: Density, x: Tensor, c: Tensor) -> ControlSlope:
        """Evaluate at x (B, *E) and c (B, C); exact."""
        level = (c[:, :1] + self.offset).log().detach().requires_grad_()
        log_prob = density.log_prob(x, torch.cat([level.exp() - self.offset, c[:, 1:]], 1))
        (slope,) = torch.autograd.grad(log_prob.sum(), level, create_graph=True)
        return ControlSlope(log_prob, slope[:, 0])


class CentralDifference:
    """[log q(x | level + h) - log q(x | level - h)] / 2 h, level = log(c + offset), in one batch.

    The truncation error is h^2 / 6 times the third derivative in the level where log q is smooth.
    The slope of a spline flow jumps where a knot passes a point; a sample between whose two values
    of c that happens, a share of order h, is off by a part of the jump. In float32 the rounding of
    log q adds about 1e-6 / h, at most 1e-5 / h. `tests/boltzgen/objectives/test_derivatives.py`
    measures all three against the exact slope. The log-density returned is the mean of the two.
    Below c = offset (e^h - 1) the lower of the two controls is negative.

    Args:
        step: h.
        offset: Added to the control before its logarithm is taken, at least 0.
    """

    def __init__(self, step: float = 0.02, *, offset: float = 0.0) -> None:
        check_positive("step", step)
        self.step, self.offset = step, _checked(offset)

    def __call__(self, density: Density, x: Tensor, c: Tensor) -> ControlSlope:
        """Evaluate at x (B, *E) and c (B, C)."""
        factor = torch.exp(c.new_tensor(self.step))
        level, others = c[:, :1] + self.offset, c[:, 1:]
        pair = [torch.cat([level * f - self.offset, others], 1) for f in (factor, 1 / factor)]
        both = density.log_prob(torch.cat([x, x]), torch.cat(pair))
        above, below = both.chunk(2)
        return ControlSlope((above + below) / 2, (above - below) / (2 * self.step))


def _checked(offset: float) -> float:
    if not 0 <= offset < float("inf"):
        raise ValueError(f"offset: expected a finite number of at least 0, got {offset}")
    return offset
