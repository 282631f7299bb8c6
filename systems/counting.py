"""A target that books what it is asked for."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from systems.ledger import EnergyLedger


class Family(Protocol):
    """A target: energies p(x | c) ~ exp(-energy) and their derivatives in the controls."""

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one configuration."""

    @property
    def control_names(self) -> tuple[str, ...]:
        """Names of the controls."""

    def energy(self, x: Tensor, c: Tensor) -> Tensor:
        """Reduced energy, (B,)."""

    def energy_and_denergy_dc(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Reduced energy (B,) and its derivatives (B, C)."""


@runtime_checkable
class _WithFirstSlope(Protocol):
    def energy_and_first_slope(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]: ...


class CountedTarget:
    """Another target, each of whose energies is booked in a ledger, once for a configuration.

    Args:
        target: The target.
        ledger: Takes the counts.
    """

    def __init__(self, target: Family, ledger: EnergyLedger) -> None:
        self.target, self.ledger = target, ledger
        self.event_shape, self.control_names = target.event_shape, target.control_names

    def energy(self, x: Tensor, c: Tensor) -> Tensor:
        """Energy of the target: (B, *E), (B, C) -> (B,)."""
        self.ledger.add(len(x))
        return self.target.energy(x, c)

    def denergy_dc(self, x: Tensor, c: Tensor) -> Tensor:
        """Derivatives in the controls, (B, C)."""
        return self.energy_and_denergy_dc(x, c)[1]

    def energy_and_denergy_dc(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Both, (B,) and (B, C), for one entry in the ledger."""
        self.ledger.add(len(x))
        return self.target.energy_and_denergy_dc(x, c)

    def energy_and_first_slope(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Energy and its derivative in the first control, (B,) and (B,), for one entry."""
        self.ledger.add(len(x))
        if isinstance(self.target, _WithFirstSlope):
            return self.target.energy_and_first_slope(x, c)
        energy, slopes = self.target.energy_and_denergy_dc(x, c)
        return energy, slopes[:, 0]
