"""Elementwise monotone maps that a coupling layer applies with parameters from its conditioner."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from boltzgen.checks import check_at_least, check_positive
from boltzgen.flows.splines import (
    MIN_BIN,
    Knots,
    spline_forward,
    spline_inverse,
    spline_knots,
)


class Transform(ABC):
    """A map of each component by its own parameters; zero parameters give the identity.

    `forward` and `inverse` take values (B, D) and parameters (B, D, P) and return the new values
    and the sum over D of the log-slopes, (B,).
    """

    n_parameters: int

    @abstractmethod
    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Map x; return y (B, D) and log|det dy/dx| (B,)."""

    @abstractmethod
    def inverse(self, y: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Undo `forward`; return x (B, D) and log|det dx/dy| (B,)."""


class AffineTransform(Transform):
    """y = exp(a) x + b with |a| below `max_log_scale` (Dinh et al. 2017, arXiv:1605.08803)."""

    n_parameters = 2

    def __init__(self, max_log_scale: float = 2.0) -> None:
        check_positive("max_log_scale", max_log_scale)
        self.max_log_scale = max_log_scale

    def _log_scale(self, parameters: Tensor) -> Tensor:
        return self.max_log_scale * (parameters[..., 0] / self.max_log_scale).tanh()

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Map x; see the class."""
        log_scale = self._log_scale(parameters)
        return log_scale.exp() * x + parameters[..., 1], log_scale.sum(-1)

    def inverse(self, y: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Undo `forward`."""
        log_scale = self._log_scale(parameters)
        return (y - parameters[..., 1]) * (-log_scale).exp(), -log_scale.sum(-1)


class VolumePreservingTransform(AffineTransform):
    """An affine map whose log-scales sum to zero over the components of a part.

    It cannot change the volume of any region; with a base that scales with the temperature it is
    the temperature-steerable flow (Sorrenson et al. 2020, arXiv:2001.04872; Dibak et al. 2022,
    arXiv:2108.01590).
    """

    def _log_scale(self, parameters: Tensor) -> Tensor:
        log_scale = super()._log_scale(parameters)
        return log_scale - log_scale.mean(-1, keepdim=True)

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Map x; the log-determinant is exactly zero."""
        y, logdet = super().forward(x, parameters)
        return y, torch.zeros_like(logdet)

    def inverse(self, y: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Undo `forward`; the log-determinant is exactly zero."""
        x, logdet = super().inverse(y, parameters)
        return x, torch.zeros_like(logdet)


class SplineTransform(Transform):
    """A rational-quadratic spline on [-half_width, half_width], the identity outside.

    Args:
        n_bins: Number of bins.
        half_width: Half the interval that is bent.
    """

    def __init__(self, n_bins: int = 8, half_width: float = 5.0) -> None:
        _check_bins(n_bins)
        check_positive("half_width", half_width)
        self.n_bins, self.half_width = n_bins, half_width
        self.n_parameters = 3 * n_bins - 1

    def _knots(self, parameters: Tensor) -> Knots:
        return spline_knots(parameters, self.half_width, circular=False)

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Map x; see the class."""
        inside = x.abs() < self.half_width
        safe = torch.where(inside, x, 0.0)
        y, log_slope = spline_forward(safe, self._knots(parameters))
        return torch.where(inside, y, x), torch.where(inside, log_slope, 0.0).sum(-1)

    def inverse(self, y: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Undo `forward`."""
        inside = y.abs() < self.half_width
        safe = torch.where(inside, y, 0.0)
        x, log_slope = spline_inverse(safe, self._knots(parameters))
        return torch.where(inside, x, y), torch.where(inside, log_slope, 0.0).sum(-1)


class CircularSplineTransform(Transform):
    """A rotation and a rational-quadratic spline on the circle [-pi, pi).

    The spline fixes the point pi and has one slope there from both sides, so the density of the
    image is continuous around the circle; the rotation (the last parameter) moves that point.

    Args:
        n_bins: Number of bins.
    """

    def __init__(self, n_bins: int = 8) -> None:
        _check_bins(n_bins)
        self.n_bins = n_bins
        self.n_parameters = 3 * n_bins + 1

    def _knots(self, parameters: Tensor) -> Knots:
        return spline_knots(parameters[..., :-1], math.pi, circular=True)

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Map x; see the class."""
        turned = wrap(x + parameters[..., -1])
        y, log_slope = spline_forward(turned, self._knots(parameters))
        return wrap(y), log_slope.sum(-1)

    def inverse(self, y: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Undo `forward`."""
        x, log_slope = spline_inverse(wrap(y), self._knots(parameters))
        return wrap(x - parameters[..., -1]), log_slope.sum(-1)


def wrap(theta: Tensor) -> Tensor:
    """Bring angles into [-pi, pi) by whole turns, also where rounding would give pi.

    An angle so large that its rounding exceeds a turn has no place on the circle; it still comes
    out inside. The gradient is 1 everywhere, the seam included.
    """
    angle = theta.detach()
    turned = angle - 2 * math.pi * ((angle + math.pi) / (2 * math.pi)).floor()
    below = torch.where(turned >= math.pi, turned - 2 * math.pi, turned)
    return below.clamp(-math.pi, _BELOW_PI[theta.dtype]) + (theta - angle)


def _largest_below_pi(dtype: torch.dtype) -> float:
    pi = torch.tensor(math.pi, dtype=dtype)
    return float(torch.nextafter(pi, torch.zeros_like(pi)))


_BELOW_PI = {dtype: _largest_below_pi(dtype) for dtype in (torch.float32, torch.float64)}


def _check_bins(n_bins: int) -> None:
    """Require so many bins that each can have its least size."""
    check_at_least("n_bins", n_bins, 2)
    if n_bins * MIN_BIN >= 1:
        raise ValueError(f"n_bins: expected fewer than {1 / MIN_BIN:g}, got {n_bins}")
