"""Differences in standard errors, and what they say together."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from pipeline.numbers import Numbers


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """A quantity of two sources at several points.

    Args:
        z: Difference in standard errors at each point, (K,).
        chi_square: Sum of squares.
        p_value: Probability of a larger sum, correlations of the differences taken into account
            where they are known.
    """

    z: np.ndarray
    chi_square: float
    p_value: float

    @property
    def largest(self) -> float:
        """Largest |z|."""
        return float(np.nanmax(np.abs(self.z)))


def agreement_of(z: np.ndarray, correlation: np.ndarray | None = None) -> Agreement:
    """What differences in standard errors, (K,), say together; those that are NaN say nothing.

    Correlated differences that agree have a sum of squares of mean K and variance 2 tr R^2, R
    being their correlation; p is that of g chi^2(h) with the same two moments (Satterthwaite,
    Biometrics Bulletin 2, 110 (1946)), exact where they are independent.

    Args:
        z: Differences in standard errors.
        correlation: R, (K, K); independent differences if None.
    """
    known = ~np.isnan(z)
    chi_square = float(z[known] @ z[known])  # an infinite one stays: it disagrees for certain
    n = int(known.sum())
    if n == 0:
        return Agreement(z=z, chi_square=0.0, p_value=np.nan)
    squares = n if correlation is None else float(np.square(correlation[known][:, known]).sum())
    p_value = float(stats.chi2.sf(chi_square * n / squares, n * n / squares))
    return Agreement(z=z, chi_square=chi_square, p_value=p_value)


def compare_numbers(
    one: Numbers, other: Numbers, covariance: np.ndarray | None = None
) -> Agreement:
    """One minus the other, as if both were independent; NaN where neither has an error.

    Args:
        one: Numbers, (K,).
        other: As many.
        covariance: Of the differences, (K, K), where they are correlated with each other.
    """
    error = np.hypot(one.errors, other.errors)
    safe = np.where(error > 0, error, np.nan)
    correlation = None if covariance is None else covariance / np.outer(safe, safe)
    return agreement_of((one.values - other.values) / safe, correlation)


def farthest(z: np.ndarray) -> int | None:
    """Where |z| is largest, among what is known."""
    return None if np.isnan(z).all() else int(np.nanargmax(np.abs(z)))
