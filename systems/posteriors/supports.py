"""Where parameters live, and the usual bijections from unconstrained numbers onto it.

References:
    Stan Development Team, Stan Reference Manual, "Constraint Transforms".
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn import functional


class Support(ABC):
    """A set of parameter values of some shape and a smooth bijection from numbers onto it."""

    def free_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the unconstrained numbers of a parameter of this shape.

        Raises:
            ValueError: There are no such parameters.
        """
        return shape

    @abstractmethod
    def holds(self, value: Tensor) -> Tensor:
        """Whether each number of (B, *shape) is inside; one rounded onto the edge is not."""

    @abstractmethod
    def constrain(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Unconstrained (B, *free) to values (B, *shape) and log|det d value / d u|, (B,)."""

    @abstractmethod
    def unconstrain(self, value: Tensor) -> Tensor:
        """Undo `constrain`: (B, *shape) -> (B, *free).

        Raises:
            ValueError: A value is outside, or on the edge.
        """


def _sum(terms: Tensor) -> Tensor:
    """Sum over all but the first axis, of which a number for each row has none."""
    return terms[..., None].flatten(1).sum(1)


def _require(inside: Tensor, expected: str, value: Tensor) -> None:
    if not bool(inside.all()):
        raise ValueError(f"value: expected {expected}, got {value[~inside][0].item():g}")


class Real(Support):
    """All numbers; nothing is changed."""

    def holds(self, value: Tensor) -> Tensor:
        """Whether they are finite."""
        return value.isfinite()

    def constrain(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """(B, *shape) to itself."""
        return u, u.new_zeros(len(u))

    def unconstrain(self, value: Tensor) -> Tensor:
        """(B, *shape) to itself."""
        _require(self.holds(value), "finite numbers", value)
        return value


class Positive(Support):
    """Numbers above `low`: value = low + exp(u).

    Args:
        low: The bound.
    """

    def __init__(self, low: float = 0.0) -> None:
        if not math.isfinite(low):
            raise ValueError(f"low: expected a finite number, got {low}")
        self.low = low

    def holds(self, value: Tensor) -> Tensor:
        """Whether they are finite and above the bound."""
        return value.isfinite() & (value > self.low)

    def constrain(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """(B, *shape) to the same shape."""
        fits = u < math.log(torch.finfo(u.dtype).max)
        # An infinite value has no slope, so that 0 times it is not NaN.
        value = self.low + torch.where(fits, torch.where(fits, u, 0.0).exp(), torch.inf)
        return value, _sum(u)

    def unconstrain(self, value: Tensor) -> Tensor:
        """The logarithm of value - low."""
        _require(self.holds(value), f"numbers above {self.low:g}", value)
        return (value - self.low).log()


class Interval(Support):
    """Numbers between two bounds: value = low + (high - low) / (1 + exp(-u)).

    Args:
        low: The lower bound.
        high: The upper bound.
    """

    def __init__(self, low: float, high: float) -> None:
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"low, high: expected finite low < high, got {low} and {high}")
        self.low, self.high = low, high

    def holds(self, value: Tensor) -> Tensor:
        """Whether they are between the bounds."""
        return (value > self.low) & (value < self.high)

    def constrain(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """(B, *shape) to the same shape."""
        width = self.high - self.low
        log_slope = math.log(width) + functional.logsigmoid(u) + functional.logsigmoid(-u)
        return self.low + width * u.sigmoid(), _sum(log_slope)

    def unconstrain(self, value: Tensor) -> Tensor:
        """The logit of the relative position."""
        _require(self.holds(value), f"numbers between {self.low:g} and {self.high:g}", value)
        return (value - self.low).log() - (self.high - value).log()


class Simplex(Support):
    """Positive numbers along the last axis that sum to one, by breaking a stick.

    z_k = 1 / (1 + exp(-u_k + log(K - k))) of what is left goes to part k = 1 ... K - 1, the rest
    to part K; u = 0 is the centre.
    """

    def free_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """One number fewer along the last axis."""
        if not shape or shape[-1] < 2:
            raise ValueError(f"shape: expected a last axis of at least 2 parts, got {shape}")
        return (*shape[:-1], shape[-1] - 1)

    def holds(self, value: Tensor) -> Tensor:
        """Whether they are positive; that they sum to one is left to `unconstrain`."""
        return value > 0

    def constrain(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """(B, *, K - 1) to (B, *, K)."""
        shifted = u - self._shifts(u)
        log_taken, log_left = functional.logsigmoid(shifted), functional.logsigmoid(-shifted)
        left = log_left.cumsum(-1)
        before = torch.cat([torch.zeros_like(left[..., :1]), left[..., :-1]], -1)
        value = torch.cat([log_taken + before, left[..., -1:]], -1).exp()
        return value, _sum(log_taken + log_left + before)

    def unconstrain(self, value: Tensor) -> Tensor:
        """(B, *, K) to (B, *, K - 1)."""
        _require(self.holds(value), "numbers above 0", value)
        total = value.sum(-1)
        _require((total - 1).abs() < 1e-4, "parts that sum to 1", total)
        after = value.flip(-1).cumsum(-1).flip(-1)[..., 1:]
        u: Tensor = value[..., :-1].log() - after.log()
        return u + self._shifts(u)

    @staticmethod
    def _shifts(u: Tensor) -> Tensor:
        n = u.shape[-1]
        return torch.arange(n, 0, -1, dtype=u.dtype, device=u.device).log()
