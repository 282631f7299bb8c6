"""Where objectives that need no grid draw their controls."""

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Generator, Tensor

from boltzgen.checks import check_positive
from boltzgen.random import draw_index, draw_uniform


class ControlSampler(Protocol):
    """Draws controls for a step."""

    def __call__(self, n_draws: int, *, like: Tensor, generator: Generator) -> Tensor:
        """Controls of shape (n_draws, C) in the dtype and on the device of `like`."""


class LogUniform:
    """One control, uniform in log(c + offset) between two values.

    Args:
        low: Smallest value; low + offset is positive.
        high: Largest value.
        offset: As of the derivative in the control; 0 for temperatures.
    """

    def __init__(self, low: float, high: float, *, offset: float = 0.0) -> None:
        check_positive("low" if offset == 0 else "low + offset", low + offset)
        if not high >= low:
            raise ValueError(f"high: expected at least low = {low}, got {high}")
        self.low, self.high, self.offset = low, high, offset

    def __call__(self, n_draws: int, *, like: Tensor, generator: Generator) -> Tensor:
        """Controls of shape (n_draws, 1)."""
        u = draw_uniform((n_draws, 1), like=like, generator=generator)
        first, last = self.low + self.offset, self.high + self.offset
        return first * torch.exp(u * math.log(last / first)) - self.offset


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


class WithContexts:
    """A first control from one sampler, and the others from rows of a data set, drawn at random.

    For a flow that answers for every observation: the observations are those of simulated pairs.

    Args:
        first: Draws the first control.
        contexts: Rows of the other controls, shape (N, C - 1).

    Raises:
        ValueError: There are no rows, or some that are not finite.
    """

    def __init__(self, first: ControlSampler, contexts: Tensor) -> None:
        if contexts.dim() != 2 or not len(contexts) or not bool(contexts.isfinite().all()):
            raise ValueError(
                "contexts: expected rows of finite numbers, at least one, got shape "
                f"{tuple(contexts.shape)}"
            )
        self.first, self.contexts = first, contexts

    def __call__(self, n_draws: int, *, like: Tensor, generator: Generator) -> Tensor:
        """Controls of shape (n_draws, C)."""
        first = self.first(n_draws, like=like, generator=generator)
        rows = self.contexts[draw_index(len(self.contexts), n_draws, generator=generator)]
        return torch.cat([first, rows.to(first)], 1)
