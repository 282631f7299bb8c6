"""Whether chains agree with each other."""

import numpy as np

from boltzgen.checks import check_float64

_LEAST = 4


def split_rhat(chains: np.ndarray) -> float:
    """Potential scale reduction of chains cut into halves, sqrt(((n - 1) W / n + B / n) / W).

    W is the mean of the variances within the 2 M halves of length n, B n times the variance of
    their means. It is 1 for chains that agree, and above 1.01 for ones that should be longer.

    Args:
        chains: One number of M chains over N steps, float64 (M, N), N at least 4.

    Returns:
        R-hat; 1 where nothing ever moves, +inf where only the chains differ.

    Raises:
        ValueError: A dtype or shape is wrong, or a number is not finite.

    References:
        Gelman et al., Bayesian Data Analysis, third edition (2013), equation 11.4.
    """
    check_float64("chains", chains, 2)
    if chains.shape[1] < _LEAST or not np.isfinite(chains).all():
        raise ValueError(f"chains: expected finite numbers, 4 steps or more, got {chains.shape}")
    n = chains.shape[1] // 2
    halves = np.concatenate([chains[:, :n], chains[:, -n:]])
    within = halves.var(1, ddof=1).mean()
    between = halves.mean(1).var(ddof=1)
    if within == 0:
        return 1.0 if between == 0 else float("inf")
    return float(np.sqrt((n - 1) / n + between / within))
