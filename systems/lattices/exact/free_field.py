"""The free scalar field on a periodic lattice: a Gaussian, solved and sampled mode by mode."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from systems.lattices.exact.arguments import check_whole
from systems.lattices.exact.scalar_action import ScalarAction, check_bounded, stiffness
from systems.lattices.geometry import bond_cosines, check_lattice


@dataclass(frozen=True)
class FreeField:
    """The action S = a sum x^2 - t B(x), whose modes are independent with variance 1 / (2 K(k)).

    K(k) = a - t sum_mu cos k_mu.

    Args:
        action: The action; its quartic coefficient must be 0.
        shape: Lengths of the lattice.

    Raises:
        ValueError: There is a quartic term, or K(k) is not positive at some momentum.
    """

    action: ScalarAction
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", check_lattice(self.shape))
        if self.action.quartic != 0:
            raise ValueError(f"action: expected a quartic term of 0, got {self.action.quartic}")
        check_bounded(self.action, self.shape)

    def log_partition(self) -> float:
        """Log of the integral of exp(-S), (1/2) sum_k log(pi / K(k))."""
        return float(0.5 * np.log(np.pi / self._stiffness).sum())

    def mean_action(self) -> float:
        """Mean of S, V / 2."""
        return 0.5 * math.prod(self.shape)

    def bond_sum(self) -> float:
        """Mean of B, sum_k (sum_mu cos k_mu) / (2 K(k)): the derivative of log Z in t."""
        return float((bond_cosines(self.shape) / (2 * self._stiffness)).sum())

    def correlator(self) -> np.ndarray:
        """Mean of x_0 x_r at every separation r, an array of the lattice's shape."""
        return np.fft.ifftn(1 / (2 * self._stiffness)).real

    def mean_square(self) -> float:
        """Mean of x^2 at a site."""
        return float((1 / (2 * self._stiffness)).mean())

    def mean_fourth(self) -> float:
        """Mean of x^4 at a site, 3 <x^2>^2."""
        return 3 * self.mean_square() ** 2

    def magnetisation_square(self) -> float:
        """Mean of M^2, M = sum_i x_i: V / (2 K(0))."""
        return math.prod(self.shape) / (2 * float(self._stiffness.flat[0]))

    def magnetisation_absolute(self) -> float:
        """Mean of |M|, sqrt(2 <M^2> / pi)."""
        return math.sqrt(2 * self.magnetisation_square() / math.pi)

    def sample(self, n: int, *, generator: Generator) -> Tensor:
        """Draw n independent configurations.

        White noise is scaled mode by mode; K(k) = K(-k) keeps the result real.

        Args:
            n: How many.
            generator: The random stream; the result is on its device.

        Returns:
            Shape (n, L_1, ..., L_d), float64.
        """
        check_whole("n", n, 1)
        device = generator.device
        noise = torch.randn(
            (n, *self.shape), generator=generator, device=device, dtype=torch.float64
        )
        scale = torch.as_tensor(1 / np.sqrt(2 * self._stiffness), device=device)
        axes = tuple(range(1, noise.dim()))
        return torch.fft.ifftn(torch.fft.fftn(noise, dim=axes) * scale, dim=axes).real

    @property
    def _stiffness(self) -> np.ndarray:
        return stiffness(self.action, self.shape)
