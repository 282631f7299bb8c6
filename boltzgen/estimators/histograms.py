"""Weighted histograms on circles with the covariance of their bins."""

from dataclasses import dataclass

import numpy as np

from boltzgen.checks import check_at_least, check_float64
from boltzgen.errors import NonFiniteError
from boltzgen.estimators.resampling import check_blocks, sum_blocks
from boltzgen.estimators.weights import check_log_weights

_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Populations:
    """Populations of disjoint bins, and how well they are known.

    The covariance is the first-order one (influence functions): what the bootstrap over samples,
    or over blocks, tends to with infinitely many resamples; no random numbers are needed.

    Args:
        values: Shares of the whole weight, shape (M,); they sum to one where the bins cover all.
        errors: Standard errors, 0 in an empty bin, shape (M,).
        covariance: Of `values`, shape (M, M).
        n_effective: Effective number of independent units (samples, or blocks), by Kish.
        n_independent: Effective number of independent samples, from the spread of the bins:
            sum p (1 - p) / sum var p; lower than the number of samples if they are correlated.
    """

    values: np.ndarray
    errors: np.ndarray
    covariance: np.ndarray
    n_effective: float
    n_independent: float


def count_populations(
    bins: np.ndarray, log_w: np.ndarray | None, n_bins: int, *, blocks: np.ndarray | None = None
) -> Populations:
    """Weighted populations of bins with their covariance.

    With p_b = sum_n w_n [n in b] / W, sample n moves p_b by w_n ([n in b] - p_b) / W; the
    covariance is the sum over independent units of the products of these moves.

    Args:
        bins: Bin of each sample, 0 ... n_bins - 1, or -1 for none, integers (N,).
        log_w: Log-weights, shape (N,); None for equal weights.
        n_bins: Number of bins.
        blocks: Labels of correlated groups, shape (N,).

    Returns:
        Populations, errors and covariance.

    Raises:
        ValueError: A shape or dtype is wrong.
        NonFiniteError: A log-weight is NaN or +inf, or every weight is zero.
    """
    log_w = np.zeros(bins.size) if log_w is None else log_w
    check_log_weights("log_w", log_w)
    if bins.shape != log_w.shape:
        raise ValueError(f"bins: expected shape {log_w.shape}, got {bins.shape}")
    w = np.exp(log_w - log_w.max())
    w /= w.sum()
    labels = check_blocks(blocks, bins.size)
    values = np.bincount(bins + 1, weights=w, minlength=n_bins + 1)[1:]
    covariance, n_units, n_effective = _covariance(bins, w, values, labels)
    covariance *= n_units / (n_units - 1)
    variances = np.maximum(np.diag(covariance), 0.0)
    spread = float((values * (1 - values)).sum())
    return Populations(
        values=values,
        errors=np.sqrt(variances),
        covariance=covariance,
        n_effective=n_effective,
        n_independent=spread / float(variances.sum()) if spread > _ROUNDING else n_effective,
    )


def _covariance(
    bins: np.ndarray, w: np.ndarray, values: np.ndarray, labels: np.ndarray | None
) -> tuple[np.ndarray, int, float]:
    n_bins = values.size
    if labels is None:
        inside = np.bincount(bins + 1, weights=w**2, minlength=n_bins + 1)[1:]
        cross = np.outer(inside, values)
        total = float(np.square(w).sum())
        covariance = np.diag(inside) - cross - cross.T + total * np.outer(values, values)
        return covariance, w.size, 1.0 / total
    n_blocks = int(labels.max()) + 1
    cell = labels * (n_bins + 1) + bins + 1
    moves = np.bincount(cell, weights=w, minlength=n_blocks * (n_bins + 1))
    moves = moves.reshape(n_blocks, n_bins + 1)
    shares = sum_blocks(w[:, None], labels)[:, 0]
    moves = moves[:, 1:] - shares[:, None] * values
    return moves.T @ moves, n_blocks, float(1.0 / np.square(shares).sum())


def bin_angles(name: str, angle: np.ndarray, n_bins: int) -> np.ndarray:
    """Bin of each angle on the circle cut at -pi into `n_bins` equal parts.

    Args:
        name: The argument's name, for messages.
        angle: Angles in radians, any representative, shape (N,).
        n_bins: Number of bins.

    Returns:
        Integers 0 ... n_bins - 1, shape (N,).

    Raises:
        ValueError: The shape or dtype is wrong.
        NonFiniteError: An angle is not finite.
    """
    check_float64(name, angle, 1)
    check_at_least("n_bins", n_bins, 1)
    n_bad = int((~np.isfinite(angle)).sum())
    if n_bad:
        raise NonFiniteError(f"{name}: expected finite angles, got {n_bad} that are not")
    turns = angle / (2 * np.pi) + 0.5
    bins = np.floor((turns - np.floor(turns)) * n_bins).astype(np.int64)
    return np.minimum(bins, n_bins - 1)


def angle_edges(n_bins: int) -> np.ndarray:
    """Edges of the bins of `bin_angles`, in radians, shape (n_bins + 1,)."""
    return np.linspace(-np.pi, np.pi, n_bins + 1)
