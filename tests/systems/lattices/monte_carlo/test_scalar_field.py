"""Cluster and heat-bath steps against quadrature on lattices of two to four sites."""

import numpy as np
import pytest
import torch

from boltzgen.estimators.gamma_method import gamma_method
from systems.lattices.monte_carlo import cluster_step, field_sums, heat_bath_step, make_streams
from tests.systems.lattices.monte_carlo.enumeration import bond_sums

CASES = {
    "ring of two": ((2,), (-1.0, 1.0, 0.5)),
    "ring of three": ((3,), (-0.5, 0.6, 0.8)),
    "two by two": ((2, 2), (0.5, 0.3, 0.4)),
    "two wells": ((2, 2), (-1.5, 0.8, 0.2)),
}


def columns(x):
    n_sites = x[0].size
    sums = field_sums(x)
    m = sums.first / n_sites
    rest = [s / n_sites for s in (sums.square, sums.quartic, sums.bond)]
    return np.stack([np.abs(m), m**2, m**4, *rest], -1)


def exact_averages(shape, a, b, t):
    """Trapezoid rule, whose error is exponentially small for a smooth density that decays."""
    n_sites = int(np.prod(shape))
    points = np.linspace(-3.6, 3.6, 34 if n_sites == 4 else 70)
    grids = np.meshgrid(*[points] * n_sites, indexing="ij")
    x = np.stack(grids, -1).reshape(-1, *shape)
    sums = field_sums(x)
    action = a * sums.square + b * sums.quartic - t * sums.bond
    weights = np.exp(action.min() - action)
    # |m| has a kink, which the rule does not like: it is left to the other columns
    return (weights @ columns(x) / weights.sum())[1:]


def streams_of(n_chains, seed=0):
    return make_streams(n_chains, generator=torch.Generator().manual_seed(seed))


def sampled(shape, couplings, methods, *, n_chains=100, n_steps=500):
    """Chains that take one step of each method in turn, measured after each turn."""
    a, b, t = couplings
    streams = streams_of(n_chains)
    x = np.random.default_rng(0).normal(size=(n_chains, *shape))
    records = []
    for k in range(n_steps + 30):
        for method in methods:
            if method == "heat bath":
                step = heat_bath_step(x, streams, quadratic=a, quartic=b, hopping=t)
            else:
                step = cluster_step(x, streams, hopping=t, method=method)
            x, streams = step.x, step.streams
        if k >= 30:
            records.append(columns(x))
    return np.stack(records, 1)


def largest_z(series, exact):
    z = [
        gamma_method(np.ascontiguousarray(series[..., k + 1])).z(exact[k])
        for k in range(exact.size)
    ]
    return np.abs(z).max()


@pytest.mark.parametrize("case", CASES)
def test_steps_against_quadrature(case):
    shape, couplings = CASES[case]
    exact = exact_averages(shape, *couplings)
    for methods in (
        ["heat bath"],
        ["wolff", "heat bath"],
        ["heat bath", "swendsen-wang"],
    ):
        assert largest_z(sampled(shape, couplings, methods), exact) < 4


def test_heat_bath_with_hopping_below_zero_and_without_a_quartic_term():
    for couplings in ((-1.0, 1.0, -0.4), (1.0, 0.0, 0.6)):
        series = sampled((2,), couplings, ["heat bath"])
        assert largest_z(series, exact_averages((2,), *couplings)) < 4


def test_each_chain_has_its_own_couplings():
    a, b, t = np.array([-1.0, 0.5, 2.0]), np.array([1.0, 0.3, 0.1]), np.array([0.3, 0.4, 0.0])
    n = 300
    many = [np.repeat(c, n) for c in (a, b, t)]
    series = sampled((2, 2), many, ["heat bath", "wolff"], n_chains=3 * n, n_steps=60)
    for k in range(3):
        exact = exact_averages((2, 2), a[k], b[k], t[k])
        assert largest_z(series[k * n : (k + 1) * n], exact) < 4


@pytest.mark.parametrize("method", ["wolff", "swendsen-wang"])
@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 4)])
def test_clusters_change_signs_alone(method, shape):
    x = np.random.default_rng(1).normal(size=(20, *shape))
    before = x.copy()
    streams = streams_of(20)
    step = cluster_step(x, streams, hopping=0.4, method=method)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(streams, streams_of(20))
    np.testing.assert_array_equal(np.abs(step.x), np.abs(x))
    changed = (step.x != x).reshape(20, -1).sum(1)
    np.testing.assert_array_equal(step.n_flipped, changed)
    assert changed.any()
    np.testing.assert_allclose(step.sums.bond, bond_sums(step.x.reshape(20, -1), shape), atol=1e-12)


def test_several_clusters_are_steps_in_a_row():
    x = np.random.default_rng(2).normal(size=(4, 6, 6))
    at_once = cluster_step(x, streams_of(4), hopping=0.3, n_clusters=3)
    x_now, streams, n_flipped = x, streams_of(4), np.zeros(4, dtype=np.int64)
    for _ in range(3):
        step = cluster_step(x_now, streams, hopping=0.3)
        x_now, streams, n_flipped = step.x, step.streams, n_flipped + step.n_flipped
    np.testing.assert_array_equal(at_once.x, x_now)
    np.testing.assert_array_equal(at_once.n_flipped, n_flipped)
    np.testing.assert_array_equal(at_once.streams, streams)


def test_several_heat_bath_sweeps_are_steps_in_a_row():
    x = np.random.default_rng(3).normal(size=(4, 3, 5))
    couplings = {"quadratic": 0.1, "quartic": 0.5, "hopping": 0.3}
    at_once = heat_bath_step(x, streams_of(4), n_sweeps=2, **couplings)
    first = heat_bath_step(x, streams_of(4), **couplings)
    second = heat_bath_step(first.x, first.streams, **couplings)
    np.testing.assert_array_equal(at_once.x, second.x)
    assert at_once.n_flipped is None


X = np.ones((2, 4, 4))


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (X.astype(np.float32), {"hopping": 0.1}, "x: expected a float64 array, got float32"),
        (X * np.nan, {"hopping": 0.1}, "x: expected finite numbers, got 32"),
        (X[:1], {"hopping": 0.1}, "streams: expected shape"),
        (X[:, :1], {"hopping": 0.1}, "shape: expected"),
        (X, {"hopping": -0.1}, "hopping: expected numbers of at least 0"),
        (X, {"hopping": np.ones(3)}, "hopping: expected a number or"),
        (X, {"hopping": np.inf}, "hopping: expected finite"),
        (X, {"hopping": 0.1, "n_clusters": 0}, "n_clusters: expected"),
        (X, {"hopping": 0.1, "method": "other"}, "method: expected"),
        (X, {"hopping": 0.1, "method": "swendsen-wang", "n_clusters": 2}, "n_clusters: expected 1"),
    ],
)
def test_bad_cluster_steps(x, options, message):
    with pytest.raises(ValueError, match=message):
        cluster_step(x, streams_of(2), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quartic": -0.1}, "quartic: expected numbers of at least 0"),
        ({"quartic": 0.0, "quadratic": 0.2}, "quadratic: expected more than 2"),
        ({"quadratic": np.nan}, "quadratic: expected finite"),
        ({"n_sweeps": True}, "n_sweeps: expected an integer"),
    ],
)
def test_bad_heat_bath_steps(options, message):
    given = {"quadratic": 1.0, "quartic": 0.5, "hopping": 0.1, **options}
    with pytest.raises(ValueError, match=message):
        heat_bath_step(X, streams_of(2), **given)
