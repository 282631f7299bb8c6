"""Checkerboard coupling: one sublattice is mapped by what its neighbours on the other one say."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from boltzgen.base import Bijection
from boltzgen.flows.lattice.conditioners import ParityNetwork

_MAX_LOG_SCALE = 1.5
_MAX_LOG_TAIL = 1.0


class CheckerboardCoupling(Bijection):
    """y = sinh(exp(b) asinh(exp(a) x + t) + e) on one sublattice, the other one unchanged.

    The parameters of a site depend on the unchanged sublattice and on the controls: a and b are
    even under a change of sign of the field, t and e odd, so that the map commutes with x -> -x
    exactly. It commutes with translations that keep the sublattices, which is half of them. a and t
    scale and shift, b sets the weight of the tails and e the skewness (Jones and Pewsey's
    sinh-arcsinh); it is smooth, and its inverse is closed.

    Args:
        shape: Lengths of the lattice, one to three, all even.
        network: Makes two even and two odd parameters for each site.
        unchanged: Sublattice that stays, 0 or 1.

    Raises:
        ValueError: A length is odd, the lattice has not one to three dimensions, or there is no
            such sublattice.

    References:
        Albergo, Kanwar and Shanahan, Phys. Rev. D 100, 034515 (2019), arXiv:1904.12072;
        Jones and Pewsey, Biometrika 96, 761 (2009).
    """

    mask: Tensor

    def __init__(self, shape: Sequence[int], network: ParityNetwork, *, unchanged: int) -> None:
        super().__init__(tuple(shape), len(network.embedding.middle))
        check_even("shape", shape)
        if unchanged not in (0, 1):
            raise ValueError(f"unchanged: expected 0 or 1, got {unchanged}")
        sites = torch.stack(torch.meshgrid(*[torch.arange(n) for n in shape], indexing="ij")).sum(0)
        self.register_buffer("mask", sites % 2 == unchanged, persistent=False)
        self.network = network

    def _warp(self, x: Tensor, c: Tensor) -> tuple[Tensor, ...]:
        even, odd = self.network(torch.where(self.mask, x, 0.0), c)
        a = _MAX_LOG_SCALE * (even[:, 0] / _MAX_LOG_SCALE).tanh()
        b = _MAX_LOG_TAIL * (even[:, 1] / _MAX_LOG_TAIL).tanh()
        return a, odd[:, 0], b, odd[:, 1]

    def _forward(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        a, t, b, e = self._warp(x, c)
        y = a.exp() * x + t
        v = b.exp() * y.asinh() + e
        slope = a + b + log_cosh(v) - 0.5 * y.square().log1p()
        z = torch.where(self.mask, x, v.sinh())
        return z, torch.where(self.mask, 0.0, slope).flatten(1).sum(1)

    def _inverse(self, z: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        a, t, b, e = self._warp(z, c)
        u = (z.asinh() - e) * (-b).exp()
        slope = a + b + 0.5 * z.square().log1p() - log_cosh(u)
        x = torch.where(self.mask, z, (u.sinh() - t) * (-a).exp())
        return x, -torch.where(self.mask, 0.0, slope).flatten(1).sum(1)


def log_cosh(v: Tensor) -> Tensor:
    """Log cosh v without overflow."""
    size = v.abs()
    return size + functional.softplus(-2 * size) - math.log(2)


def check_even(name: str, shape: Sequence[int]) -> None:
    """Require one to three even lengths, as a checkerboard needs them."""
    if not 1 <= len(shape) <= 3 or any(n < 2 or n % 2 for n in shape):
        raise ValueError(f"{name}: expected one to three even lengths, got {tuple(shape)}")
