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
        p_value: Of chi-square, with as many degrees of freedom as z that are no NaN.
    """

    z: np.ndarray
    chi_square: float
    p_value: float

    @property
    def largest(self) -> float:
        """Largest |z|."""
        return float(np.nanmax(np.abs(self.z)))


def agreement_of(z: np.ndarray) -> Agreement:
    """What differences in standard errors, (K,), say together; those that are NaN say nothing."""
    known = z[~np.isnan(z)]  # an infinite one stays: it disagrees for certain
    chi_square = float(known @ known)
    p_value = float(stats.chi2.sf(chi_square, known.size)) if known.size else np.nan
    return Agreement(z=z, chi_square=chi_square, p_value=p_value)


def compare_numbers(one: Numbers, other: Numbers) -> Agreement:
    """One minus the other, as if both were independent; NaN where neither has an error."""
    error = np.hypot(one.errors, other.errors)
    safe = np.where(error > 0, error, np.nan)
    return agreement_of((one.values - other.values) / safe)


def farthest(z: np.ndarray) -> int | None:
    """Where |z| is largest, among what is known."""
    return None if np.isnan(z).all() else int(np.nanargmax(np.abs(z)))
