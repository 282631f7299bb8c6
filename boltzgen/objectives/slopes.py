"""Energy and its derivative in the first control alone, which is all that TRADE asks for."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from boltzgen.protocols import Target


@runtime_checkable
class OffersFirstSlope(Protocol):
    """A target that can leave out the derivatives in its further controls, where these cost."""

    def energy_and_first_slope(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Reduced energy and its derivative in the first control, each (B,)."""


def energy_and_first_slope(target: Target, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Reduced energy and its derivative in the first control, each (B,).

    Args:
        target: The target; if it offers no such pair, all derivatives are computed.
        x: Configurations, (B, *E).
        c: Controls, (B, C).
    """
    if isinstance(target, OffersFirstSlope):
        return target.energy_and_first_slope(x, c)
    energy, slopes = target.energy_and_denergy_dc(x, c)
    return energy, slopes[:, 0]
