"""Autoregressive chains, whose autocorrelation time, (1 + a) / (2 (1 - a)), is known."""

import math

import numpy as np
import pytest
from scipy.signal import lfilter

from boltzgen.errors import NonFiniteError, NotConvergedError
from boltzgen.estimators.gamma_method import GammaEstimate, autocovariance, gamma_method


def autoregressive(rng, a, shape):
    """Stationary chains of unit variance with correlation a from one record to the next."""
    noise = rng.normal(size=shape) * math.sqrt(1 - a * a)
    start = rng.normal(size=(*shape[:-1], 1))
    return lfilter([1.0], [1.0, -a], noise, zi=a * start)[0]


def exact_tau(a):
    return (1 + a) / (2 * (1 - a))


def direct_autocovariance(p, lag):
    n_chains, n = p.shape
    return (p[:, : n - lag] * p[:, lag:]).sum() / (n_chains * (n - lag))


def test_autocovariance_by_transform_is_the_direct_sum():
    p = np.random.default_rng(0).normal(size=(3, 21))
    expected = [direct_autocovariance(p, lag) for lag in range(11)]
    np.testing.assert_allclose(autocovariance(p), expected, atol=1e-13)


@pytest.mark.parametrize("a", [0.0, 0.5, 0.9])
def test_time_and_error_of_one_long_chain(a):
    series = autoregressive(np.random.default_rng(1), a, (1, 100_000))
    found = gamma_method(series)
    assert abs(found.tau_int - exact_tau(a)) < 4 * found.tau_int_error + 0.01
    assert found.error == pytest.approx(math.sqrt(2 * exact_tau(a) / series.size), rel=0.08)
    assert abs(found.z(0.0)) < 4
    assert math.isnan(found.consistency)
    assert found.n_records == series.size


@pytest.mark.parametrize(("a", "n_chains"), [(0.0, 1), (0.8, 1), (0.8, 5)])
def test_errors_cover_over_many_seeds(a, n_chains):
    rng = np.random.default_rng(2)
    found = [gamma_method(autoregressive(rng, a, (n_chains, 2000))) for _ in range(200)]
    z = np.array([f.z(0.0) for f in found])
    assert 0.85 < np.sqrt((z**2).mean()) < 1.15
    taus = np.array([f.tau_int for f in found])
    claimed = np.mean([f.tau_int_error for f in found])
    assert abs(taus.mean() - exact_tau(a)) < 0.05 * exact_tau(a)
    assert 0.6 < taus.std() / claimed < 1.5
    errors = np.array([f.error for f in found])
    assert 0.6 < errors.std() / np.mean([f.error_of_error for f in found]) < 1.5


def test_chains_joined_into_replicas_give_what_one_chain_gives():
    series = autoregressive(np.random.default_rng(3), 0.7, (1, 40_000))
    one, many = gamma_method(series), gamma_method(series.reshape(8, 5000))
    assert many.value == pytest.approx(one.value, abs=1e-12)
    assert many.error == pytest.approx(one.error, rel=0.03)
    assert 1e-3 < many.consistency <= 1


def pair(rng, shape):
    x = autoregressive(rng, 0.6, shape)
    y = 0.5 * x + autoregressive(rng, 0.3, shape)
    return np.stack([3.0 + 0.5 * x, 2.0 + 0.5 * y], -1)


def ratio(means):
    return means[0] / means[1]


def ratio_gradient(means):
    return np.array([1 / means[1], -means[0] / means[1] ** 2])


def test_ratio_of_means_against_theory():
    rng = np.random.default_rng(4)
    found = [gamma_method(pair(rng, (4, 1000)), ratio) for _ in range(200)]
    z = np.array([f.z(1.5) for f in found])
    assert 0.85 < np.sqrt((z**2).mean()) < 1.15
    assert abs(z.mean()) * math.sqrt(z.size) < 4
    # dF = da / 2 - 3 db / 4 on a = x / 2, b = x / 4 + z / 2, x and z independent
    first, second = 0.5 * 0.5 - 0.75 * 0.25, -0.75 * 0.5
    variance = 2 * (first**2 * exact_tau(0.6) + second**2 * exact_tau(0.3)) / 4000
    assert np.mean([f.error for f in found]) == pytest.approx(math.sqrt(variance), rel=0.05)


def test_gradient_by_differences_is_that_given():
    series = pair(np.random.default_rng(5), (2, 3000))
    numerical, given = (
        gamma_method(series, ratio),
        gamma_method(series, ratio, gradient=ratio_gradient),
    )
    assert numerical.error == pytest.approx(given.error, rel=1e-4)
    assert numerical.value == given.value


def test_bias_of_a_square_is_taken_out():
    rng = np.random.default_rng(6)
    values = [
        gamma_method(autoregressive(rng, 0.5, (8, 200))[..., None], lambda m: m[0] ** 2).value
        for _ in range(400)
    ]
    error = np.std(values) / math.sqrt(len(values))
    bias_of_naive = 2 * exact_tau(0.5) / 1600
    assert bias_of_naive > 6 * error
    assert abs(np.mean(values)) < 4 * error


def test_a_constant_primary_beside_a_moving_one_is_no_harm():
    x = autoregressive(np.random.default_rng(7), 0.4, (1, 500))
    both = np.stack([x, np.full_like(x, 2.0)], -1)
    assert gamma_method(both, lambda m: m[0] * m[1]).error == pytest.approx(
        2 * gamma_method(x).error
    )


def test_stuck_chains_are_seen():
    rng = np.random.default_rng(8)
    apart = autoregressive(rng, 0.2, (8, 500)) + 5.0 * np.arange(8)[:, None]
    with pytest.raises(NotConvergedError, match="has not decayed"):
        gamma_method(apart)
    slightly = autoregressive(rng, 0.2, (4, 4000)) + 0.15 * np.arange(4)[:, None]
    assert gamma_method(slightly).consistency < 1e-3


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 / 3])
def test_a_chain_that_never_moved_has_no_error(value):
    with pytest.raises(NonFiniteError, match="never changes"):
        gamma_method(np.full((2, 100), value))
    with pytest.raises(NonFiniteError, match="never changes"):
        gamma_method(np.full((2, 100, 2), value), lambda m: float(m.sum()))


def test_small_changes_on_a_large_offset_are_kept():
    x = autoregressive(np.random.default_rng(9), 0.5, (1, 4000))
    assert gamma_method(1e6 + x).error == pytest.approx(gamma_method(x).error, rel=1e-6)


@pytest.mark.parametrize("a", [-0.3, -0.9])
def test_anticorrelated_records_get_the_error_of_independent_ones(a):
    series = autoregressive(np.random.default_rng(10), a, (1, 20_000))
    found = gamma_method(series)
    assert found.tau_int == 0.5
    assert found.error == pytest.approx(np.std(series) / math.sqrt(series.size), rel=1e-3)


@pytest.mark.parametrize(
    ("series", "options", "message"),
    [
        (np.zeros(10), {}, "series: expected 3 dim"),
        (np.zeros((1, 10), dtype=np.float32), {}, "series: expected a float64"),
        (np.zeros((1, 7)), {}, "at least 8 records"),
        (np.zeros((0, 10)), {}, "one or more chains"),
        (np.zeros((1, 10, 2)), {}, "function: expected one for 2"),
        (np.zeros((1, 10)), {"S": 0.0}, "S: expected"),
    ],
)
def test_bad_input_is_named(series, options, message):
    with pytest.raises(ValueError, match=message):
        gamma_method(series, **options)


def test_what_is_not_finite_is_named():
    series = np.random.default_rng(11).normal(size=(1, 50))
    with pytest.raises(NonFiniteError, match="number at the means"):
        gamma_method(series, lambda m: math.nan, gradient=np.ones_like)
    with pytest.raises(NonFiniteError, match="gradient"):
        gamma_method(series, lambda m: math.nan)
    with pytest.raises(ValueError, match="gradient: expected shape"):
        gamma_method(series, lambda m: m[0], gradient=lambda m: np.ones(3))
    series[0, 3] = math.inf
    with pytest.raises(NonFiniteError, match="1 that are not"):
        gamma_method(series)


def test_z_counts_standard_errors():
    found = GammaEstimate(3.0, 0.5, 0.1, 0.5, 0.1, 1, math.nan, 100)
    assert found.z(2.0) == 2.0
