"""Free energies of target states from the samples of normalised models, one model per condition.

The states are K models q_k with N_k samples each and L targets without samples of their own. Two
ways: MBAR over all K + L states, and the balance heuristic, which uses that every q_k is
normalised, so that the mixture density of all samples is known and no equation has to be solved.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.special import logsumexp

from boltzgen.checks import check_at_least, check_float64
from boltzgen.errors import NonFiniteError, NotConvergedError
from boltzgen.estimators.mbar import check_u_kn, mbar
from boltzgen.estimators.resampling import bootstrap_sums, draw_counts

_NEWTON_STEPS = 50
_NEWTON_TOLERANCE = 1e-9


@dataclass(frozen=True, kw_only=True)
class ConditionalFreeEnergies:
    """Reduced free energies of L targets from samples of K models.

    Args:
        f_k: f_l = -log Z_l relative to target 0, in kT, shape (L,).
        errors: Asymptotic standard errors of f_l - f_0, shape (L,).
        difference_errors: Asymptotic standard errors of f_m - f_l, shape (L, L).
        bootstrap_errors: As `errors`, from resampling within each model, shape (L,).
        bootstrap_difference_errors: As `difference_errors`, from resampling, shape (L, L).
        absolute_f_k: -log Z_l in the measure of the models, shape (L,); in the MBAR estimate
            on the scale that gives model 0 the free energy 0.
        model_f_k: Free energies of the models relative to model 0, shape (K,); exactly 0 in
            truth, so in the MBAR estimate a check on densities and samples.
        weights: Normalised weights of all samples in each target, columns sum to one, (N, L).
        n_effective: Kish's effective number of samples of each target, shape (L,).
        overlap: Share of target l's weight on which model k has its samples (sum over n of
            w_nl times the probability that n came from k), rows sum to one, shape (L, K).
        residual: Largest relative violation of the self-consistent equations; 0 if there are none.
    """

    f_k: np.ndarray
    errors: np.ndarray
    difference_errors: np.ndarray
    bootstrap_errors: np.ndarray
    bootstrap_difference_errors: np.ndarray
    absolute_f_k: np.ndarray
    model_f_k: np.ndarray
    weights: np.ndarray
    n_effective: np.ndarray
    overlap: np.ndarray
    residual: float


def conditional_free_energies(
    u_kn_model: np.ndarray,
    u_kn_target: np.ndarray,
    n_k: np.ndarray,
    *,
    rng: Generator,
    n_resamples: int = 50,
    tolerance: float = 1e-6,
) -> ConditionalFreeEnergies:
    """MBAR over models and targets together.

    Args:
        u_kn_model: -log q_k(x_n), shape (K, N), samples sorted by model.
        u_kn_target: Reduced energies of the targets, +inf where forbidden, shape (L, N).
        n_k: Number of samples of each model, at least 2, shape (K,).
        rng: The random stream of the bootstrap.
        n_resamples: How many bootstrap resamples.
        tolerance: Largest accepted residual of the self-consistent equations.

    Returns:
        Free energies of the targets relative to target 0.

    Raises:
        ValueError: A dtype, a shape or a count is wrong.
        NonFiniteError: An energy is NaN or -inf, or a target is forbidden on every sample.
        NotConvergedError: The equations were not solved to the tolerance.
    """
    counts = _check(u_kn_model, u_kn_target, n_k)
    n_models, n_targets = u_kn_model.shape[0], u_kn_target.shape[0]
    all_counts = np.concatenate([counts, np.zeros(n_targets, dtype=np.int64)])
    solved = mbar(np.concatenate([u_kn_model, u_kn_target]), all_counts, tolerance=tolerance)
    weights = solved.weights[:, n_models:]
    origin = solved.weights[:, :n_models] * counts
    origin /= origin.sum(1, keepdims=True)
    replicas = _mbar_replicas(origin, weights, counts, rng=rng, n_resamples=n_resamples)
    return ConditionalFreeEnergies(
        f_k=solved.f_k[n_models:] - solved.f_k[n_models],
        errors=solved.difference_errors[n_models, n_models:].copy(),
        difference_errors=solved.difference_errors[n_models:, n_models:].copy(),
        bootstrap_errors=_spread(replicas)[0],
        bootstrap_difference_errors=_spread(replicas),
        absolute_f_k=solved.f_k[n_models:].copy(),
        model_f_k=solved.f_k[:n_models].copy(),
        weights=weights,
        n_effective=solved.n_effective[n_models:].copy(),
        overlap=weights.T @ origin,
        residual=solved.residual,
    )


def mixture_free_energies(
    u_kn_model: np.ndarray,
    u_kn_target: np.ndarray,
    n_k: np.ndarray,
    *,
    rng: Generator,
    n_resamples: int = 200,
) -> ConditionalFreeEnergies:
    """Balance heuristic: Z_l = sum_n p~_l(x_n) / sum_k N_k q_k(x_n), absolute and unbiased.

    Errors take into account that the number of samples of each model is fixed.

    Args:
        u_kn_model: -log q_k(x_n), shape (K, N), samples sorted by model.
        u_kn_target: Reduced energies of the targets, +inf where forbidden, shape (L, N).
        n_k: Number of samples of each model, at least 2, shape (K,).
        rng: The random stream of the bootstrap.
        n_resamples: How many bootstrap resamples.

    Returns:
        Free energies of the targets relative to target 0.

    Raises:
        ValueError: A dtype, a shape or a count is wrong.
        NonFiniteError: An energy is NaN or -inf, or a target is forbidden on every sample.

    References:
        Veach & Guibas, SIGGRAPH (1995); Elvira et al., Statistical Science 34 (2019) 129.
    """
    counts = _check(u_kn_model, u_kn_target, n_k)
    log_joint = np.log(counts)[:, None] - u_kn_model
    log_mixture = logsumexp(log_joint, axis=0)
    log_w = -u_kn_target - log_mixture
    log_z = logsumexp(log_w, axis=1)
    weights = np.exp(log_w - log_z[:, None]).T
    replicas = np.zeros((n_resamples, weights.shape[1]))
    covariance = np.zeros((weights.shape[1],) * 2)
    for rows in np.split(weights, np.cumsum(counts)[:-1]):
        replicas += bootstrap_sums(rows, n_resamples=n_resamples, rng=rng)
        covariance += np.cov(rows, rowvar=False).reshape(covariance.shape) * rows.shape[0]
    spread = _spread(-np.log(replicas))
    differences = _difference_errors(covariance)
    return ConditionalFreeEnergies(
        f_k=log_z[0] - log_z,
        errors=differences[0].copy(),
        difference_errors=differences,
        bootstrap_errors=spread[0].copy(),
        bootstrap_difference_errors=spread,
        absolute_f_k=-log_z,
        model_f_k=np.zeros(u_kn_model.shape[0]),
        weights=weights,
        n_effective=1.0 / np.square(weights).sum(0),
        overlap=weights.T @ np.exp(log_joint - log_mixture).T,
        residual=0.0,
    )


def _check(u_kn_model: np.ndarray, u_kn_target: np.ndarray, n_k: np.ndarray) -> np.ndarray:
    counts = check_u_kn(u_kn_model, n_k)
    check_at_least("n_k", int(counts.min()), 2)
    check_float64("u_kn_target", u_kn_target, 2)
    if u_kn_target.shape[1] != u_kn_model.shape[1]:
        raise ValueError(
            f"u_kn_target: expected {u_kn_model.shape[1]} samples, got {u_kn_target.shape[1]}"
        )
    n_bad = int((np.isnan(u_kn_target) | np.isneginf(u_kn_target)).sum())
    if n_bad:
        raise NonFiniteError(f"u_kn_target: expected finite or +inf, got {n_bad} NaN or -inf")
    empty = np.flatnonzero(np.isinf(u_kn_target).all(1))
    if empty.size:
        raise NonFiniteError(f"u_kn_target: targets {empty.tolist()} are +inf on every sample")
    return counts


def _mbar_replicas(
    origin: np.ndarray,
    weights: np.ndarray,
    counts: np.ndarray,
    *,
    rng: Generator,
    n_resamples: int,
) -> np.ndarray:
    """Free energies of the targets up to the solution, for resampled data, shape (R, L)."""
    check_at_least("n_resamples", n_resamples, 2)
    replicas = np.empty((n_resamples, weights.shape[1]))
    for row in range(n_resamples):
        drawn = np.concatenate([draw_counts(int(n), 1, rng=rng)[0] for n in counts])
        factors = _solve_resampled(origin, drawn, counts)
        replicas[row] = -np.log((drawn / (origin @ factors)) @ weights)
    return replicas


def _solve_resampled(origin: np.ndarray, drawn: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Newton's method on the MBAR equations, started from the solution of the full data.

    Args:
        origin: Probability that sample n came from model k at the full solution, (N, K).
        drawn: How often each sample was drawn, shape (N,).
        counts: Number of samples of each model, shape (K,).

    Returns:
        exp(change of f_k), the first being 1, shape (K,).
    """
    change = np.zeros(counts.size)
    for _ in range(_NEWTON_STEPS):
        joint = origin * np.exp(change)
        posterior = joint / joint.sum(1, keepdims=True)
        expected = drawn @ posterior
        gradient = expected - counts
        if np.abs(gradient / counts).max() < _NEWTON_TOLERANCE:
            return np.exp(change)
        hessian = np.diag(expected) - posterior.T @ (drawn[:, None] * posterior)
        change[1:] -= np.linalg.solve(hessian[1:, 1:], gradient[1:])
    residual = np.abs(gradient / counts).max()
    raise NotConvergedError(
        f"bootstrap of mbar: residual {residual:.1e} after {_NEWTON_STEPS} Newton steps,"
        f" tolerance {_NEWTON_TOLERANCE:.1e}; do the models overlap?"
    )


def _spread(replicas: np.ndarray) -> np.ndarray:
    return _difference_errors(np.atleast_2d(np.cov(replicas, rowvar=False)))


def _difference_errors(covariance: np.ndarray) -> np.ndarray:
    variances = np.diag(covariance)
    squares = variances[:, None] + variances - 2.0 * covariance
    np.fill_diagonal(squares, 0.0)
    return np.sqrt(np.maximum(squares, 0.0))
