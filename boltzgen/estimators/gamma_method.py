"""Errors of functions of means along Markov chains, by Wolff's Gamma method.

For primary observables a_alpha with means A_alpha and a derived quantity F(A), the series is
projected on the gradient, p_i = sum_alpha (dF / dA_alpha) (a_i,alpha - mean a_alpha). With Gamma(t)
the autocorrelation function of p over N records,

    error^2 = C / N,   C = Gamma(0) + 2 sum_{t = 1}^{W} Gamma(t),   tau_int = C / (2 Gamma(0)),

and the window W balances the noise of the sum against its truncation. C is not let below Gamma(0):
a series whose records are anticorrelated gets the error of independent ones, which is too large.

References:
    Wolff, Comput. Phys. Commun. 156 (2004) 143, Erratum 176 (2007) 383, hep-lat/0306017.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincc

from boltzgen.checks import check_float64, check_positive
from boltzgen.errors import NonFiniteError, NotConvergedError

LEAST_RECORDS = 8
_SHORTEST = 1e-9  # stands for the decay time of a series without positive autocorrelation

Function = Callable[[np.ndarray], float]
Gradient = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class GammaEstimate:
    """A value with its error from the autocorrelation of its series.

    Args:
        value: The mean, or the derived quantity with its bias of order 1 / N taken out where there
            are several chains.
        error: One standard error.
        error_of_error: Standard error of the error.
        tau_int: Integrated autocorrelation time in records, 1/2 for independent records and never
            below.
        tau_int_error: Its standard error.
        window: W, in records.
        consistency: Probability that the chains scatter about their mean at least as they do, if
            all sample one distribution with this error; NaN for a single chain. A tiny number says
            that chains are stuck or have not relaxed.
        n_records: Records of all chains, N.
    """

    value: float
    error: float
    error_of_error: float
    tau_int: float
    tau_int_error: float
    window: int
    consistency: float
    n_records: int

    def z(self, exact: float) -> float:
        """Distance from `exact` in standard errors."""
        return (self.value - exact) / self.error


def gamma_method(
    series: np.ndarray,
    function: Function | None = None,
    *,
    gradient: Gradient | None = None,
    S: float = 1.5,
) -> GammaEstimate:
    """Estimate a mean, or a function of several, with its error.

    Args:
        series: Records of chains of equal length, float64 (n_chains, n_records), or
            (n_chains, n_records, M) for a function of M means.
        function: F, takes the means (M,) and returns a number; needed if M is above 1.
        gradient: Takes the means (M,) and returns dF / dA (M,); central differences with the
            naive errors of the means as steps where it is not given.
        S: Assumed ratio of the exponential to the integrated autocorrelation time.

    Raises:
        ValueError: The series has another shape or dtype, or less than 8 records in a chain, or M
            is above 1 and there is no function.
        NonFiniteError: The series or the function is not finite, or the projected series never
            changes: a chain that never moved says nothing about its error.
        NotConvergedError: No window up to half a chain's length is long enough; the chains are
            too short for their autocorrelation.

    References:
        Wolff, hep-lat/0306017; equation 42 for the error of tau_int, 49 for the bias of the
        windowed sum.
    """
    check_positive("S", S)
    records = _check_series(series, function)
    n_chains, n_per_chain, _ = records.shape
    n = n_chains * n_per_chain
    means = records.mean((0, 1))
    if function is None:
        slopes, value, chain_values = np.ones(1), means[0], records[..., 0].mean(1)
    else:
        slopes = _slopes(records, means, function, gradient)
        value = _finite(function(means))
        chain_values = np.array([_finite(function(m)) for m in records.mean(1)])
    # Deviations from the first record vanish exactly where a series is constant.
    moved = (records - records[0, 0]) @ slopes
    if np.ptp(moved) == 0:
        raise NonFiniteError("series: the quantity never changes, so no error can be given")
    gamma = autocovariance(moved - moved.mean())
    if not gamma[0] > _rounding(records, slopes):
        raise NonFiniteError("series: the quantity never changes, so no error can be given")
    window = _choose_window(gamma, n, S)
    gamma = gamma + (gamma[0] + 2 * gamma[1 : window + 1].sum()) / n
    # Sums below Gamma(0) would rest on anticorrelation within a short window, even below zero.
    variance = max(gamma[0] + 2 * gamma[1 : window + 1].sum(), gamma[0]) / n
    tau = variance * n / (2 * gamma[0])
    error = math.sqrt(variance)
    return GammaEstimate(
        value=float(_unbiased(value, chain_values)),
        error=error,
        error_of_error=error * math.sqrt((window + 0.5) / n),
        tau_int=float(tau),
        tau_int_error=float(tau * 2 * math.sqrt(max(window + 0.5 - tau, 0.0) / n)),
        window=window,
        consistency=_consistency(value, chain_values, variance),
        n_records=n,
    )


def autocovariance(deviations: np.ndarray) -> np.ndarray:
    """Gamma(t) = sum over chains and i of p_i p_{i + t} / (N - R t), up to half a chain's length.

    Args:
        deviations: Series minus the mean over all chains, float64 (R, n_records).

    Returns:
        float64 (n_records // 2 + 1,).
    """
    check_float64("deviations", deviations, 2)
    n_chains, n_records = deviations.shape
    n_lags = n_records // 2 + 1
    size = 1 << (n_records + n_lags - 1).bit_length()
    power = np.zeros(size // 2 + 1)
    for chain in deviations:
        power += np.abs(np.fft.rfft(chain, size)) ** 2
    sums = np.fft.irfft(power, size)[:n_lags]
    return sums / (n_chains * (n_records - np.arange(n_lags)))


def _check_series(series: np.ndarray, function: Function | None) -> np.ndarray:
    n_axes = series.ndim if isinstance(series, np.ndarray) and series.ndim == 2 else 3
    check_float64("series", series, n_axes)
    records = series[..., None] if n_axes == 2 else series
    if records.shape[1] < LEAST_RECORDS or records.shape[0] < 1 or records.shape[2] < 1:
        raise ValueError(
            f"series: expected at least {LEAST_RECORDS} records in each of one or more chains, "
            f"got shape {series.shape}"
        )
    if function is None and records.shape[2] != 1:
        raise ValueError(f"function: expected one for {records.shape[2]} observables, got None")
    n_bad = int((~np.isfinite(series)).sum())
    if n_bad:
        raise NonFiniteError(f"series: expected finite numbers, got {n_bad} that are not")
    return records


def _slopes(
    records: np.ndarray, means: np.ndarray, function: Function, gradient: Gradient | None
) -> np.ndarray:
    if gradient is not None:
        slopes = np.asarray(gradient(means), dtype=np.float64)
        if slopes.shape != means.shape:
            raise ValueError(f"gradient: expected shape {means.shape}, got {slopes.shape}")
    else:
        steps = records.std((0, 1)) / math.sqrt(records.shape[0] * records.shape[1])
        slopes = np.zeros(means.size)
        for k in np.flatnonzero(steps > 0):
            shift = np.zeros(means.size)
            shift[k] = steps[k]
            slopes[k] = (function(means + shift) - function(means - shift)) / (2 * steps[k])
    if not np.isfinite(slopes).all():
        raise NonFiniteError(f"function: expected a finite gradient at the means, got {slopes}")
    return slopes


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise NonFiniteError(f"function: expected a finite number at the means, got {value}")
    return float(value)


def _rounding(records: np.ndarray, slopes: np.ndarray) -> float:
    """A variance that rounding alone can leave of a constant series."""
    scale = np.abs(records).max((0, 1)) @ np.abs(slopes)
    return float((4 * np.finfo(np.float64).eps * scale) ** 2)


def _choose_window(gamma: np.ndarray, n: int, S: float) -> int:
    """The first W at which exp(-W / tau) - tau / sqrt(W N) is negative, tau from S and tau_int."""
    rho = gamma / gamma[0]
    tau_int = 0.5 + np.cumsum(rho[1:])
    windows = np.arange(1, gamma.size)
    tau = np.full(tau_int.size, _SHORTEST)
    above = tau_int > 0.5
    tau[above] = S / np.log((2 * tau_int[above] + 1) / (2 * tau_int[above] - 1))
    tau = np.maximum(tau, _SHORTEST)
    slope = np.exp(-windows / tau) - tau / np.sqrt(windows * n)
    found = np.flatnonzero(slope < 0)
    if found.size == 0:
        raise NotConvergedError(
            f"series: the autocorrelation has not decayed within {gamma.size - 1} records, half a "
            f"chain; tau_int is above {tau_int.max():.3g}"
        )
    return int(windows[found[0]])


def _unbiased(value: float, chain_values: np.ndarray) -> float:
    """Value less its bias of order 1 / N, estimated from the mean of the chains' own values."""
    n_chains = chain_values.size
    if n_chains < 2:
        return value
    return value - (chain_values.mean() - value) / (n_chains - 1)


def _consistency(value: float, chain_values: np.ndarray, variance: float) -> float:
    n_chains = chain_values.size
    if n_chains < 2:
        return math.nan
    centre = chain_values.mean()
    chi_square = np.square(chain_values - centre).sum() / (variance * n_chains)
    return float(gammaincc((n_chains - 1) / 2, chi_square / 2))
