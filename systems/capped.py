"""Energies that a training can live with: above a cap they grow only like a logarithm."""

import math

import torch
from torch import Tensor

from systems.checks import check_positive
from systems.thermal import ThermalTarget

_HIGHEST = 1e30


class CappedTarget(ThermalTarget):
    """U below a cap, cap + s log(1 + (U - cap) / s) above it: finite and with finite forces.

    For training only. Weights need the target itself; `touches` says which configurations would
    make a difference. Where U is not finite, the value is that of the largest numbers, without a
    force.

    Args:
        target: The target.
        cap: Where the logarithm begins, in the units of U.
        scale: s, in the same units: how far above the cap energies are halved, roughly.

    Raises:
        ValueError: The cap is not finite or the scale not positive.

    References:
        Noe et al., Science 365, eaaw1147 (2019), supplement: energies clipped by a logarithm.
    """

    def __init__(self, target: ThermalTarget, cap: float, *, scale: float) -> None:
        if not math.isfinite(cap):
            raise ValueError(f"cap: expected a finite number, got {cap}")
        check_positive("scale", scale)
        super().__init__(target.event_shape, target.boltzmann_constant)
        self.control_names = target.control_names
        self.target, self.cap, self.scale = target, cap, scale

    def potential(self, x: Tensor) -> Tensor:
        """Capped potential: (B, *E) -> (B,)."""
        potential = self.target.potential(x)
        above = self.touches(potential)
        usable = above & potential.isfinite()
        excess = (torch.where(usable, potential, self.cap) - self.cap) / self.scale
        # Infinity counts as the largest number that all precisions have.
        excess = torch.where(potential.isfinite(), excess, _HIGHEST).clamp_max(_HIGHEST)
        return torch.where(above, self.cap + self.scale * torch.log1p(excess), potential)

    def touches(self, potential: Tensor) -> Tensor:
        """Whether the cap changes these values of the target's own potential, (B,), bool."""
        return ~(potential <= self.cap)
