"""The many-well energy as the end of a geometric path, exactly solvable at every power."""

import math

import torch
from torch import Generator, Tensor

from systems.posteriors.bridge import Bridge
from systems.posteriors.parameters import Parameter
from systems.toys import ManyWell, QuarticWell


class ManyWellBridge(Bridge):
    """exp(-U) at beta = 1 with pairs (x, y) of U = -x / 2 - 6 x^2 + x^4 + y^2 / 2.

    The log-density on the path from N(0, width^2) is a polynomial of degree four in every x and
    of degree two in every y, so that Z is a product of integrals over the line at every power;
    log Z(1) = 164.695675 in 32 dimensions.

    Args:
        n_dims: Number of coordinates, even.
        width: Standard deviation of the reference.

    References:
        Midgley et al., Flow annealed importance sampling bootstrap, arXiv:2208.01893.
    """

    def __init__(self, n_dims: int = 32, *, width: float = 2.0) -> None:
        self.wells = ManyWell(n_dims)
        super().__init__(self._log_density, [Parameter("x", (n_dims,))], width=width)

    def _log_density(self, x: Tensor) -> Tensor:
        return -self.wells.potential(x)

    def log_evidence(self, beta: float) -> float:
        """Log Z at a power, by quadrature, to rounding.

        Raises:
            ValueError: The power is negative, or so large that y has no normalised density.
        """
        quartic, stiffness = self._path(beta)
        n_pairs = len(self.widths) // 2
        constant = (1 - beta) * math.log(self.widths[0] * math.sqrt(2 * math.pi))
        if quartic is None:
            return 0.0
        pair = quartic.log_partition(1.0) + 0.5 * math.log(2 * math.pi / stiffness)
        return n_pairs * (pair - 2 * constant)

    def sample_exact(self, beta: float, n: int, *, generator: Generator) -> Tensor:
        """Draw n points at a power, float64 (n, D).

        Raises:
            ValueError: The power is negative, or so large that y has no normalised density.
        """
        quartic, stiffness = self._path(beta)
        if quartic is None:
            return self.sample_prior(n, generator=generator)
        shape = (n, len(self.widths) // 2)
        x = quartic.sample(1.0, shape, generator=generator)
        y = torch.randn(shape, generator=generator, dtype=torch.float64) / math.sqrt(stiffness)
        return torch.stack([x, y], -1).flatten(1)

    def _path(self, beta: float) -> tuple[QuarticWell | None, float]:
        """Minus the log-density in one x, None at 0, and the coefficient of y^2 / 2 in it."""
        reference = (1 - beta) / self.widths[0] ** 2
        stiffness = beta + reference
        if not (0 <= beta < math.inf and stiffness > 0):
            raise ValueError(f"beta: expected a power of at least 0 with finite Z, got {beta}")
        well = self.wells.quartic
        if beta == 0:
            return None, stiffness
        tempered = QuarticWell(beta * well.a, beta * well.b + 0.5 * reference, beta * well.c)
        return tempered, stiffness
