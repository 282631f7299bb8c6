"""Densities small enough that every answer is known."""

import math

import torch
from torch import Generator, Tensor, nn

from boltzgen.base import Density
from boltzgen.protocols import Batch
from systems.toys import HarmonicWell

DOUBLE = torch.float64


class PowerNormal(Density):
    """x = m + z exp(b) c^(a / 2) in d dimensions, z standard normal: exact at a = 1, b = m = 0
    for a harmonic well of stiffness 1 at temperature c."""

    def __init__(self, a: float = 1.0, b: float = 0.0, m: float = 0.0, n_dims: int = 2) -> None:
        super().__init__((n_dims,), 1)
        self.a, self.b, self.m = (nn.Parameter(torch.tensor(v, dtype=DOUBLE)) for v in (a, b, m))

    def _scale(self, c: Tensor) -> Tensor:
        return self.b.exp() * c ** (self.a / 2)

    def _log_prob(self, x: Tensor, c: Tensor) -> Tensor:
        scale = self._scale(c)
        z = (x - self.m) / scale
        return (-0.5 * z.square() - scale.log() - 0.5 * math.log(2 * math.pi)).sum(1)

    def _sample_and_log_prob(self, c: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        z = torch.randn((len(c), *self.event_shape), generator=generator, dtype=c.dtype)
        x = self.m + z * self._scale(c)
        return x, self._log_prob(x, c)


class Walled(HarmonicWell):
    """A harmonic well that is forbidden where the first coordinate is above a wall.

    The gradient of its energy there is NaN, as that of an overflowing one would be.
    """

    def __init__(self, wall: float = 1.0, value: float = math.inf) -> None:
        super().__init__(n_dims=2)
        self.wall, self.value = wall, value

    def potential(self, x: Tensor) -> Tensor:
        over = x[:, 0] > self.wall
        return super().potential(x) + torch.where(over, self.value, 0.0) * x.square().sum(1)


def batch(n: int = 1) -> Batch:
    """Rows that only tell the dtype."""
    return Batch(torch.zeros(n, 2, dtype=DOUBLE), torch.ones(n, 1, dtype=DOUBLE))


def z_score(draws: Tensor, exact: float) -> float:
    """Deviation of the mean of independent draws from the exact value, in standard errors."""
    return float((draws.mean() - exact) / (draws.std() / len(draws) ** 0.5))
