"""How many steps apart are samples of a chain independent: glue over pymbar.timeseries."""

import numpy as np

from boltzgen.checks import check_float64
from boltzgen.errors import NonFiniteError
from boltzgen.estimators.solver import timeseries


def statistical_inefficiency(series: np.ndarray) -> float:
    """Return g = 1 + 2 tau, the number of correlated samples that are worth one independent sample.

    Args:
        series: An observable along one chain, shape (N,).

    Returns:
        A number of at least 1; N where the series is constant (it never moved).

    Raises:
        NonFiniteError: The series holds NaN or an infinity.

    References:
        Chodera et al., J. Chem. Theory Comput. 3 (2007) 26.
    """
    _check(series)
    if np.ptp(series) == 0.0:
        return float(series.size)
    return float(timeseries.statistical_inefficiency(series))


def independent_indices(series: np.ndarray) -> np.ndarray:
    """Indices of samples spaced by the statistical inefficiency, integers of shape (M,)."""
    spacing = statistical_inefficiency(series)
    n_kept = max(1, int(series.size / spacing))
    return np.unique((np.arange(n_kept) * spacing).astype(np.int64))


def block_labels(series: np.ndarray, *, n_times: float = 5.0) -> np.ndarray:
    """Cut one chain into blocks of `n_times` statistical inefficiencies, for block errors.

    Args:
        series: The slowest observable of one chain, shape (N,).
        n_times: Length of a block in statistical inefficiencies.

    Returns:
        Integer labels in order of time, shape (N,); offset them to join several chains.
    """
    length = max(1, int(np.ceil(n_times * statistical_inefficiency(series))))
    n_blocks = max(1, series.size // length)
    return np.minimum(np.arange(series.size) // length, n_blocks - 1)


def _check(series: np.ndarray) -> None:
    check_float64("series", series, 1)
    if series.size < 2:
        raise ValueError(f"series: expected at least 2 samples, got {series.size}")
    n_bad = int((~np.isfinite(series)).sum())
    if n_bad:
        raise NonFiniteError(f"series: expected finite numbers, got {n_bad} that are not")
