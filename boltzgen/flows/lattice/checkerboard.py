"""Checkerboard coupling: one sublattice is mapped by what its neighbours on the other one say."""

from collections.abc import Sequence

import torch
from torch import Tensor

from boltzgen.base import Bijection
from boltzgen.flows.lattice.conditioners import ParityNetwork
from boltzgen.flows.lattice.transforms import ParityTransform


class CheckerboardCoupling(Bijection):
    """Maps one sublattice, with parameters that depend on the other one and on the controls.

    Even parameters are unchanged and odd ones reversed where the field changes its sign, so that
    the map commutes with x -> -x exactly. It commutes with the translations that keep the
    sublattices, which is half of them.

    Args:
        shape: Lengths of the lattice, one to three, all even.
        network: Makes the parameters of each site.
        transform: The map of a site.
        unchanged: Sublattice that stays, 0 or 1.

    Raises:
        ValueError: A length is odd, the lattice has not one to three dimensions, there is no
            such sublattice, or the network makes another number of parameters.

    References:
        Albergo, Kanwar and Shanahan, Phys. Rev. D 100, 034515 (2019), arXiv:1904.12072.
    """

    mask: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        network: ParityNetwork,
        transform: ParityTransform,
        *,
        unchanged: int,
    ) -> None:
        super().__init__(tuple(shape), len(network.embedding.middle))
        check_even("shape", shape)
        if unchanged not in (0, 1):
            raise ValueError(f"unchanged: expected 0 or 1, got {unchanged}")
        made, wanted = (network.n_even, network.n_odd), (transform.n_even, transform.n_odd)
        if made != wanted:
            raise ValueError(f"network: expected {wanted} even and odd parameters, got {made}")
        sites = torch.stack(torch.meshgrid(*[torch.arange(n) for n in shape], indexing="ij"))
        self.register_buffer("mask", sites.sum(0) % 2 == unchanged, persistent=False)
        self.network, self.transform = network, transform

    def _forward(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        even, odd = self.network(torch.where(self.mask, x, 0.0), c)
        return self._kept(x, *self.transform.forward(x, even, odd))

    def _inverse(self, z: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        even, odd = self.network(torch.where(self.mask, z, 0.0), c)
        return self._kept(z, *self.transform.inverse(z, even, odd))

    def _kept(self, old: Tensor, new: Tensor, log_slope: Tensor) -> tuple[Tensor, Tensor]:
        logdet = torch.where(self.mask, 0.0, log_slope).flatten(1).sum(1)
        return torch.where(self.mask, old, new), logdet


def check_even(name: str, shape: Sequence[int]) -> None:
    """Require one to three even lengths, as a checkerboard needs them."""
    if not 1 <= len(shape) <= 3 or any(n < 2 or n % 2 for n in shape):
        raise ValueError(f"{name}: expected one to three even lengths, got {tuple(shape)}")
