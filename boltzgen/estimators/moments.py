"""Mean and standard deviation of each component of weighted samples, with errors."""

from dataclasses import dataclass

import numpy as np

from boltzgen.checks import check_float64
from boltzgen.estimators.resampling import check_blocks, sum_blocks
from boltzgen.estimators.tails import pareto_khat
from boltzgen.estimators.weights import normalise

_TAILS = (3.0, 1.0, 0.5)


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of P components, each of shape (P,), with standard errors.

    The covariances are those of the estimates, (P, P); components that go together have errors that
    go together. The k-hats are those of w |a - m| and w (a - m)^2, the least over tails of three
    sizes (`pareto_khat`), as a small mode far away looks heavy at one of them alone: 0.7 and more
    says that the tail of the component and of the weights together is too heavy for the error, and
    1 that the moment itself may not exist, as the mean of a Cauchy distribution.
    """

    mean: np.ndarray
    spread: np.ndarray
    mean_covariance: np.ndarray
    spread_covariance: np.ndarray
    mean_khat: np.ndarray
    spread_khat: np.ndarray

    @property
    def mean_error(self) -> np.ndarray:
        """Standard errors of the means, (P,)."""
        return np.sqrt(self.mean_covariance.diagonal())

    @property
    def spread_error(self) -> np.ndarray:
        """Standard errors of the standard deviations, (P,)."""
        return np.sqrt(self.spread_covariance.diagonal())


def weighted_moments(
    values: np.ndarray, log_w: np.ndarray | None = None, *, blocks: np.ndarray | None = None
) -> Moments:
    """M = sum w a / sum w and s^2 = sum w (a - m)^2 / sum w, with errors to first order.

    The error of a ratio of sums is the root of the sum over independent groups of the square of
    what each adds to it: sum w (a - m) for the mean, sum w ((a - m)^2 - s^2) / 2 s for the
    deviation.

    Args:
        values: a, float64 (N, P).
        log_w: Log-weights up to a constant, (N,); by default all equal.
        blocks: Labels of correlated groups, (N,).

    Raises:
        ValueError: A dtype or shape is wrong, or a value with weight is not finite.
        NonFiniteError: There is a NaN or a +inf among the weights, or every weight is zero.

    Example:
        >>> found = weighted_moments(np.array([[1.0], [3.0], [5.0], [7.0]]))
        >>> float(found.mean[0]), round(float(found.mean_error[0]), 3)
        (4.0, 1.291)
    """
    check_float64("values", values, 2)
    w = normalise(np.zeros(len(values)) if log_w is None else log_w)
    if len(w) != len(values):
        raise ValueError(f"values: expected {len(w)} rows, as many as weights, got {len(values)}")
    held = np.where(w[:, None] > 0, values, 0.0)
    if not np.isfinite(held).all():
        raise ValueError("values: expected finite numbers wherever there is weight")
    labels = check_blocks(blocks, len(w))
    mean = w @ held
    centred = held - mean
    variance = w @ centred**2
    spread = np.sqrt(variance)
    with np.errstate(invalid="ignore", divide="ignore"):
        half = np.where(spread > 0, 0.5 / spread, 0.0)
    return Moments(
        mean=mean,
        spread=spread,
        mean_covariance=_covariance(w[:, None] * centred, labels),
        spread_covariance=_covariance(w[:, None] * (centred**2 - variance) * half, labels),
        mean_khat=_khats(w, centred, 1),
        spread_khat=_khats(w, centred, 2),
    )


def _khats(w: np.ndarray, centred: np.ndarray, power: int) -> np.ndarray:
    """k-hat of w |a - m|^power of each component, (P,); -inf for a constant."""
    with np.errstate(divide="ignore"):
        terms = np.log(w)[:, None] + power * np.log(np.abs(centred))
    found = [
        -np.inf
        if np.isneginf(column).all()
        else min(pareto_khat(column, size=size) for size in _TAILS)
        for column in terms.T
    ]
    return np.array(found)


def _covariance(shares: np.ndarray, blocks: np.ndarray | None) -> np.ndarray:
    """Covariance of sums over independent groups of shares that add up to zero, (N, P)."""
    sums = sum_blocks(shares, blocks)
    found: np.ndarray = sums.T @ sums * (len(sums) / (len(sums) - 1))
    return found
