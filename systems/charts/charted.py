"""A molecule's target in the coordinates of its chart."""

from typing import Protocol

import torch
from torch import Tensor

from systems.charts.chart import InternalChart


class CartesianTarget(Protocol):
    """What a target of positions must offer (see boltzgen's Target)."""

    event_shape: tuple[int, ...]
    control_names: tuple[str, ...]

    def energy(self, x: Tensor, T: Tensor | float) -> Tensor:
        """Reduced energy, (B, n, 3) -> (B,)."""

    def energy_and_denergy_dc(self, x: Tensor, c: Tensor | float) -> tuple[Tensor, Tensor]:
        """Reduced energy (B,) and its derivative in the temperature (B, 1)."""


class ChartedTarget:
    """p(z | T) = p(x(z) | T) |det dx/dz|: the reduced energy gains - log|det dx/dz|.

    Outside the chart's domain, and where the target's energy is +inf or NaN, the energy is +inf
    and its derivatives in z and T are 0, so that such rows leave the gradients of others alone.
    The volume factor does not depend on the temperature: the derivative in T is that of the
    positions' energy. The target is evaluated for every row, at z = 0 for rows outside.

    Args:
        target: Target of positions, event shape (n, 3).
        chart: Chart of the same molecule.

    Raises:
        ValueError: The two differ in their number of atoms.
    """

    def __init__(self, target: CartesianTarget, chart: InternalChart) -> None:
        expected = (chart.coordinates.n_atoms, 3)
        if tuple(target.event_shape) != expected:
            raise ValueError(
                f"target: expected event shape {expected} of the chart, got {target.event_shape}"
            )
        self.target = target
        self.chart = chart
        self.event_shape = chart.event_shape
        self.control_names = target.control_names

    def energy(self, z: Tensor, T: Tensor | float) -> Tensor:
        """Reduced energy of z, (B, D) -> (B,); forces by autograd."""
        x, logdet, inside = self._placed(z)
        return _bounded(x, self.target.energy(x, T) - logdet, inside)[0]

    def denergy_dT(self, z: Tensor, T: Tensor | float) -> Tensor:
        """Derivative of the reduced energy in the temperature, (B,)."""
        return self.denergy_dc(z, T)[:, 0]

    def denergy_dc(self, z: Tensor, c: Tensor | float) -> Tensor:
        """Derivative of the reduced energy in each control, (B, 1)."""
        return self.energy_and_denergy_dc(z, c)[1]

    def energy_and_denergy_dc(self, z: Tensor, c: Tensor | float) -> tuple[Tensor, Tensor]:
        """Both of the above from one evaluation of the potential."""
        x, logdet, inside = self._placed(z)
        energy, slope = self.target.energy_and_denergy_dc(x, c)
        bounded, allowed = _bounded(x, energy - logdet, inside)
        return bounded, slope.where(allowed[:, None], 0.0)

    def _placed(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Positions, log-volume, and which rows are inside; rows outside are put at z = 0."""
        inside = self.chart.in_domain(z.detach())
        x, logdet = self.chart.to_cartesian(z.where(inside[:, None], 0.0))
        return x, logdet, inside


def _bounded(x: Tensor, energy: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Put +inf where not allowed and stop gradients there; also return where it is allowed."""
    allowed = inside & ~energy.isnan() & ~energy.isposinf()

    def stop(force: Tensor | None) -> Tensor | None:
        # The zero that `where` sends back turns to NaN where the force is not finite.
        return None if force is None else force.where(allowed[:, None, None], 0.0)

    if x.requires_grad:
        x.register_hook(stop)
    return energy.where(allowed, torch.inf), allowed
