"""Log-densities of which priors and likelihoods are made, element by element and never NaN."""

import math

import torch
from torch import Tensor

_LOG_ROOT = 0.5 * math.log(2 * math.pi)
_ROOM = 2.0**20


def normal_log_density(x: Tensor, mean: Tensor | float, width: float) -> Tensor:
    """Log of N(x; mean, width^2), of the shape of x - mean."""
    return -0.5 * ((x - mean) / width).square() - math.log(width) - _LOG_ROOT


def lognormal_log_density(x: Tensor, mean: float, width: float) -> Tensor:
    """Log of N(log x; mean, width^2) / x; -inf where x is not positive or not finite."""
    inside, usable = positive_part(x)
    log = usable.log()
    found = normal_log_density(log, mean, width) - log
    return torch.where(inside, found, -torch.inf)


def half_cauchy_log_density(x: Tensor, width: float) -> Tensor:
    """Log of 2 / (pi width (1 + x^2 / width^2)); -inf where x is not positive or not finite."""
    inside, usable = positive_part(x)
    found = (
        math.log(2 / (math.pi * width)) - 2 * torch.hypot(usable / width, torch.ones_like(x)).log()
    )
    return torch.where(inside, found, -torch.inf)


def positive_part(x: Tensor) -> tuple[Tensor, Tensor]:
    """Where x is a positive number that can be worked with, and x there, 1 elsewhere.

    Of exp(u) a large |u| leaves 0, infinity, or a number with no room between its reciprocal and
    the largest number (below 1.2e-32 in single precision). What is computed from the second
    result is finite in value and slope, and can be replaced afterwards.
    """
    inside = x.isfinite() & (x >= _ROOM * torch.finfo(x.dtype).tiny)
    return inside, torch.where(inside, x, 1.0)
