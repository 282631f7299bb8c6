"""Where objectives that need no grid draw their controls."""

import math
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
