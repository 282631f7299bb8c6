"""The clusters that samplers are compared on."""

import math

import torch
from torch import Generator, Tensor

from systems.checks import check_positive
from systems.particles.cluster import ParticleCluster

_TINY = 1e-20


class HarmonicCluster(ParticleCluster):
    """The oscillator alone, U = s / 2 sum_i |x_i - centre|^2: exactly solvable.

    Args:
        n_particles: N.
        n_dims: n.
        oscillator: s, positive.

    Example:
        >>> round(HarmonicCluster(3, 2).log_partition(1.0), 6)  # 2 log(2 pi)
        3.675754
    """

    def __init__(self, n_particles: int, n_dims: int, *, oscillator: float = 1.0) -> None:
        check_positive("oscillator", oscillator)
        super().__init__(n_particles, n_dims, oscillator=oscillator)

    def pair_potential(self, square: Tensor) -> Tensor:
        """Zero."""
        return torch.zeros_like(square)

    def log_partition(self, T: float) -> float:
        """((N - 1) n / 2) log(2 pi T / s)."""
        check_positive("T", T)
        return 0.5 * self.n_free * math.log(2 * math.pi * T / self.oscillator)

    def sample_exact(self, T: float, n: int, *, generator: Generator) -> Tensor:
        """Draw n independent centred configurations, float64 (n, N, n_dims)."""
        check_positive("T", T)
        z = torch.randn(
            n, *self.event_shape, generator=generator, device=generator.device, dtype=torch.float64
        )
        return (z - z.mean(1, keepdim=True)) * math.sqrt(T / self.oscillator)


class DoubleWellCluster(ParticleCluster):
    """u(r) = a (r - r0) + b (r - r0)^2 + c (r - r0)^4 between all pairs, each counted once.

    DW4 is four particles in the plane with these numbers. Each of its six distances likes to be
    near r0 - sqrt(-b / 2 c) or r0 + sqrt(-b / 2 c), which they cannot all be at once.

    Args:
        n_particles: N.
        n_dims: n.
        a: Slope at r0.
        b: Curvature at r0, divided by 2.
        c: Quartic coefficient, positive.
        r0: Distance of the barrier.

    References:
        Koehler, Klein and Noe, Equivariant flows (2020), arXiv:2006.02425 (with pairs counted once
        in the code that goes with it: a = 0, b = -4, c = 0.9, r0 = 4).
    """

    def __init__(  # noqa: PLR0913
        self,
        n_particles: int = 4,
        n_dims: int = 2,
        *,
        a: float = 0.0,
        b: float = -4.0,
        c: float = 0.9,
        r0: float = 4.0,
    ) -> None:
        check_positive("c", c)
        super().__init__(n_particles, n_dims)
        self.a, self.b, self.c, self.r0 = a, b, c, r0

    def pair_potential(self, square: Tensor) -> Tensor:
        """The quartic of squared distances."""
        away = square.clamp_min(_TINY).sqrt() - self.r0
        return away * (self.a + away * (self.b + self.c * away.square()))


class LennardJonesCluster(ParticleCluster):
    """u(r) = epsilon [(r_m / r)^12 - 2 (r_m / r)^6], each pair once, and an oscillator.

    The minimum of u is -epsilon at r_m. LJ13 and LJ55 of the literature on samplers have epsilon =
    r_m = s = 1; some of its codes count every pair twice, which is epsilon = 2 here.

    Args:
        n_particles: N, such as 13 or 55.
        n_dims: n.
        epsilon: Depth of a pair, positive.
        r_m: Distance of the minimum, positive.
        oscillator: s; without it atoms evaporate at any temperature.

    References:
        Koehler, Klein and Noe, Equivariant flows (2020), arXiv:2006.02425.
    """

    def __init__(  # noqa: PLR0913
        self,
        n_particles: int = 13,
        n_dims: int = 3,
        *,
        epsilon: float = 1.0,
        r_m: float = 1.0,
        oscillator: float = 1.0,
    ) -> None:
        check_positive("epsilon", epsilon)
        check_positive("r_m", r_m)
        super().__init__(n_particles, n_dims, oscillator=oscillator)
        self.epsilon, self.r_m = epsilon, r_m

    def pair_potential(self, square: Tensor) -> Tensor:
        """The potential of squared distances; +inf at 0."""
        apart = square > 0
        sixth = (self.r_m**2 / torch.where(apart, square, 1.0)) ** 3
        return torch.where(apart, self.epsilon * sixth * (sixth - 2), torch.inf)
