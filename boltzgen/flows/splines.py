"""Monotone rational-quadratic splines, elementwise, with linear tails or on a circle.

Both directions are closed forms. The position in a bin, which could leave its range by rounding,
is clamped before it is used; the discriminant of the inverse is written as a sum of squares, which
cannot be negative; values outside the interval never enter the spline. So values, log-slopes and
gradients are finite for every finite input and every finite parameter.

References:
    Gregory and Delbourgo, IMA J. Numer. Anal. 2, 123 (1982).
    Durkan, Bekasov, Murray and Papamakarios, Neural Spline Flows (2019), arXiv:1906.04032.
    Rezende et al., Normalizing Flows on Tori and Spheres (2020), arXiv:2002.02428.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

MIN_BIN = 1e-3
MIN_SLOPE = 1e-3
_UNIT_SLOPE = math.log(math.expm1(1 - MIN_SLOPE))
_LOGIT_BOUND = 30.0


class Knots(NamedTuple):
    """Positions x and y (..., K + 1) and slopes (..., K + 1) of the knots of a spline."""

    x: Tensor
    y: Tensor
    slope: Tensor


def spline_knots(parameters: Tensor, half_width: float, *, circular: bool) -> Knots:
    """Turn free parameters into the knots of a spline on [-half_width, half_width].

    Zero parameters give the identity. A spline of K bins takes K widths, K heights and its inner
    slopes: K - 1 with linear tails, where the end slopes are 1; K on a circle, where both ends
    share one.

    Args:
        parameters: Shape (..., 3 K - 1) or, circular, (..., 3 K).
        half_width: Half the length of the interval.
        circular: Whether the ends meet.
    """
    n_bins = (parameters.shape[-1] + (0 if circular else 1)) // 3
    parameters = parameters.clamp(-_LOGIT_BOUND, _LOGIT_BOUND)
    widths, heights = parameters[..., :n_bins], parameters[..., n_bins : 2 * n_bins]
    inner = functional.softplus(parameters[..., 2 * n_bins :] + _UNIT_SLOPE) + MIN_SLOPE
    if circular:
        slope = torch.cat([inner, inner[..., :1]], -1)
    else:
        slope = functional.pad(inner, (1, 1), value=1.0)
    return Knots(_cumulate(widths, half_width), _cumulate(heights, half_width), slope)


def _cumulate(logits: Tensor, half_width: float) -> Tensor:
    """Knot positions from logits of bin sizes, (..., K) -> (..., K + 1); the ends are exact."""
    n_bins = logits.shape[-1]
    size = MIN_BIN + (1 - MIN_BIN * n_bins) * logits.softmax(-1)
    inner = size[..., :-1].cumsum(-1) * (2 * half_width) - half_width
    return functional.pad(
        functional.pad(inner, (1, 0), value=-half_width), (0, 1), value=half_width
    )


def _bin(values: Tensor, edges: Tensor, knots: Knots) -> tuple[Tensor, ...]:
    """Left x, width, left y, height, left and right slope of the bin that holds each value."""
    index = (values[..., None] >= edges[..., 1:-1]).sum(-1, keepdim=True)
    left = torch.stack([knots.x, knots.y, knots.slope], -2)
    index = index[..., None, :].expand(*left.shape[:-1], 1)
    low = left.gather(-1, index)[..., 0]
    high = left.gather(-1, index + 1)[..., 0]
    x, y, slope = low.unbind(-1)
    next_x, next_y, next_slope = high.unbind(-1)
    return x, next_x - x, y, next_y - y, slope, next_slope


def _log_slope(t: Tensor, s: Tensor, slope: Tensor, next_slope: Tensor) -> Tensor:
    """Log dy/dx at the relative position t in a bin of mean slope s."""
    mix = t * (1 - t)
    denominator = s + (next_slope + slope - 2 * s) * mix
    numerator = next_slope * t.square() + 2 * s * mix + slope * (1 - t).square()
    return 2 * s.log() + numerator.log() - 2 * denominator.log()


def spline_forward(x: Tensor, knots: Knots) -> tuple[Tensor, Tensor]:
    """Evaluate the spline at x inside its interval.

    Args:
        x: Shape (...), within the first and last knot.
        knots: Knots of shape (..., K + 1).

    Returns:
        y and log dy/dx, each (...).
    """
    left, width, low, height, slope, next_slope = _bin(x, knots.x, knots)
    s = height / width
    t = ((x - left) / width).clamp(0, 1)
    mix = t * (1 - t)
    denominator = s + (next_slope + slope - 2 * s) * mix
    y = low + height * (s * t.square() + slope * mix) / denominator
    return y, _log_slope(t, s, slope, next_slope)


def spline_inverse(y: Tensor, knots: Knots) -> tuple[Tensor, Tensor]:
    """Invert the spline at y inside its interval.

    With r the relative height in the bin, s its mean slope, d and d' the slopes at its ends and
    q = d (1 - r) - d' r, the quadratic in the relative position t has the discriminant
    q^2 + 4 s^2 r (1 - r), and neither of the two forms of its root used here cancels.

    Args:
        y: Shape (...), within the first and last knot.
        knots: Knots of shape (..., K + 1).

    Returns:
        x and log dx/dy, each (...).
    """
    left, width, low, height, slope, next_slope = _bin(y, knots.y, knots)
    s = height / width
    r = ((y - low) / height).clamp(0, 1)
    q = slope * (1 - r) - next_slope * r
    near, far = 2 * s * r, 2 * s * (1 - r)
    falling = q >= 0
    reach = (q.square() + near * far).sqrt() + torch.where(falling, q, -q)
    part = torch.where(falling, near, reach)
    t = part / (part + torch.where(falling, reach, far))
    return left + width * t, -_log_slope(t, s, slope, next_slope)
