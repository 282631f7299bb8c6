"""Are ranks uniform: chi-square over bins, and a simultaneous band about their distribution.

References:
    Saeilynoja, Buerkner and Vehtari, Graphical test for discrete uniformity and its applications
    in goodness-of-fit evaluation and multiple sample comparison, Stat. Comput. 32, 32 (2022),
    arXiv:2103.10522: the band, and that it is to be calibrated simultaneously.
    Moscovich and Nadler, Stat. Probab. Lett. 123, 177 (2017): the probability that the path of a
    Poisson process stays within bounds, from which that of a binomial path follows.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats
from scipy.special import gammaln

from boltzgen.checks import check_at_least
from boltzgen.estimators.calibration import check_ranks

_LEAST_EXPECTED = 5
_MOST_BINS = 20
_ROUNDING = 1e-9
_BISECTIONS = 40


@dataclass(frozen=True, kw_only=True)
class Uniformity:
    """Two tests that M ranks are uniform in 0 ... L: J bins, and the distribution at K points.

    Args:
        counts: Ranks in each bin, integers (J,).
        expected: Expected counts, exact for bins of unequal numbers of rank values, (J,).
        chi_square: Sum of (counts - expected)^2 / expected.
        dof: J - 1.
        p_value: Probability of a larger chi-square, in the approximation of many ranks.
        points: Where the distribution is looked at, P(rank <= k) if uniform, (K,).
        ecdf: Share of ranks at most k, (K,).
        lower: Lower end of the band, (K,).
        upper: Upper end of the band; the ends themselves are inside, (K,).
        level: Probability asked for that uniform ranks stay inside at all points.
        exact_level: The one that the band has; above `level` as shares are discrete.
        leaves: Whether the ranks leave the band.
        ecdf_p_value: Exact probability that uniform ranks go as far out at their worst point;
            1 - level or less where the band is left.
    """

    counts: np.ndarray
    expected: np.ndarray
    chi_square: float
    dof: int
    p_value: float
    points: np.ndarray
    ecdf: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    level: float
    exact_level: float
    leaves: bool
    ecdf_p_value: float


def uniformity(
    ranks: np.ndarray, L: int, *, level: float = 0.95, n_points: int = 100
) -> Uniformity:
    """Test whether ranks are uniform in 0 ... L.

    Bins are as many as leave five expected ranks in each, 20 at most, and as equal in their number
    of rank values as L + 1 allows. The band is made of the central intervals of the binomial
    counts of ranks up to k, all of one pointwise probability, which is calibrated so that all hold
    together with probability `level`; that probability is computed by recursion, not simulated.
    The two tests look at the same ranks: take one of them for a decision. So do those of several
    parameters of one model; multiply their least p-value by their number.

    Args:
        ranks: Of one parameter, integers in 0 ... L, shape (M,); at least 10, or
            a few more where L + 1 is small and odd.
        L: Draws of each posterior.
        level: Of the band.
        n_points: Rank values at which the distribution is looked at, at most; equidistant ones
            where there are more.

    Raises:
        ValueError: The ranks are not integers in 0 ... L or too few, or the level is not between
            0 and 1.
    """
    check_ranks(ranks, L)
    check_at_least("n_points", n_points, 1)
    if not 0 < level < 1:
        raise ValueError(f"level: expected a number between 0 and 1, got {level}")
    m = ranks.size
    edges = _edges(m, L)
    counts = np.histogram(ranks, edges)[0]
    expected = m * np.diff(edges) / (L + 1)
    chi_square, dof = float((np.square(counts - expected) / expected).sum()), counts.size - 1
    at, pointwise, exact_level = _calibrated(m, L, level, n_points)
    points = (at + 1) / (L + 1)
    up_to = np.searchsorted(np.sort(ranks), at, side="right")
    lower, upper = _band(m, points, pointwise)
    worst = _tails(m, points, up_to).min()
    return Uniformity(
        counts=counts,
        expected=expected,
        chi_square=chi_square,
        dof=dof,
        p_value=float(stats.chi2.sf(chi_square, dof)),
        points=points,
        ecdf=up_to / m,
        lower=lower / m,
        upper=upper / m,
        level=level,
        exact_level=exact_level,
        leaves=bool(((up_to < lower) | (up_to > upper)).any()),
        ecdf_p_value=1 - _probability_inside(m, points, *_band(m, points, worst)),
    )


def _edges(m: int, L: int) -> np.ndarray:
    """Edges of the bins in rank values, integers 0 ... L + 1."""
    n_bins = min(_MOST_BINS, L + 1, m // _LEAST_EXPECTED)
    while n_bins > 1 and ((L + 1) // n_bins) * m < _LEAST_EXPECTED * (L + 1):
        n_bins -= 1
    if n_bins < 2:
        raise ValueError(
            f"ranks: expected enough for two bins with {_LEAST_EXPECTED} expected ranks, got {m}"
        )
    return (L + 1) * np.arange(n_bins + 1) // n_bins


def _tails(m: int, points: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Twice the smaller of P(X <= count) and P(X >= count), X binomial (m, point)."""
    below = stats.binom.cdf(counts, m, points)
    above = stats.binom.cdf(m - counts, m, 1 - points)
    return 2 * np.minimum(below, above)


def _band(m: int, points: np.ndarray, pointwise: float) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest counts whose `_tails` are above `pointwise`, rounding aside."""
    tail = min(0.5 * pointwise * (1 + _ROUNDING), 1.0)
    lower = stats.binom.ppf(tail, m, points)
    upper = m - stats.binom.ppf(tail, m, 1 - points)
    return lower.astype(np.int64), upper.astype(np.int64)


def _probability_inside(m: int, points: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
    """Probability that counts of m uniform numbers up to each point are all within the bounds.

    The counts are those of a Poisson process of rate m given that it comes to m at 1; its steps
    are independent, so that one convolution leads from the distribution inside at a point to that
    at the next.
    """
    if (lower > upper).any():
        return 0.0
    steps = np.diff(points, prepend=0.0, append=1.0) * m
    counts = np.arange(m + 1)
    log_factorials = gammaln(counts + 1)
    inside, first = np.ones(1), 0
    for low, high, step in zip([*lower, m], [*upper, m], steps, strict=True):
        reach = slice(high - first + 1)
        log_poisson = counts[reach] * np.log(step) - step - log_factorials[reach]
        grown = np.convolve(inside, np.exp(log_poisson))
        inside, first = grown[max(low - first, 0) : reach.stop], max(low, first)
    log_end = m * np.log(m) - m - log_factorials[m]
    return float(min(inside[0] / np.exp(log_end), 1.0))


@lru_cache(maxsize=64)
def _calibrated(m: int, L: int, level: float, n_points: int) -> tuple[np.ndarray, float, float]:
    """Rank values looked at, the largest pointwise probability whose band has the level, its own.

    The probability inside falls in steps as the pointwise one rises, and is above the level where
    the pointwise one is shared out by Bonferroni.
    """
    n = min(n_points, L)
    at = (L + 1) * np.arange(1, n + 1) // (n + 1) - 1
    at.setflags(write=False)
    points = (at + 1) / (L + 1)
    low, high = np.log((1 - level) / n), 0.0
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        if _probability_inside(m, points, *_band(m, points, np.exp(middle))) >= level:
            low = middle
        else:
            high = middle
    pointwise = float(np.exp(low))
    return at, pointwise, _probability_inside(m, points, *_band(m, points, pointwise))
