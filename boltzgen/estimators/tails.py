"""Pareto k-hat: how heavy is the tail of the importance weights, and may they be trusted."""

import numpy as np

from boltzgen.estimators.weights import check_log_weights

THRESHOLD = 0.7
_LEAST_TAIL = 5
_PRIOR_TAIL, _PRIOR_SHAPE = 10.0, 0.5


def pareto_khat(log_w: np.ndarray, *, size: float = 3.0) -> float:
    """Shape of a generalised Pareto distribution fitted to the largest weights.

    The M = min(0.2 N, size sqrt N) largest weights are fitted; k < 1/2 means that the weights have
    a variance, k < 1 a mean; estimates are usable in practice up to k = 0.7.

    Args:
        log_w: Log-weights up to a constant, shape (N,).
        size: Of the tail; 3 is that of the literature.

    Returns:
        k-hat; -inf where the tail weights are all equal (no tail at all), +inf where fewer than
        five weights are above the rest (too few to judge, so do not trust them).

    Raises:
        NonFiniteError: There is a NaN or a +inf, or every weight is zero.

    References:
        Vehtari, Simpson, Gelman, Yao & Gabry, Pareto smoothed importance sampling, JMLR 25 (2024).
    """
    check_log_weights("log_w", log_w)
    n_tail = int(np.ceil(min(0.2 * log_w.size, size * np.sqrt(log_w.size))))
    ordered = np.sort(log_w - log_w.max())
    cutoff = max(ordered[-n_tail - 1], np.log(np.finfo(np.float64).tiny))
    tail = ordered[ordered > cutoff]
    if tail.size == 0:
        return float("-inf")
    if tail.size < _LEAST_TAIL:
        return float("inf")
    return fit_generalised_pareto(np.exp(tail) - np.exp(cutoff))[0]


def fit_generalised_pareto(excess: np.ndarray) -> tuple[float, float]:
    """Shape and scale of a generalised Pareto distribution, by its profile posterior mean.

    The shape is drawn towards 1/2 as ten more observations there would do (the weak prior of
    Pareto smoothing), which steadies short tails.

    Args:
        excess: Ascending excesses over the threshold, all above 0, shape (M,).

    Returns:
        Shape k and scale sigma.

    References:
        Zhang & Stephens, Technometrics 51 (2009) 316; Vehtari et al. (2024), appendix.
    """
    n = excess.size
    n_grid = 30 + int(np.sqrt(n))
    quartile = excess[int(n / 4 + 0.5) - 1]
    grid = 1.0 - np.sqrt(n_grid / (np.arange(1, n_grid + 1) - 0.5))
    theta = grid / (3.0 * quartile) + 1.0 / excess[-1]
    shapes = np.log1p(-theta[:, None] * excess).mean(axis=1)
    log_likelihood = n * (np.log(-theta / shapes) - shapes - 1.0)
    posterior = np.exp(log_likelihood - log_likelihood.max())
    theta_mean = float((posterior * theta).sum() / posterior.sum())
    shape = float(np.log1p(-theta_mean * excess).mean())
    scale = -shape / theta_mean
    return (n * shape + _PRIOR_TAIL * _PRIOR_SHAPE) / (n + _PRIOR_TAIL), scale


def reliable(khat: float) -> bool:
    """Whether estimates with weights of this k-hat may be trusted, k-hat < 0.7."""
    return khat < THRESHOLD


def describe_khat(khat: float) -> str:
    """Say in words what a k-hat means for the estimates.

    Example:
        >>> describe_khat(0.3)
        'good: estimates and their errors can be trusted'
    """
    if khat < 0.5:
        return "good: estimates and their errors can be trusted"
    if khat < THRESHOLD:
        return "usable: estimates can be trusted, errors are somewhat optimistic"
    if khat < 1.0:
        return "unreliable: the largest weights dominate, do not trust the estimates"
    return "useless: the weights have no mean within reach of this sample"
