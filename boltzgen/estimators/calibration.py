"""Simulation-based calibration: ranks of true parameters among posterior draws, and coverage.

Parameters drawn from the prior and data drawn given them are one draw of the joint distribution,
and so are posterior draws given these data: if the posterior is right, the truth is one of L + 1
exchangeable numbers, and its rank among the L others is uniform in 0 ... L.

References:
    Cook, Gelman and Rubin, J. Comput. Graph. Stat. 15, 675 (2006).
    Talts, Betancourt, Simpson, Vehtari and Gelman, arXiv:1804.06788.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy import stats

from boltzgen.checks import check_at_least, check_float64
from boltzgen.errors import NonFiniteError


def calibration_ranks(truths: np.ndarray, draws: np.ndarray, *, rng: Generator) -> np.ndarray:
    """Rank of each true value among the draws given its data: how many draws are below it.

    Draws equal to the truth count as below or above at random, all numbers of them being equally
    likely, which keeps ranks uniform where values are discrete. The draws of one data set must be
    exchangeable: of a Markov chain take every so-many-th, of weighted samples `resample` first.

    Args:
        truths: M draws of D parameters from the prior, float64 (M, D).
        draws: Posterior draws given the data of each, float64 (M, L, D).
        rng: The random stream that breaks ties.

    Returns:
        Integers in 0 ... L, shape (M, D).

    Raises:
        ValueError: The shapes or dtypes do not fit.
        NonFiniteError: There is a NaN.

    Example:
        >>> draws = np.array([[[0.1], [0.3], [0.7]]])
        >>> calibration_ranks(np.array([[0.5]]), draws, rng=np.random.default_rng(0))
        array([[2]])
    """
    check_float64("truths", truths, 2)
    check_float64("draws", draws, 3)
    m, d = truths.shape
    if draws.shape[::2] != (m, d) or draws.shape[1] < 1:
        raise ValueError(f"draws: expected shape ({m}, L, {d}), got {draws.shape}")
    for name, values in (("truths", truths), ("draws", draws)):
        n_nan = int(np.isnan(values).sum())
        if n_nan:
            raise NonFiniteError(f"{name}: expected numbers, got {n_nan} NaN")
    below = (draws < truths[:, None]).sum(1)
    tied = (draws == truths[:, None]).sum(1)
    return below + rng.integers(0, tied, endpoint=True)


def check_ranks(ranks: np.ndarray, L: int) -> None:
    """Require integers (M,) in 0 ... L.

    Raises:
        ValueError: They are not.
    """
    check_at_least("L", L, 1)
    if not isinstance(ranks, np.ndarray) or ranks.ndim != 1 or ranks.size < 1:
        shape = ranks.shape if isinstance(ranks, np.ndarray) else type(ranks).__name__
        raise ValueError(f"ranks: expected an array of shape (M,), got {shape}")
    if not np.issubdtype(ranks.dtype, np.integer):
        raise ValueError(f"ranks: expected integers, got {ranks.dtype}")
    if ranks.min() < 0 or ranks.max() > L:
        raise ValueError(f"ranks: expected 0 to {L}, got {ranks.min()} to {ranks.max()}")


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """How often central credible intervals hold the truth; every array has shape (K,).

    Args:
        levels: Nominal levels asked for.
        expected: Levels that the nearest intervals between two of L draws have exactly.
        observed: Share of truths inside.
        lower: Lower ends of the Clopper-Pearson intervals of the shares.
        upper: Their upper ends.
        p_values: Two-sided binomial probability of a share as far from `expected`.
        confidence: Level of the Clopper-Pearson intervals.
        n_truths: M.
    """

    levels: np.ndarray
    expected: np.ndarray
    observed: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    p_values: np.ndarray
    confidence: float
    n_truths: int


def coverage(
    ranks: np.ndarray, L: int, levels: Sequence[float], *, confidence: float = 0.95
) -> Coverage:
    """Share of truths inside central credible intervals, with binomial confidence intervals.

    The interval from the a-th smallest to the a-th largest of L draws holds the truth if its rank
    is in a ... L - a, which has probability (L + 1 - 2 a) / (L + 1) if ranks are uniform. Of these
    probabilities the one nearest to each level is taken, and reported. Shares at different levels
    are of the same truths and strongly correlated.

    Args:
        ranks: Of one parameter, integers in 0 ... L, shape (M,).
        L: Draws of each posterior.
        levels: Nominal levels between 0 and 1, K of them.
        confidence: Level of the confidence intervals.

    Raises:
        ValueError: The ranks are not integers in 0 ... L, a level is not between 0 and 1, or so
            high that no interval between L draws comes near it.

    References:
        Clopper and Pearson, Biometrika 26, 404 (1934).
    """
    check_ranks(ranks, L)
    wanted = np.asarray(levels, dtype=np.float64)
    if wanted.ndim != 1 or wanted.size == 0 or not ((wanted > 0) & (wanted < 1)).all():
        raise ValueError(f"levels: expected numbers between 0 and 1, got {levels}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: expected a number between 0 and 1, got {confidence}")
    cut = np.rint(0.5 * (1 - wanted) * (L + 1)).astype(np.int64)
    cut = np.minimum(cut, L // 2)
    if (cut < 1).any():
        high = wanted[cut < 1].max()
        raise ValueError(
            f"levels: expected about {(L - 1) / (L + 1):.3g} at most for {L} draws, got {high}"
        )
    inside = ((ranks >= cut[:, None]) & (ranks <= L - cut[:, None])).sum(1)
    m, expected = ranks.size, (L + 1 - 2 * cut) / (L + 1)
    tail = 0.5 * (1 - confidence)
    lower = stats.beta.ppf(tail, np.maximum(inside, 1), m - inside + 1)
    upper = stats.beta.ppf(1 - tail, inside + 1, np.maximum(m - inside, 1))
    p_values = [
        stats.binomtest(int(k), m, float(p)).pvalue for k, p in zip(inside, expected, strict=True)
    ]
    return Coverage(
        levels=wanted,
        expected=expected,
        observed=inside / m,
        lower=np.where(inside == 0, 0.0, lower),
        upper=np.where(inside == m, 1.0, upper),
        p_values=np.array(p_values),
        confidence=confidence,
        n_truths=m,
    )
