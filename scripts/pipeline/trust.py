"""Where the weights of a flow say that its estimates are not to be trusted."""

from collections.abc import Sequence
from typing import Protocol

from boltzgen.estimators import Estimate, reliable

_MISSES = 0.2
"""Forward over reverse ESS below which the flow misses a part of the target."""


class Weighted(Protocol):
    """What is known of the weights at one point."""

    @property
    def khat(self) -> float:
        """Their tail."""

    @property
    def ess_reverse(self) -> Estimate:
        """On samples of the flow."""

    @property
    def ess_forward(self) -> Estimate | None:
        """On those of the target; None without them."""


def untrusted(points: Sequence[Weighted]) -> list[int]:
    """Points whose k-hat is above 0.7, or whose forward ESS is far below the reverse."""
    return [number for number, each in enumerate(points) if not reliable(each.khat) or misses(each)]


def misses(point: Weighted) -> bool:
    """Whether the forward ESS is below a fifth of the reverse: a part of the target is missing."""
    forward = point.ess_forward
    return forward is not None and forward.value < _MISSES * point.ess_reverse.value
