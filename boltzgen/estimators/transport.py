"""Wasserstein distance of distributions of one number."""

import numpy as np

from boltzgen.checks import check_float64
from boltzgen.errors import NonFiniteError
from boltzgen.estimators.weights import normalise


def wasserstein_2(x: np.ndarray, y: np.ndarray, *, log_w: np.ndarray | None = None) -> float:
    """Two-Wasserstein distance of the distributions that samples of a number stand for.

    On a line the best plan joins quantiles: W_2^2 is the integral over levels t in [0, 1] of
    (F^-1(t) - G^-1(t))^2, exact for the two weighted sets. For two samples of one distribution it
    is not 0 but falls with their size.

    Args:
        x: float64, (N,).
        y: float64, (M,).
        log_w: Log-weights of x, (N,); all alike if None.

    Returns:
        The distance, in units of x.

    Raises:
        ValueError: A shape or dtype is wrong.
        NonFiniteError: A number is not finite, or every weight is zero.
    """
    for name, values in (("x", x), ("y", y)):
        check_float64(name, values, 1)
        if not values.size:
            raise ValueError(f"{name}: expected shape (N,), N at least 1, got {values.shape}")
        if not np.isfinite(values).all():
            raise NonFiniteError(f"{name}: expected finite numbers")
    if log_w is not None and log_w.shape != x.shape:
        raise ValueError(f"log_w: expected shape {x.shape}, got {log_w.shape}")
    first = np.argsort(x)
    shares = np.full(x.size, 1 / x.size) if log_w is None else normalise(log_w)[first]
    ends_x, ends_y = np.cumsum(shares), np.arange(1, y.size + 1) / y.size
    levels = np.union1d(ends_x / ends_x[-1], ends_y)
    widths = np.diff(levels, prepend=0.0)
    middles = levels - 0.5 * widths
    at_x = x[first][np.minimum(np.searchsorted(ends_x / ends_x[-1], middles), x.size - 1)]
    at_y = np.sort(y)[np.minimum(np.searchsorted(ends_y, middles), y.size - 1)]
    return float(np.sqrt(np.sum(widths * (at_x - at_y) ** 2)))
