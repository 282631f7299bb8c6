"""Bootstrap of weighted sums: every estimate here is a function of a few sums over samples."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from boltzgen.checks import check_at_least

_CHUNK = 4_000_000


@dataclass(frozen=True)
class Estimate:
    """A number and its standard error.

    Args:
        value: The number.
        error: One standard error; NaN where none can be given.
    """

    value: float
    error: float

    def z(self, exact: float) -> float:
        """Distance from `exact` in standard errors."""
        return (self.value - exact) / self.error


def check_blocks(blocks: np.ndarray | None, n_samples: int) -> np.ndarray | None:
    """Bring block labels to integers 0 ... n_blocks - 1.

    Args:
        blocks: Labels of correlated groups (trajectories, or pieces longer than the correlation
            time), shape (N,); None for independent samples.
        n_samples: N.

    Returns:
        Integers of shape (N,), or None.

    Raises:
        ValueError: The shape is wrong or there are fewer than two blocks.
    """
    if blocks is None:
        return None
    blocks = np.asarray(blocks)
    if blocks.shape != (n_samples,):
        raise ValueError(f"blocks: expected shape ({n_samples},), got {blocks.shape}")
    names, index = np.unique(blocks, return_inverse=True)
    if names.size < 2:
        raise ValueError(f"blocks: expected at least 2 different labels, got {names.size}")
    return index


def sum_blocks(columns: np.ndarray, blocks: np.ndarray | None) -> np.ndarray:
    """Sum rows that share a block label, (N, M) -> (n_blocks, M)."""
    if blocks is None:
        return columns
    sums = np.zeros((int(blocks.max()) + 1, columns.shape[1]))
    np.add.at(sums, blocks, columns)
    return sums


def bootstrap_sums(
    columns: np.ndarray,
    *,
    n_resamples: int,
    rng: Generator,
    blocks: np.ndarray | None = None,
) -> np.ndarray:
    """Column sums of resampled rows.

    Rows (or whole blocks) are drawn with replacement as often as there are rows (blocks); a
    resample is a vector of counts, so all resamples together are one matrix product.

    Args:
        columns: One row per sample, shape (N, M).
        n_resamples: R.
        rng: The random stream.
        blocks: Integer labels 0 ... n_blocks - 1, shape (N,), as `check_blocks` returns them.

    Returns:
        Shape (R, M).
    """
    check_at_least("n_resamples", n_resamples, 2)
    rows = sum_blocks(columns, blocks)
    n_rows = rows.shape[0]
    chunk = max(1, _CHUNK // n_rows)
    sums = np.empty((n_resamples, rows.shape[1]))
    for start in range(0, n_resamples, chunk):
        size = min(chunk, n_resamples - start)
        sums[start : start + size] = draw_counts(n_rows, size, rng=rng) @ rows
    return sums


def draw_counts(n_rows: int, n_resamples: int, *, rng: Generator) -> np.ndarray:
    """How often each of `n_rows` rows is drawn in each resample, float64 (R, n_rows)."""
    drawn = rng.integers(0, n_rows, (n_resamples, n_rows))
    drawn += n_rows * np.arange(n_resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=n_resamples * n_rows)
    return counts.reshape(n_resamples, n_rows).astype(np.float64)
