"""Base densities, and the flow: a base density seen through a bijection."""

import math

import torch
from torch import Generator, Tensor

from boltzgen.base import Bijection, Density
from boltzgen.checks import check_at_least, check_positive
from boltzgen.random import draw_normal, draw_uniform

_OFF_CENTRE = 1e-3


class ScaledBase(Density):
    """Independent latents: normal with variance c / c0, or uniform on the circle.

    The first control scales the variance of the normal components. With a bijection that does not
    depend on c and preserves volume this alone carries a density to other temperatures exactly, as
    p(x | T) ~ p(x | T0)^(T0 / T) (Dibak et al. 2022, arXiv:2108.01590).

    Args:
        periodic: Which components are angles in [-pi, pi), bool, shape (D,).
        reference: c0 of each control, shape (C,), positive; C = 0 gives unit variance.
    """

    def __init__(self, periodic: Tensor, reference: Tensor) -> None:
        super().__init__((len(periodic),), len(reference))
        self.register_buffer("periodic", periodic.clone(), persistent=False)
        self.register_buffer("reference", reference.clone(), persistent=False)
        self.n_angles = int(periodic.sum())
        self.n_normal = len(periodic) - self.n_angles

    periodic: Tensor
    reference: Tensor

    def _variance(self, c: Tensor) -> Tensor:
        if self.n_controls == 0:
            return c.new_ones(len(c))
        return c[:, 0] / self.reference[0].to(c.dtype)

    def _log_prob(self, x: Tensor, c: Tensor) -> Tensor:
        variance = self._variance(c)
        square = torch.where(self.periodic, 0.0, x.square()).sum(1)
        normal = 0.5 * self.n_normal * (2 * math.pi * variance).log() + 0.5 * square / variance
        return -normal - self.n_angles * math.log(2 * math.pi)

    def _sample_and_log_prob(self, c: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        shape = (len(c), *self.event_shape)
        normal = draw_normal(shape, like=c, generator=generator)
        uniform = draw_uniform(shape, like=c, generator=generator)
        angles = ((2 * uniform - 1) * math.pi).clamp_min(-math.pi)
        x = torch.where(self.periodic, angles, normal * self._variance(c).sqrt()[:, None])
        return x, self._log_prob(x, c)


class StandardNormal(Density):
    """Independent normal numbers of mean 0 and variance 1, whatever the controls.

    Args:
        event_shape: Shape of one x.
        n_controls: C.
    """

    def _log_prob(self, x: Tensor, c: Tensor) -> Tensor:
        flat = x.flatten(1)
        return -0.5 * (flat.square().sum(1) + flat.shape[1] * math.log(2 * math.pi))

    def _sample_and_log_prob(self, c: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        x = draw_normal((len(c), *self.event_shape), like=c, generator=generator)
        return x, self._log_prob(x, c)


class CentredNormal(Density):
    """Normal configurations of N particles whose centre is at the origin.

    A density on the (N - 1) n dimensions that are left: log p = -r^2 / 2 s^2
    - (N - 1) n / 2 log 2 pi s^2, r^2 the sum of all squares. What is not centred has no density
    there: an error.

    Args:
        n_particles: N, at least 2.
        n_dims: Dimension n of space.
        n_controls: C.
        scale: s, the standard deviation of a free dimension, positive; in units of x.

    References:
        Koehler, Klein and Noe, Equivariant flows (2020), arXiv:2006.02425.
    """

    def __init__(
        self, n_particles: int, n_dims: int, n_controls: int, *, scale: float = 1.0
    ) -> None:
        check_at_least("n_particles", n_particles, 2)
        check_at_least("n_dims", n_dims, 1)
        check_positive("scale", scale)
        super().__init__((n_particles, n_dims), n_controls)
        self.scale = scale
        self.n_free = (n_particles - 1) * n_dims

    def _log_prob(self, x: Tensor, c: Tensor) -> Tensor:
        if len(x) and bool(x.mean(1).abs().max() > _OFF_CENTRE * (1 + x.abs().max())):
            raise ValueError(
                f"x: expected centred configurations, got a centre of {x.mean(1).abs().max():.2g}"
            )
        square = (x / self.scale).square().sum((1, 2))
        return -0.5 * (square + self.n_free * math.log(2 * math.pi * self.scale**2))

    def _sample_and_log_prob(self, c: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        normal = draw_normal((len(c), *self.event_shape), like=c, generator=generator)
        x = self.scale * centred(normal)
        return x, self._log_prob(x, c)


def centred(x: Tensor) -> Tensor:
    """Particles (B, N, n), or any dimensions before the last two, moved to have centre 0."""
    return x - x.mean(-2, keepdim=True)


class Flow(Density):
    """The density of x where bijection(x) is distributed as the base.

    Args:
        bijection: Maps x to the latent z.
        base: Density of z.

    Raises:
        ValueError: The two differ in event shape or number of controls.
    """

    def __init__(self, bijection: Bijection, base: Density) -> None:
        of_map = (bijection.event_shape, bijection.n_controls)
        of_base = (base.event_shape, base.n_controls)
        if of_map != of_base:
            raise ValueError(f"base: expected event shape and C {of_map}, got {of_base}")
        super().__init__(bijection.event_shape, bijection.n_controls)
        self.bijection = bijection
        self.base = base

    def _log_prob(self, x: Tensor, c: Tensor) -> Tensor:
        z, logdet = self.bijection(x, c)
        return self.base.log_prob(z, c) + logdet

    def _sample_and_log_prob(self, c: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        z, log_base = self.base.sample_and_log_prob(c, generator=generator)
        x, logdet = self.bijection.inverse(z, c)
        return x, log_base - logdet
