"""Equally weighted draws out of weighted ones, where a method takes no weights."""

import numpy as np
from numpy.random import Generator

from boltzgen.checks import check_at_least
from boltzgen.estimators.weights import normalise


def resample(log_w: np.ndarray, n: int, *, rng: Generator) -> np.ndarray:
    """Indices of n draws that stand for the weighted ones, i as often as n w_i on average.

    Systematic resampling of the samples in a random order: n equidistant points with one random
    offset fall on the intervals of length w_i, so that i is taken floor(n w_i) or ceil(n w_i)
    times. Multinomial resampling takes a sample twice by mere chance even if all weights are
    equal; this one does only where n w_i > 1, and n = N equal weights give each sample once. The
    indices come in random order: the draws are exchangeable, as calibration by ranks needs.

    The draws follow the target only as far as the weighted samples do, and their effective number
    (`effective_sample_size`) has to be well above n. Where it is not, draws repeat, and where the
    weights have a tail, the far end of the target is represented by too few: ranks of true values
    pile up at that end, by a relative excess of order n / ESS. Let n be a tenth of the ESS or less
    for calibration; errors of the draws, as if there were n independent ones, lack that of the
    weights.

    Args:
        log_w: Log-weights up to a constant, shape (N,).
        n: How many draws.
        rng: The random stream.

    Returns:
        Integers in 0 to N - 1, shape (n,); a sample of weight zero is not among them.

    Raises:
        ValueError: n is below 1, or the weights have another shape or dtype.
        NonFiniteError: There is a NaN or a +inf, or every weight is zero.

    References:
        Douc, Cappe and Moulines, Comparison of resampling schemes for particle filtering (2005),
        arXiv:cs/0507025, section 2.4.

    Example:
        >>> found = resample(np.array([-np.inf, 0.0, 0.0]), 4, rng=np.random.default_rng(0))
        >>> np.bincount(found)
        array([0, 2, 2])
    """
    check_at_least("n", n, 1)
    w = normalise(log_w)
    order = rng.permutation(w.size)
    w = w[order]
    ends = np.cumsum(w)
    points = (rng.random() + np.arange(n)) / n * ends[-1]
    last = np.flatnonzero(w)[-1]
    taken = np.minimum(np.searchsorted(ends, points, side="right"), last)
    return rng.permutation(order[taken])
