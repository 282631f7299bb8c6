import numpy as np
import pytest

from boltzgen.errors import NonFiniteError
from boltzgen.estimators.histograms import angle_edges, bin_angles, count_populations
from boltzgen.estimators.resampling import bootstrap_sums


@pytest.mark.parametrize("n_blocks", [None, 200])
def test_covariance_is_what_the_bootstrap_tends_to(n_blocks):
    rng = np.random.default_rng(0)
    bins, log_w = rng.integers(0, 4, 2000), rng.normal(size=2000)
    blocks = None if n_blocks is None else np.repeat(np.arange(n_blocks), 10)
    found = count_populations(bins, log_w, 4, blocks=blocks)
    w = np.exp(log_w)
    columns = np.column_stack([w * (bins == b) for b in range(4)])
    sums = bootstrap_sums(columns, n_resamples=4000, rng=rng, blocks=blocks)
    replicas = sums / sums.sum(1, keepdims=True)
    # relative error of a standard deviation over R resamples is 1 / sqrt(2 R); and 1 % for order
    np.testing.assert_allclose(found.errors, replicas.std(0), rtol=4 / np.sqrt(8000) + 0.01)
    correlation = np.corrcoef(replicas.T)
    ours = found.covariance / np.outer(found.errors, found.errors)
    np.testing.assert_allclose(ours, correlation, atol=4 / np.sqrt(4000) + 0.01)


def test_equal_weights_are_multinomial():
    bins = np.repeat([0, 1, 2], [50, 30, 20])
    found = count_populations(bins, None, 3)
    p = np.array([0.5, 0.3, 0.2])
    np.testing.assert_allclose(found.values, p)
    np.testing.assert_allclose(found.covariance, (np.diag(p) - np.outer(p, p)) / 99)
    assert found.n_effective == pytest.approx(100)
    assert found.n_independent == pytest.approx(99)


def test_correlated_samples_are_worth_fewer():
    bins = np.repeat(np.random.default_rng(1).integers(0, 5, 400), 25)
    found = count_populations(bins, None, 5, blocks=np.repeat(np.arange(400), 25))
    assert found.n_independent == pytest.approx(400, rel=0.02)
    assert found.n_effective == pytest.approx(400)


def test_samples_outside_all_bins_count_in_the_whole():
    found = count_populations(np.array([-1, 0, 0, 1]), None, 2)
    np.testing.assert_allclose(found.values, [0.5, 0.25])


def test_one_bin_with_everything():
    found = count_populations(np.zeros(10, dtype=int), None, 2)
    np.testing.assert_allclose(found.values, [1.0, 0.0])
    assert found.n_independent == pytest.approx(10)
    np.testing.assert_allclose(found.errors, 0.0, atol=1e-7)


def test_angles_wrap():
    angles = np.array([-np.pi, np.pi, 3 * np.pi, 0.0, -1e-9, np.pi - 1e-12, 2 * np.pi + 0.1])
    assert bin_angles("phi", angles, 4).tolist() == [0, 0, 0, 2, 1, 3, 2]
    assert angle_edges(4).tolist() == pytest.approx([-np.pi, -np.pi / 2, 0, np.pi / 2, np.pi])
    with pytest.raises(NonFiniteError, match="phi: expected finite angles, got 1"):
        bin_angles("phi", np.array([np.nan]), 4)
    with pytest.raises(ValueError, match="bins: expected shape"):
        count_populations(np.zeros(3, dtype=int), np.zeros(4), 2)
