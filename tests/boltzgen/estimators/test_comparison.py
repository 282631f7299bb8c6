import numpy as np
import pytest
from scipy import stats
from scipy.signal import lfilter

from boltzgen.estimators import angle_profile, compare_populations
from boltzgen.estimators.histograms import count_populations

N_REPEATS = 150


def weighted(rng, n=4000):
    """Angles from exp(0.5 cos phi), weighted to exp(2 cos phi); tails below 1e-3 in many bins."""
    phi = rng.vonmises(0.0, 0.5, n)
    return angle_profile(phi, 1.5 * np.cos(phi), n_bins=18).populations


def independent(rng, n=6000, bend=2.0):
    return angle_profile(rng.vonmises(0.0, bend, n), n_bins=18).populations


def correlated(rng, n=60_000, memory=0.95):
    """An autoregressive chain mapped by quantiles; its stationary law is exp(2 cos phi)."""
    steps = rng.normal(size=n) * np.sqrt(1 - memory**2)
    chain = lfilter([1.0], [1.0, -memory], steps, zi=[memory * rng.normal()])[0]
    phi = np.interp(stats.norm.cdf(chain), CUMULATIVE, GRID)
    return angle_profile(phi, n_bins=18, blocks=np.arange(n) // 200).populations


GRID = np.linspace(-np.pi, np.pi, 4001)
CUMULATIVE = stats.vonmises.cdf(GRID, 2.0)

PAIRS = {
    "weighted against independent": (weighted, independent),
    "independent against independent": (independent, independent),
    "weighted against correlated": (weighted, correlated),
}


@pytest.mark.parametrize("name", PAIRS)
def test_p_values_of_equal_densities_are_uniform(name):
    first, second = PAIRS[name]
    rng = np.random.default_rng(8)
    results = [compare_populations(first(rng), second(rng)) for _ in range(N_REPEATS)]
    p_values = [result.p_value for result in results]
    assert stats.kstest(p_values, "uniform").pvalue > 1e-3
    z = np.concatenate([result.z[np.isfinite(result.z)] for result in results])
    assert 0.9 < np.sqrt(np.mean(z**2)) < 1.1
    assert np.abs(z).max() < 4.5  # the largest of some 2000
    assert results[0].n_compared >= 10
    assert results[0].dof >= 9


def test_errors_without_blocks_are_found_out():
    rng = np.random.default_rng(9)
    p_values = []
    for _ in range(30):
        phi = np.repeat(rng.vonmises(0.0, 2.0, 2000), 10)
        profile = angle_profile(phi, n_bins=18).populations
        p_values.append(compare_populations(profile, independent(rng)).p_value)
    assert stats.kstest(p_values, "uniform").pvalue < 1e-6


def test_different_densities_give_tiny_p():
    rng = np.random.default_rng(10)
    for _ in range(10):
        result = compare_populations(weighted(rng), independent(rng, bend=1.5))
        assert result.p_value < 1e-6


def test_a_missed_mode_is_found():
    rng = np.random.default_rng(11)
    modes = rng.choice([0.0, 2.5], p=[0.9, 0.1], size=5000)
    whole = angle_profile(rng.vonmises(modes, 20.0), n_bins=18).populations
    part = angle_profile(rng.vonmises(0.0, 20.0, 5000), n_bins=18).populations
    result = compare_populations(part, whole)
    assert result.p_value < 1e-6
    assert np.nanmin(result.z) < -4


def test_leak_into_a_region_empty_in_the_reference_is_found():
    rng = np.random.default_rng(12)
    modes = rng.choice([0.0, 2.5], p=[0.95, 0.05], size=5000)
    leaking = angle_profile(rng.vonmises(modes, 20.0), n_bins=18).populations
    reference = angle_profile(rng.vonmises(0.0, 20.0, 5000), n_bins=18).populations
    assert compare_populations(leaking, reference).p_value < 1e-6


def test_an_unlucky_empty_bin_is_no_alarm():
    # 20 independent samples cannot be expected to hit a bin of population 0.01
    few = count_populations(np.repeat([0, 1], 10), None, 3)
    many = count_populations(np.repeat([0, 1, 2], [4950, 4950, 100]), None, 3)
    result = compare_populations(few, many)
    assert abs(result.z[2]) < 1
    assert result.dof == 1


def test_too_few_blocks_is_an_error():
    rng = np.random.default_rng(13)
    few = angle_profile(
        rng.vonmises(0.0, 0.5, 4000), n_bins=18, blocks=np.arange(4000) // 1000
    ).populations
    with pytest.raises(ValueError, match="take fewer bins or shorter blocks"):
        compare_populations(few, few)
    with pytest.raises(ValueError, match="model: expected 18 bins, got 2"):
        compare_populations(count_populations(np.array([0, 1]), None, 2), few)
    one = count_populations(np.zeros(100, dtype=int), None, 2)
    with pytest.raises(ValueError, match="expected at least 2 bins"):
        compare_populations(one, one)
