"""Angles for networks that know the line alone: cut open and stretched over all numbers."""

import math

import torch
from torch import Tensor, nn

_TURN = 2 * math.pi


class AngleCut(nn.Module):
    """Where each angle is cut: theta = cut + 2 pi u with 0 < u < 1, and y = log(u / (1 - u)).

    A map of y that is smooth everywhere gives a density of theta that goes to 0 on both sides of
    the cut, so that a cut belongs where the angle hardly ever is. Nothing is lost beside it: u
    stops at the resolution of its dtype.

    Args:
        periodic: Which components are angles, bool (D,).
        cut: Angle of the cut in radians, (D,); of no meaning for numbers.

    Raises:
        ValueError: The two differ in shape, or are no vectors.
    """

    periodic: Tensor
    cut: Tensor

    def __init__(self, periodic: Tensor, cut: Tensor) -> None:
        super().__init__()
        if periodic.dim() != 1 or cut.shape != periodic.shape:
            raise ValueError(
                f"cut: expected shape {tuple(periodic.shape)} as the vector `periodic`, got "
                f"{tuple(cut.shape)}"
            )
        self.register_buffer("periodic", periodic.clone(), persistent=False)
        self.register_buffer("cut", torch.where(periodic, cut, torch.zeros_like(cut)))

    def forward(self, x: Tensor) -> Tensor:
        """Angles of x (B, D) moved by whole turns to lie in [cut, cut + 2 pi)."""
        cut = self.cut.to(x.dtype)
        return torch.where(self.periodic, cut + torch.remainder(x - cut, _TURN), x)

    def unroll(self, x: Tensor) -> Tensor:
        """Angles to the line: (B, D) -> (B, D)."""
        least = torch.finfo(x.dtype).eps
        share = torch.remainder(x - self.cut.to(x.dtype), _TURN) / _TURN
        share = torch.where(self.periodic, share, 0.5).clamp(least, 1 - least)
        return torch.where(self.periodic, share.logit(), x)

    def roll(self, y: Tensor) -> Tensor:
        """The inverse of `unroll`, with angles in [cut, cut + 2 pi]."""
        angle = self.cut.to(y.dtype) + _TURN * y.sigmoid()
        return torch.where(self.periodic, angle, y)


class Unrolled(nn.Module):
    """A network of numbers as encoder of numbers and angles.

    Args:
        network: Takes (x, c), such as `ResidualField`.
        cut: Which components are angles, and where they are cut.
    """

    def __init__(self, network: nn.Module, cut: AngleCut) -> None:
        super().__init__()
        self.network, self.cut = network, cut

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """(B, D), (B, C) -> (B, D)."""
        z: Tensor = self.network(self.cut.unroll(x), c)
        return z


class Rolled(nn.Module):
    """A network of numbers as decoder to numbers and angles.

    Args:
        network: Takes (z, c), such as `ResidualField`.
        cut: Which components are angles, and where they are cut.
    """

    def __init__(self, network: nn.Module, cut: AngleCut) -> None:
        super().__init__()
        self.network, self.cut = network, cut

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        """(B, D), (B, C) -> (B, D)."""
        return self.cut.roll(self.network(z, c))
