"""Functions of weighted means, such as a susceptibility, with their errors."""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from boltzgen.checks import check_float64
from boltzgen.estimators.resampling import Estimate, bootstrap_sums, check_blocks
from boltzgen.estimators.weights import normalise


def function_of_means(
    values: np.ndarray,
    log_w: np.ndarray,
    function: Callable[[np.ndarray], float],
    *,
    rng: Generator,
    n_resamples: int = 200,
    blocks: np.ndarray | None = None,
) -> Estimate:
    """f(E_p[a_1], ..., E_p[a_M]) from weighted samples, E_p[a] = sum w a / sum w.

    The bias of order 1 / N that f and the ratio have is not corrected; the error is that of a
    bootstrap over samples, in which weights and values stay together.

    Args:
        values: a at each sample, shape (N, M).
        log_w: Log-weights up to a constant, shape (N,); zeros for unweighted samples.
        function: f, of an array (M,).
        rng: The random stream of the bootstrap.
        n_resamples: How many bootstrap resamples.
        blocks: Labels of correlated groups, shape (N,).

    Returns:
        The value with its bootstrap error.

    Raises:
        ValueError: A dtype or shape is wrong, or a value with weight is not finite.
        NonFiniteError: There is a NaN or a +inf among the weights, or every weight is zero.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> a = rng.normal(size=(1000, 1))
        >>> variance = function_of_means(
        ...     np.hstack([a, a**2]), np.zeros(1000), lambda m: m[1] - m[0] ** 2, rng=rng
        ... )
        >>> abs(variance.z(1.0)) < 4
        True
    """
    check_float64("values", values, 2)
    w = normalise(log_w)
    if len(values) != len(w):
        raise ValueError(f"values: expected {len(w)} rows, got {len(values)}")
    held = np.where(w[:, None] > 0, values, 0.0)
    if not np.isfinite(held).all():
        raise ValueError("values: expected finite numbers wherever there is weight")
    labels = check_blocks(blocks, len(w))
    columns = np.concatenate([w[:, None], w[:, None] * held], axis=1)
    sums = bootstrap_sums(columns, n_resamples=n_resamples, rng=rng, blocks=labels)
    replicas = [function(row[1:] / row[0]) for row in sums if row[0] > 0]
    return Estimate(float(function(w @ held)), float(np.std(replicas, ddof=1)))
