"""Neal's funnel: a variance over many orders of magnitude, with exact answers at every power."""

import math

import numpy as np
import torch
from torch import Generator, Tensor

from systems.checks import check_positive
from systems.posteriors.bridge import Bridge, check_power
from systems.posteriors.densities import normal_log_density
from systems.posteriors.line import LineDensity
from systems.posteriors.parameters import Parameter

_SCALE = 3.0
_REACH = 12.0
_N_NODES = 2**15 + 1


class Funnel(Bridge):
    """v ~ N(0, 3^2), x_i ~ N(0, e^v) for n - 1 components x_i: the target at beta = 1.

    The reference is N(0, 3^2) for v, its own density, and N(0, width^2) for each x_i. Given v,
    every x_i is normal at every power between 0 and 1, so that all of it is an integral over v.

    Args:
        n_dims: n, of which one is v.
        width: Standard deviation of the reference of each x_i.

    References:
        Neal, Slice sampling, Ann. Stat. 31, 705 (2003), section 8.
    """

    def __init__(self, n_dims: int = 10, *, width: float = 10.0) -> None:
        if n_dims < 2:
            raise ValueError(f"n_dims: expected at least 2, got {n_dims}")
        check_positive("width", width)
        super().__init__(
            _log_funnel,
            [Parameter("v"), Parameter("x", (n_dims - 1,))],
            width=(_SCALE, *[width] * (n_dims - 1)),
        )

    def log_evidence(self, beta: float) -> float:
        """Log Z at a power between 0 and 1 by a trapezoid sum over v, to rounding; 0 at 0 and 1."""
        check_power(beta)
        return self._density_of_v(beta).log_integral

    def sample_exact(self, beta: float, n: int, *, generator: Generator) -> Tensor:
        """Draw n points (v, x_1, ...) at a power between 0 and 1, float64 (n, D)."""
        check_power(beta)
        v = self._density_of_v(beta).sample(n, generator=generator)
        z = torch.randn(n, len(self.widths) - 1, generator=generator, dtype=torch.float64)
        width = torch.from_numpy(self._precision(v.numpy(), beta)).rsqrt()
        return torch.cat([v[:, None], z * width[:, None]], 1)

    def _precision(self, v: np.ndarray, beta: float) -> np.ndarray:
        """Inverse variance of x_i given v."""
        found: np.ndarray = beta * np.exp(-v) + (1 - beta) / self.widths[-1] ** 2
        return found

    def _density_of_v(self, beta: float) -> LineDensity:
        n_x = len(self.widths) - 1
        # The integral over the x_i has its mode between v = 0 and v = log(width^2).
        reach = _REACH * _SCALE + 2 * abs(math.log(self.widths[-1]))
        v = np.linspace(-reach, reach, _N_NODES)
        # The integral over x_i of N(x_i; 0, e^v)^beta N(x_i; 0, width^2)^(1 - beta).
        each = -0.5 * (beta * v + np.log(self._precision(v, beta)))
        each -= (1 - beta) * math.log(self.widths[-1])
        normal = -0.5 * (v / _SCALE) ** 2 - math.log(_SCALE * math.sqrt(2 * math.pi))
        return LineDensity(v, normal + n_x * each)


def _log_funnel(x: Tensor) -> Tensor:
    """Normalised log-density of the funnel: (B, D) -> (B,)."""
    v, rest = x[:, 0], x[:, 1:]
    # Bounded, so that 0 stays 0.
    inverse = torch.exp(-v / 2).clamp_max(torch.finfo(x.dtype).max)
    scaled = rest * inverse[:, None]
    log_given_v = -0.5 * (scaled.square().sum(1) + rest.shape[1] * (v + math.log(2 * math.pi)))
    return normal_log_density(v, 0.0, _SCALE) + log_given_v
