import numpy as np
import pytest
from scipy.signal import lfilter

from boltzgen.errors import NonFiniteError
from boltzgen.estimators import block_labels, independent_indices, statistical_inefficiency


def autoregressive(rng, n, memory):
    noise = rng.normal(size=n) * np.sqrt(1 - memory**2)
    return lfilter([1.0], [1.0, -memory], noise)


def test_exact_inefficiency_of_an_autoregressive_chain():
    # g = (1 + a) / (1 - a) exactly
    rng = np.random.default_rng(0)
    found = [statistical_inefficiency(autoregressive(rng, 20_000, 0.8)) for _ in range(8)]
    # the tolerance is 5 times the spread over the eight chains
    assert abs(np.mean(found) - 9.0) < 5 * np.std(found, ddof=1)


def test_independent_samples_and_frozen_chain():
    assert statistical_inefficiency(np.random.default_rng(1).normal(size=5000)) < 1.3
    assert statistical_inefficiency(np.ones(50)) == 50
    assert independent_indices(np.ones(50)).tolist() == [0]


def test_indices_and_blocks_cover_the_chain():
    series = autoregressive(np.random.default_rng(2), 4000, 0.8)
    indices = independent_indices(series)
    assert 250 < indices.size < 700
    assert (np.diff(indices) > 0).all()
    labels = block_labels(series)
    assert labels[0] == 0
    assert (np.diff(labels) >= 0).all()
    assert np.bincount(labels).min() >= 25


def test_bad_series():
    with pytest.raises(NonFiniteError, match="got 1 that are not"):
        statistical_inefficiency(np.array([0.0, np.nan, 1.0]))
    with pytest.raises(ValueError, match="at least 2 samples"):
        statistical_inefficiency(np.zeros(1))
