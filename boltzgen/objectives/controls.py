"""Where objectives that need no grid draw their controls."""

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Generator, Tensor

from boltzgen.checks import check_positive
from boltzgen.random import draw_uniform


class ControlSampler(Protocol):
    """Draws controls for a step."""

    def __call__(self, n_draws: int, *, like: Tensor, generator: Generator) -> Tensor:
        """Controls of shape (n_draws, C) in the dtype and on the device of `like`."""


class LogUniform:
    """One control, uniform in log c between two values.

    Args:
        low: Smallest value, positive.
        high: Largest value.
    """

    def __init__(self, low: float, high: float) -> None:
        check_positive("low", low)
        if not high >= low:
            raise ValueError(f"high: expected at least low = {low}, got {high}")
        self.low, self.high = low, high

    def __call__(self, n_draws: int, *, like: Tensor, generator: Generator) -> Tensor:
        """Controls of shape (n_draws, 1)."""
        u = draw_uniform((n_draws, 1), like=like, generator=generator)
        return self.low * torch.exp(u * math.log(self.high / self.low))


class UniformBox:
    """Controls uniform in a box, each independently of the others; they may have any sign.

    Args:
        low: Smallest value of each control, (C,).
        high: Largest value of each control, (C,).

    Raises:
        ValueError: The lists differ in length, or a value is not finite or above its largest.
    """

    def __init__(self, low: Sequence[float], high: Sequence[float]) -> None:
        pairs = list(zip(low, high, strict=False))
        good = all(math.isfinite(a) and math.isfinite(b) and a <= b for a, b in pairs)
        if len(low) != len(high) or not pairs or not good:
            raise ValueError(f"low, high: expected low <= high for each, got {low} and {high}")
        self.low, self.high = list(low), list(high)

    def __call__(self, n_draws: int, *, like: Tensor, generator: Generator) -> Tensor:
        """Controls of shape (n_draws, C)."""
        u = draw_uniform((n_draws, len(self.low)), like=like, generator=generator)
        low, high = u.new_tensor(self.low), u.new_tensor(self.high)
        return low + u * (high - low)
