"""A harmonic well, exactly solvable in closed form."""

import math

import torch
from torch import Generator, Tensor

from systems.checks import check_positive
from systems.toys.exact import ExactTarget, check_count


class HarmonicWell(ExactTarget):
    """U(x) = stiffness |x|^2 / 2 in n dimensions: p(x | T) is normal with variance T / stiffness.

    Args:
        n_dims: Number of dimensions.
        stiffness: Force constant.

    Example:
        >>> HarmonicWell(n_dims=3, stiffness=2.0).mean_potential(0.5)
        0.75
    """

    def __init__(self, n_dims: int = 2, stiffness: float = 1.0) -> None:
        check_count("n_dims", n_dims)
        check_positive("stiffness", stiffness)
        super().__init__((n_dims,))
        self.n_dims = n_dims
        self.stiffness = stiffness

    def potential(self, x: Tensor) -> Tensor:
        """U(x): (B, n_dims) -> (B,)."""
        return 0.5 * self.stiffness * x.square().sum(-1)

    def log_partition(self, T: float) -> float:
        """(n / 2) log(2 pi T / stiffness)."""
        check_positive("T", T)
        return 0.5 * self.n_dims * math.log(2 * math.pi * T / self.stiffness)

    def mean_potential(self, T: float) -> float:
        """Return n T / 2, by equipartition."""
        check_positive("T", T)
        return 0.5 * self.n_dims * T

    def heat_capacity(self, T: float) -> float:
        """Return n / 2, the same at every temperature."""
        check_positive("T", T)
        return 0.5 * self.n_dims

    def sample_exact(self, T: float, n: int, *, generator: Generator) -> Tensor:
        """Draw n independent configurations at temperature T: (n, n_dims), float64."""
        check_positive("T", T)
        check_count("n", n)
        z = torch.randn(
            n, self.n_dims, generator=generator, device=generator.device, dtype=torch.float64
        )
        return z * math.sqrt(T / self.stiffness)
