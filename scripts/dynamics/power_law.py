"""Fit of a power law to values with errors."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

_LEAST_P = 0.05
_FEWEST_POINTS = 3


@dataclass(frozen=True)
class PowerLaw:
    """y = A x^z with standard errors.

    Args:
        amplitude: A.
        amplitude_error: Of A.
        exponent: z.
        exponent_error: Of z.
        chi_square: Of the fit.
        n_freedom: Number of points less 2.
        first: Smallest x of the fit.
    """

    amplitude: float
    amplitude_error: float
    exponent: float
    exponent_error: float
    chi_square: float
    n_freedom: int
    first: float

    @property
    def p_value(self) -> float | None:
        """Probability of a chi-square at least as large; None for two points."""
        if self.n_freedom == 0:
            return None
        return float(chi2.sf(self.chi_square, self.n_freedom))

    def __call__(self, x: np.ndarray | float) -> np.ndarray:
        """A x^z."""
        return np.asarray(self.amplitude * np.asarray(x, dtype=np.float64) ** self.exponent)


def fit_power_law(x: np.ndarray, y: np.ndarray, errors: np.ndarray) -> PowerLaw:
    """Least squares of log y = log A + z log x with weights (y / error)^2.

    Errors of A and z follow from those of y alone; they are not scaled by chi-square.

    Args:
        x: Two or more different numbers above 0, shape (N,).
        y: Numbers above 0, shape (N,).
        errors: Standard errors of y, above 0 and small against y, shape (N,).

    Raises:
        ValueError: The shapes differ, there are fewer than two different x, or a number is not
            finite and above 0.
    """
    x, y, errors = (np.asarray(values, dtype=np.float64) for values in (x, y, errors))
    if not (x.ndim == 1 and x.shape == y.shape == errors.shape):
        raise ValueError(
            f"y, errors: expected the shape of x, got {x.shape}, {y.shape} and {errors.shape}"
        )
    for name, values in (("x", x), ("y", y), ("errors", errors)):
        if not (np.isfinite(values) & (values > 0)).all():
            raise ValueError(f"{name}: expected finite numbers above 0, got {values}")
    if np.unique(x).size < 2:
        raise ValueError(f"x: expected at least two different numbers, got {x}")
    weights = y / errors
    design = np.stack([np.ones_like(x), np.log(x)], 1)
    covariance = np.linalg.inv((weights[:, None] * design).T @ (weights[:, None] * design))
    level, exponent = covariance @ design.T @ (weights**2 * np.log(y))
    residuals = weights * (np.log(y) - design @ np.array([level, exponent]))
    amplitude = math.exp(level)
    return PowerLaw(
        amplitude=amplitude,
        amplitude_error=amplitude * math.sqrt(covariance[0, 0]),
        exponent=float(exponent),
        exponent_error=math.sqrt(covariance[1, 1]),
        chi_square=float(residuals @ residuals),
        n_freedom=x.size - 2,
        first=float(x.min()),
    )


def fit_tail(x: np.ndarray, y: np.ndarray, errors: np.ndarray) -> PowerLaw:
    """Fit from the smallest x on from which one power law holds, corrections being largest there.

    Points are left out from below while the fit's p-value is less than 0.05 and three would
    remain; so the p-value may still be small, and then says that no power law holds.

    Args:
        x: As for `fit_power_law`, increasing.
        y: As there.
        errors: As there.
    """
    fit = fit_power_law(x, y, errors)
    for first in range(1, len(x) - _FEWEST_POINTS + 1):
        if fit.p_value is None or fit.p_value >= _LEAST_P:
            break
        fit = fit_power_law(x[first:], y[first:], errors[first:])
    return fit
