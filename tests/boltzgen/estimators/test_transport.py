"""The Wasserstein distance on a line, against closed forms and SciPy."""

import numpy as np
import pytest
from scipy import stats

from boltzgen.errors import NonFiniteError
from boltzgen.estimators import wasserstein_2


def test_shifted_samples_are_their_shift_apart():
    rng = np.random.default_rng(1)
    x = rng.normal(size=500)
    assert wasserstein_2(x, rng.permutation(x) + 0.3) == pytest.approx(0.3)
    assert wasserstein_2(x, x) < 1e-7


def test_two_normals():
    """W_2^2 = (m - m')^2 + (s - s')^2."""
    levels = (np.arange(20_000) + 0.5) / 20_000
    x, y = stats.norm(0.5, 2.0).ppf(levels), stats.norm(-0.5, 1.0).ppf(levels[::2])
    assert wasserstein_2(x, y) == pytest.approx(np.sqrt(2), rel=1e-3)


def test_weights_are_repetitions():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=6), rng.normal(size=9)
    counts = np.array([1, 3, 0, 2, 1, 4])
    log_w = np.log(counts, where=counts > 0, out=np.full(6, -np.inf))
    assert wasserstein_2(x, y, log_w=log_w) == pytest.approx(wasserstein_2(np.repeat(x, counts), y))


def test_it_is_the_best_plan():
    """Against the smallest mean square over all ways to pair equally many points."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=30), rng.exponential(size=30)
    from_pairs = np.sqrt(np.square(np.sort(x) - np.sort(y)).mean())
    worse = min(np.sqrt(np.square(x - rng.permutation(y)).mean()) for _ in range(200))
    assert wasserstein_2(x, y) == pytest.approx(from_pairs)
    assert wasserstein_2(x, y) < worse


@pytest.mark.parametrize(
    ("x", "y", "error", "match"),
    [
        (np.zeros((2, 2)), np.zeros(3), ValueError, "x"),
        (np.zeros(2), np.zeros(0), ValueError, "y: expected shape"),
        (np.zeros(2), np.array([np.inf]), NonFiniteError, "y: expected finite"),
        (np.zeros(2, dtype=np.float32), np.zeros(3), ValueError, "x"),
    ],
)
def test_bad_samples_are_errors(x, y, error, match):
    with pytest.raises(error, match=match):
        wasserstein_2(x, y)


def test_weights_of_another_number_are_an_error():
    with pytest.raises(ValueError, match=r"log_w: expected shape \(3,\), got \(2,\)"):
        wasserstein_2(np.zeros(3), np.zeros(3), log_w=np.zeros(2))
