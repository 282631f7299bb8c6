import numpy as np
import pytest
from scipy import stats

from boltzgen.estimators.uniformity import uniformity


def binomial_z(count, n, p):
    return (count - n * p) / np.sqrt(n * p * (1 - p))


@pytest.mark.parametrize(("M", "L"), [(60, 100), (150, 19), (200, 999)])
def test_false_positives_are_as_many_as_announced(M, L):
    rng, n_sets = np.random.default_rng(M), 1500
    found = [uniformity(rng.integers(0, L, M, endpoint=True), L) for _ in range(n_sets)]
    n_left, exact = sum(f.leaves for f in found), found[0].exact_level
    assert 0.95 <= exact < 0.956
    assert abs(binomial_z(n_left, n_sets, 1 - exact)) < 4
    # the p-value of the band is discrete, so that P(p <= 0.05) is at most 0.05, and close to it
    assert n_left == sum(f.ecdf_p_value <= 0.05 for f in found)
    for level in (0.05, 0.2):
        rejected = sum(f.p_value < level for f in found)
        assert abs(binomial_z(rejected, n_sets, level)) < 4
        rejected = sum(f.ecdf_p_value <= level for f in found)
        assert binomial_z(rejected, n_sets, level) < 4
        assert binomial_z(rejected, n_sets, 0.9 * level) > -4


def ranks_of(values, L):
    return np.minimum(np.floor(values * (L + 1)).astype(int), L)


@pytest.mark.parametrize(
    ("width", "shift"), [(0.7, 0.0), (1.4, 0.0), (1.0, 0.3)], ids=["over", "under", "shifted"]
)
def test_power(width, shift):
    """Truths are N(0, 1), posteriors N(shift, width^2): narrow ones give over-dispersed ranks."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(100):
        values = stats.norm.cdf((rng.normal(size=400) - shift) / width)
        found.append(uniformity(ranks_of(values, 99), 99))
    assert np.mean([f.p_value < 0.05 for f in found]) > 0.9
    assert np.mean([f.leaves for f in found]) > 0.9


def test_the_band_agrees_with_simulation():
    """The recursion against the share of 40,000 binomial paths that stay inside."""
    rng, m, n_draws, n_paths = np.random.default_rng(2), 80, 12, 40_000
    found = uniformity(rng.integers(0, 13, m), n_draws)
    counts = rng.multinomial(m, np.full(13, 1 / 13), n_paths).cumsum(1)[:, :-1] / m
    inside = ((counts >= found.lower) & (counts <= found.upper)).all(1).sum()
    assert abs(binomial_z(inside, n_paths, found.exact_level)) < 4
    worst = stats.binom.cdf(np.rint(m * counts), m, found.points)
    worst = np.minimum(worst, stats.binom.sf(np.rint(m * counts) - 1, m, found.points)).min(1)
    own = stats.binom.cdf(np.rint(m * found.ecdf), m, found.points)
    own = np.minimum(own, stats.binom.sf(np.rint(m * found.ecdf) - 1, m, found.points)).min()
    as_far = (worst <= own * (1 + 1e-8)).sum()
    assert abs(binomial_z(as_far, n_paths, found.ecdf_p_value)) < 4


def test_distribution_and_points():
    ranks = np.array([0, 0, 3, 4, 4, 4, 1, 2, 2, 0, 0, 0, 4, 4, 1, 1, 1, 1, 1, 3])
    found = uniformity(ranks, 4)
    np.testing.assert_allclose(found.points, [0.2, 0.4, 0.6, 0.8])
    np.testing.assert_allclose(found.ecdf, [0.25, 0.55, 0.65, 0.75])
    few = uniformity(np.arange(1000), 999, n_points=9)
    np.testing.assert_allclose(few.points, np.arange(1, 10) / 10)
    np.testing.assert_allclose(few.ecdf, few.points)
    assert few.ecdf_p_value == pytest.approx(1)
    assert few.chi_square == 0


def test_bins_of_unequal_size_have_exact_expectations():
    """7 rank values and 21 ranks: three bins of 2, 2 and 3 values."""
    ranks = np.arange(21) % 7
    found = uniformity(ranks, 6)
    np.testing.assert_allclose(found.expected, [3 * s for s in (2, 2, 3)])
    np.testing.assert_array_equal(found.counts, found.expected)
    assert found.dof == 2
    wide = uniformity(np.arange(1010) % 101, 100)
    assert wide.dof == 19
    assert set(wide.expected) == {50.0, 60.0}


def test_extreme_ranks_leave_the_band_for_certain():
    found = uniformity(np.zeros(100, dtype=int), 50)
    assert found.leaves
    assert found.ecdf_p_value < 1e-12
    assert found.p_value < 1e-12


def test_bad_arguments():
    ranks = np.arange(9)
    with pytest.raises(ValueError, match="ranks: expected enough for two bins"):
        uniformity(ranks, 9)
    with pytest.raises(ValueError, match="ranks: expected 0 to 7"):
        uniformity(ranks, 7)
    with pytest.raises(ValueError, match="level: expected a number between 0 and 1, got 1"):
        uniformity(np.arange(20), 19, level=1)
    with pytest.raises(ValueError, match="n_points"):
        uniformity(np.arange(20), 19, n_points=0)
