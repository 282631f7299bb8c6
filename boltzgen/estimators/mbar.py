"""Free energies of many states by MBAR and of two by BAR: thin, checked glue over pymbar.

pymbar's own bootstrap is not used: in 4.0.3 its `rseed` does not seed (an integer is ignored, and
None reseeds numpy's global generator), and its bootstrap solver can run for minutes per resample.
"""

from dataclasses import dataclass

import numpy as np

from boltzgen.checks import check_float64, check_positive
from boltzgen.errors import NonFiniteError, NotConvergedError
from boltzgen.estimators.resampling import Estimate
from boltzgen.estimators.solver import pymbar, quiet


@dataclass(frozen=True, kw_only=True)
class FreeEnergies:
    """Reduced free energies of K states, f_k = -log Z_k, relative to state 0.

    Args:
        f_k: Free energies in kT, f_k[0] = 0, shape (K,).
        errors: Asymptotic standard errors of f_k - f_0, shape (K,).
        difference_errors: Asymptotic standard errors of f_j - f_i, shape (K, K).
        overlap: O_ij = sum_n N_j w_ni w_nj, rows sum to one, shape (K, K).
        weights: Normalised weight of each sample in each state, columns sum to one, (N, K).
        n_effective: Kish's effective number of samples of each state, shape (K,).
        residual: Largest relative violation of the self-consistent equations.
    """

    f_k: np.ndarray
    errors: np.ndarray
    difference_errors: np.ndarray
    overlap: np.ndarray
    weights: np.ndarray
    n_effective: np.ndarray
    residual: float


def mbar(u_kn: np.ndarray, n_k: np.ndarray, *, tolerance: float = 1e-6) -> FreeEnergies:
    """Multistate Bennett acceptance ratio.

    Args:
        u_kn: Reduced energy of sample n in state k, in kT, shape (K, N); the samples are sorted
            by the state that they come from, +inf is a forbidden sample.
        n_k: Number of samples from each state, zero allowed, shape (K,).
        tolerance: Largest accepted residual, max_k |sum_n w_nk - 1| over sampled states.

    Returns:
        Free energies relative to state 0.

    Raises:
        ValueError: A dtype, a shape or a count is wrong.
        NonFiniteError: u_kn holds NaN or -inf, or a sample is forbidden in every sampled state.
        NotConvergedError: The residual is above the tolerance.

    References:
        Shirts & Chodera, J. Chem. Phys. 129 (2008) 124105, equations 11 and D8.
    """
    counts = check_u_kn(u_kn, n_k)
    check_positive("tolerance", tolerance)
    with quiet():
        solved = pymbar.MBAR(u_kn, counts, rseed=0, relative_tolerance=min(1e-7, tolerance))
    weights = np.exp(np.asarray(solved.Log_W_nk))
    sampled = counts > 0
    residual = float(np.abs(weights[:, sampled].sum(0) - 1.0).max())
    if not residual <= tolerance:
        raise NotConvergedError(f"mbar: residual {residual:.1e}, tolerance {tolerance:.1e}")
    differences = solved.compute_free_energy_differences()["dDelta_f"]
    sums = weights.sum(0)
    return FreeEnergies(
        f_k=np.asarray(solved.f_k) - solved.f_k[0],
        errors=differences[0].copy(),
        difference_errors=differences,
        overlap=(weights.T @ weights) * counts,
        weights=weights / sums,
        n_effective=sums**2 / np.square(weights).sum(0),
        residual=residual,
    )


def bar(forward_work: np.ndarray, reverse_work: np.ndarray) -> Estimate:
    """Bennett acceptance ratio for two states.

    Args:
        forward_work: u_1(x) - u_0(x) at samples of state 0, in kT, shape (N0,).
        reverse_work: u_0(x) - u_1(x) at samples of state 1, in kT, shape (N1,).

    Returns:
        f_1 - f_0 in kT with its asymptotic error.

    Raises:
        ValueError: A dtype or shape is wrong.
        NonFiniteError: A work is NaN or -inf.
        NotConvergedError: The root was not found.

    References:
        Bennett, J. Comput. Phys. 22 (1976) 245.
    """
    for name, work in (("forward_work", forward_work), ("reverse_work", reverse_work)):
        check_float64(name, work, 1)
        _check_energies(name, work)
    try:
        found = pymbar.bar(forward_work, reverse_work)
    except (pymbar.utils.ConvergenceError, pymbar.utils.BoundsError) as error:
        raise NotConvergedError(f"bar: no root found ({error})") from error
    return Estimate(float(found["Delta_f"]), float(found["dDelta_f"]))


def check_u_kn(u_kn: np.ndarray, n_k: np.ndarray) -> np.ndarray:
    """Check a matrix of reduced energies and its counts; return the counts as int64 (K,)."""
    check_float64("u_kn", u_kn, 2)
    _check_energies("u_kn", u_kn)
    counts = check_counts(n_k, u_kn.shape[0], u_kn.shape[1])
    n_lost = int((~np.isfinite(u_kn[counts > 0]).any(0)).sum())
    if n_lost:
        raise NonFiniteError(f"u_kn: {n_lost} samples are forbidden in every sampled state")
    return counts


def check_counts(n_k: np.ndarray, n_states: int, n_samples: int) -> np.ndarray:
    """Check that counts are K non-negative integers that sum to N; return them as int64."""
    counts = np.asarray(n_k)
    if counts.shape != (n_states,) or not np.issubdtype(counts.dtype, np.integer):
        raise ValueError(
            f"n_k: expected {n_states} integers, got {counts.dtype} of shape {counts.shape}"
        )
    if (counts < 0).any() or counts.sum() != n_samples:
        raise ValueError(
            f"n_k: expected counts >= 0 that sum to {n_samples}, got {counts.tolist()}"
        )
    return counts.astype(np.int64)


def _check_energies(name: str, values: np.ndarray) -> None:
    n_nan, n_inf = int(np.isnan(values).sum()), int(np.isneginf(values).sum())
    if n_nan or n_inf:
        raise NonFiniteError(
            f"{name}: expected finite numbers or +inf, got {n_nan} NaN and {n_inf} -inf"
            f" among {values.size}"
        )
