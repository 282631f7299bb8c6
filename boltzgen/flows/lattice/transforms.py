"""Elementwise monotone maps whose parameters are even or odd under a change of sign.

With even parameters unchanged and odd ones reversed, f(-x) = -f(x): a coupling layer of them
commutes with x -> -x. All are smooth, and the identity where the parameters are zero.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn import functional

_MAX_LOG_SCALE = 1.5
_MAX_LOG_TAIL = 1.0
_MAX_LOG_STEP = 3.0
_MAX_LOG_RATE = 1.0
_N_TURNS = 24
_LAST_STEPS = 2


class ParityTransform(ABC):
    """A monotone map of each site by its own parameters.

    `forward` and `inverse` take values (B, *S), even parameters (B, n_even, *S) and odd ones
    (B, n_odd, *S), and return the new values and the log-slope at each site, both (B, *S).
    """

    n_even: int
    n_odd: int

    @abstractmethod
    def forward(self, x: Tensor, even: Tensor, odd: Tensor) -> tuple[Tensor, Tensor]:
        """Map x; return z and log dz/dx."""

    @abstractmethod
    def inverse(self, z: Tensor, even: Tensor, odd: Tensor) -> tuple[Tensor, Tensor]:
        """Undo `forward`; return x and log dx/dz."""


class SinhArcsinh(ParityTransform):
    """z = sinh(exp(b) asinh(exp(a) x + t) + e): scale, shift, weight of the tails, skewness.

    References:
        Jones and Pewsey, Biometrika 96, 761 (2009).
    """

    n_even, n_odd = 2, 2

    def forward(self, x: Tensor, even: Tensor, odd: Tensor) -> tuple[Tensor, Tensor]:
        """Map x; see the class."""
        a, b = _bounded(even[:, 0], _MAX_LOG_SCALE), _bounded(even[:, 1], _MAX_LOG_TAIL)
        y = a.exp() * x + odd[:, 0]
        v = b.exp() * y.asinh() + odd[:, 1]
        return v.sinh(), a + b + log_cosh(v) - 0.5 * y.square().log1p()

    def inverse(self, z: Tensor, even: Tensor, odd: Tensor) -> tuple[Tensor, Tensor]:
        """Undo `forward`."""
        a, b = _bounded(even[:, 0], _MAX_LOG_SCALE), _bounded(even[:, 1], _MAX_LOG_TAIL)
        u = (z.asinh() - odd[:, 1]) * (-b).exp()
        slope = a + b + 0.5 * z.square().log1p() - log_cosh(u)
        return (u.sinh() - odd[:, 0]) * (-a).exp(), -slope


class TanhStep(ParityTransform):
    """x = t + exp(a) [z + (exp(b) - 1) / k tanh(k (z + e))], k = exp(r): a step in a line.

    With b > 0 a normal z becomes an x with two peaks, the weights of which e sets, and with normal
    tails: the distribution of a site between two values. With b < 0 it is peaked instead. The
    inverse is found by Newton's method within a bracket, and differentiated through its last steps.
    """

    n_even, n_odd = 3, 2

    def inverse(self, z: Tensor, even: Tensor, odd: Tensor) -> tuple[Tensor, Tensor]:
        """Map z to x; see the class."""
        a, b, k = _step_parameters(even)
        y, slope = _step(z, b, k, odd[:, 1])
        return odd[:, 0] + a.exp() * y, a + slope.log()

    def forward(self, x: Tensor, even: Tensor, odd: Tensor) -> tuple[Tensor, Tensor]:
        """Undo `inverse`."""
        a, b, k = _step_parameters(even)
        y = (x - odd[:, 0]) * (-a).exp()
        with torch.no_grad():
            z = _solve(y, b, k, odd[:, 1])
        for _ in range(_LAST_STEPS):
            value, slope = _step(z, b, k, odd[:, 1])
            z = z - (value - y) / slope
        _, slope = _step(z, b, k, odd[:, 1])
        return z, -a - slope.log()


def _bounded(raw: Tensor, most: float) -> Tensor:
    return most * (raw / most).tanh()


def _step_parameters(even: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    a, b = _bounded(even[:, 0], _MAX_LOG_SCALE), _bounded(even[:, 1], _MAX_LOG_STEP)
    return a, b, _bounded(even[:, 2], _MAX_LOG_RATE).exp()


def _step(z: Tensor, b: Tensor, k: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
    """Y = z + (exp(b) - 1) / k tanh(k (z + e)) and dy/dz."""
    turned = (k * (z + e)).tanh()
    height = b.expm1()
    return z + height / k * turned, 1 + height * (1 - turned.square())


def _solve(y: Tensor, b: Tensor, k: Tensor, e: Tensor) -> Tensor:
    """Z with y(z) = y: halving of a bracket and Newton's method by turns, the latter at the end."""
    reach = (b.expm1() / k).abs()
    low, high = y - reach, y + reach
    z = y - (b.expm1() / k) * (k * (y + e)).tanh()
    z = torch.minimum(torch.maximum(z, low), high)
    for turn in range(_N_TURNS):
        value, slope = _step(z, b, k, e)
        above = value > y
        high, low = torch.where(above, z, high), torch.where(above, low, z)
        middle = 0.5 * (low + high)
        if turn % 2 and turn < _N_TURNS - _LAST_STEPS:
            z = middle
        else:
            new = z - (value - y) / slope
            z = torch.where((new < low) | (new > high), middle, new)
    return z


def log_cosh(v: Tensor) -> Tensor:
    """Log cosh v without overflow."""
    size = v.abs()
    return size + functional.softplus(-2 * size) - math.log(2)
