import numpy as np
import pytest

from boltzgen.estimators import resampling
from boltzgen.estimators.resampling import bootstrap_sums, check_blocks, draw_counts


def test_spread_of_sums_is_the_plug_in_spread():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(300, 2))
    sums = bootstrap_sums(values, n_resamples=20_000, rng=rng)
    expected = values.std(0) * np.sqrt(300)
    # relative error of a standard deviation over R resamples is 1 / sqrt(2 R)
    z = (sums.std(0) / expected - 1) * np.sqrt(2 * 20_000)
    assert np.abs(z).max() < 4


def test_blocks_are_drawn_whole():
    values = np.arange(6.0)[:, None]
    blocks = check_blocks(np.array(["a", "a", "b", "b", "c", "c"]), 6)
    sums = bootstrap_sums(values, n_resamples=200, rng=np.random.default_rng(0), blocks=blocks)
    possible = {a + b + c for a in (1, 5, 9) for b in (1, 5, 9) for c in (1, 5, 9)}
    assert set(sums[:, 0]) <= possible


def test_chunks_cover_all_resamples(monkeypatch):
    monkeypatch.setattr(resampling, "_CHUNK", 25)
    sums = bootstrap_sums(np.ones((10, 1)), n_resamples=7, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(sums, np.full((7, 1), 10.0))


def test_counts():
    counts = draw_counts(5, 3, rng=np.random.default_rng(0))
    assert counts.shape == (3, 5)
    np.testing.assert_array_equal(counts.sum(1), [5, 5, 5])
    with pytest.raises(ValueError, match="n_resamples"):
        bootstrap_sums(np.ones((4, 1)), n_resamples=1, rng=np.random.default_rng(0))
