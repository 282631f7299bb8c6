"""Importance weights: effective sample sizes, evidence and its two bounds, with errors.

Everywhere log_w = log p~(x) - log q(x), with p~ the unnormalised target and q the model density.
-inf is legal (a sample on which the target vanishes); nothing is clipped, filtered or smoothed.
"""

import numpy as np
from numpy.random import Generator

from boltzgen.checks import check_float64
from boltzgen.errors import NonFiniteError
from boltzgen.estimators.resampling import Estimate, bootstrap_sums, check_blocks, sum_blocks


def check_log_weights(name: str, log_w: np.ndarray) -> None:
    """Require float64 (N,) log-weights without NaN and +inf, not all of them -inf.

    Args:
        name: The argument's name, for the message.
        log_w: Log-weights, shape (N,).

    Raises:
        ValueError: The dtype or shape is wrong.
        NonFiniteError: There is a NaN or a +inf, or every weight is zero.
    """
    check_float64(name, log_w, 1)
    if log_w.size < 2:
        raise ValueError(f"{name}: expected at least 2 samples, got {log_w.size}")
    n_nan, n_inf = int(np.isnan(log_w).sum()), int(np.isposinf(log_w).sum())
    if n_nan or n_inf:
        raise NonFiniteError(
            f"{name}: expected finite numbers or -inf, got {n_nan} NaN and {n_inf} +inf"
            f" among {log_w.size}"
        )
    if not np.isfinite(log_w).any():
        raise NonFiniteError(f"{name}: all {log_w.size} log-weights are -inf")


def normalise(log_w: np.ndarray) -> np.ndarray:
    """Weights that sum to one, exp(log_w) / sum exp(log_w).

    Args:
        log_w: Log-weights up to a constant, shape (N,).

    Returns:
        Shape (N,).

    Raises:
        NonFiniteError: There is a NaN or a +inf, or every weight is zero.
    """
    check_log_weights("log_w", log_w)
    w = np.exp(log_w - log_w.max())
    return w / w.sum()


def effective_sample_size(log_w: np.ndarray) -> float:
    """Kish's effective sample size, (sum w)^2 / sum w^2.

    Args:
        log_w: Log-weights up to a constant, shape (N,).

    Returns:
        A number between 1 and N.

    Raises:
        NonFiniteError: There is a NaN or a +inf, or every weight is zero.

    References:
        Kish, Survey Sampling (1965).

    Example:
        >>> effective_sample_size(np.array([0.0, 0.0, -np.inf, -np.inf]))
        2.0
    """
    return float(1.0 / np.square(normalise(log_w)).sum())


def reverse_ess(
    log_w: np.ndarray,
    *,
    rng: Generator,
    n_resamples: int = 200,
    blocks: np.ndarray | None = None,
) -> Estimate:
    """ESS/N from samples of the model, E_q[w]^2 / E_q[w^2].

    A mode of the target that the model never visits is not seen by this number.

    Args:
        log_w: Log-weights at x ~ q, shape (N,).
        rng: The random stream of the bootstrap.
        n_resamples: How many bootstrap resamples.
        blocks: Labels of correlated groups, shape (N,).

    Returns:
        A number between 1/N and 1, with its bootstrap error.

    Raises:
        NonFiniteError: There is a NaN or a +inf, or every weight is zero.
    """
    w = normalise(log_w)
    w /= w.max()
    columns = np.stack([np.ones_like(w), w, w**2], axis=1)
    count, s1, s2 = _resample(columns, n_resamples, rng, blocks)
    replicas = s1**2 / np.where(s2 > 0, s2 * count, 1.0)  # a resample of zero weights has ESS 0
    return Estimate(effective_sample_size(log_w) / log_w.size, float(replicas.std(ddof=1)))


def forward_ess(
    log_w_at_reference: np.ndarray,
    *,
    rng: Generator,
    n_resamples: int = 200,
    blocks: np.ndarray | None = None,
) -> Estimate:
    """ESS/N of the model from samples of the target, 1 / (E_p[w] E_p[1/w]).

    With w = p~/q and Z the integral of p~: E_q[w] = Z and E_q[w^2] = integral p~ w = Z E_p[w],
    so ESS/N = E_q[w]^2 / E_q[w^2] = Z / E_p[w]; and E_p[1/w] = integral q / Z = 1 / Z where q
    vanishes wherever p does. A mode that q misses makes E_p[w] large: this number sees it.

    Args:
        log_w_at_reference: Log-weights at x ~ p up to a constant, shape (N,).
        rng: The random stream of the bootstrap.
        n_resamples: How many bootstrap resamples.
        blocks: Labels of correlated groups of reference samples (trajectories), shape (N,).

    Returns:
        A number between 0 and 1, with its bootstrap error.

    Raises:
        NonFiniteError: A log-weight is not finite; a sample of p has p~ > 0, and q = 0 there
            means that the forward ESS is zero.
    """
    check_log_weights("log_w_at_reference", log_w_at_reference)
    n_zero = int(np.isneginf(log_w_at_reference).sum())
    if n_zero:
        raise NonFiniteError(
            f"log_w_at_reference: expected p~ > 0 on samples of p, got {n_zero} -inf"
            f" among {log_w_at_reference.size}"
        )
    high, low = log_w_at_reference.max(), log_w_at_reference.min()
    w, inverse = np.exp(log_w_at_reference - high), np.exp(low - log_w_at_reference)
    columns = np.stack([np.ones_like(w), w, inverse], axis=1)
    count, s1, s2 = _resample(columns, n_resamples, rng, blocks)
    scale = np.exp(low - high)
    replicas = scale * count**2 / (s1 * s2)
    return Estimate(float(scale / (w.mean() * inverse.mean())), float(replicas.std(ddof=1)))


def elbo(log_w: np.ndarray, *, blocks: np.ndarray | None = None) -> Estimate:
    """Evidence lower bound, E_q[log p~ - log q] = log Z - KL(q||p).

    Args:
        log_w: Log-weights at x ~ q, shape (N,).
        blocks: Labels of correlated groups, shape (N,).

    Returns:
        The mean with its standard error; -inf with error NaN where a log-weight is -inf.

    Raises:
        NonFiniteError: There is a NaN or a +inf, or every weight is zero.
    """
    check_log_weights("log_w", log_w)
    return _mean(log_w, blocks)


def eubo(log_w_at_reference: np.ndarray, *, blocks: np.ndarray | None = None) -> Estimate:
    """Evidence upper bound, E_p[log p~ - log q] = log Z + KL(p||q).

    EUBO - ELBO is the sum of both divergences and needs no log Z.

    Args:
        log_w_at_reference: Log-weights at x ~ p, with the same constant as in `elbo`, shape (N,).
        blocks: Labels of correlated groups of reference samples (trajectories), shape (N,).

    Returns:
        The mean with its standard error.

    Raises:
        NonFiniteError: There is a NaN or a +inf, or every weight is zero.
    """
    check_log_weights("log_w_at_reference", log_w_at_reference)
    return _mean(log_w_at_reference, blocks)


def evidence_gap(upper: Estimate, lower: Estimate) -> Estimate:
    """EUBO - ELBO = KL(p||q) + KL(q||p), from independent samples."""
    return Estimate(upper.value - lower.value, float(np.hypot(upper.error, lower.error)))


def log_evidence(log_w: np.ndarray, *, blocks: np.ndarray | None = None) -> Estimate:
    """Return log Z = log E_q[w], with the first-order error sd(w) / (sqrt(N) mean w).

    Args:
        log_w: Log-weights at x ~ q, shape (N,).
        blocks: Labels of correlated groups, shape (N,).

    Returns:
        log mean w. The estimate of Z is unbiased; that of log Z is low by about error^2 / 2.

    Raises:
        NonFiniteError: There is a NaN or a +inf, or every weight is zero.
    """
    check_log_weights("log_w", log_w)
    mean = _mean(np.exp(log_w - log_w.max()), blocks)
    return Estimate(float(np.log(mean.value) + log_w.max()), mean.error / mean.value)


def _resample(
    columns: np.ndarray, n_resamples: int, rng: Generator, blocks: np.ndarray | None
) -> np.ndarray:
    labels = check_blocks(blocks, columns.shape[0])
    return bootstrap_sums(columns, n_resamples=n_resamples, rng=rng, blocks=labels).T


def _mean(values: np.ndarray, blocks: np.ndarray | None) -> Estimate:
    labels = check_blocks(blocks, values.size)
    mean = float(values.mean())
    if not np.isfinite(mean):
        return Estimate(mean, float("nan"))
    deviations = sum_blocks((values - mean)[:, None], labels)[:, 0]
    n_blocks = deviations.size
    variance = np.square(deviations).sum() * n_blocks / (n_blocks - 1)
    return Estimate(mean, float(np.sqrt(variance) / values.size))
