"""Counted states against published counts, a plain sum, and finite differences."""

import itertools
import math

import numpy as np
import pytest
import torch

from systems.lattices.exact import enumerate_ising
from systems.lattices.geometry import forward_sum

FOUR_BY_FOUR = {32: 2, 24: 32, 20: 64, 16: 424, 12: 1728, 8: 6688, 4: 13568, 0: 20524}
KNOWN = [  # beta, then log Z, E / V, <|m|> of 4 x 4
    (0.2, 11.77147036, -0.45613537, 0.34276563),
    (0.4, 14.56109302, -1.37911648, 0.76471239),
    (0.6, 20.05653288, -1.90806953, 0.97286745),
]
DIGIT = 0.6e-8


@pytest.fixture(scope="module")
def four():
    return enumerate_ising((4, 4))


def test_the_density_of_states_of_4_by_4_is_known(four):
    expected = FOUR_BY_FOUR | {-b: n for b, n in FOUR_BY_FOUR.items()}
    assert four.density_of_states() == expected


@pytest.mark.parametrize(("beta", "log_partition", "energy", "absolute"), KNOWN)
def test_known_averages_of_4_by_4(four, beta, log_partition, energy, absolute):
    found = [
        four.log_partition(1 / beta),
        four.energy(1 / beta) / 16,
        four.absolute_magnetisation(1 / beta),
    ]
    np.testing.assert_allclose(found, [log_partition, energy, absolute], rtol=0, atol=DIGIT)


def test_known_averages_at_the_critical_temperature(four):
    T = 2 / math.log(1 + math.sqrt(2))
    np.testing.assert_allclose(four.magnetisation_square(T), 0.76135891, rtol=0, atol=DIGIT)
    np.testing.assert_allclose(four.heat_capacity(T) / 16, 0.783267, rtol=0, atol=5e-7)


@pytest.mark.parametrize("shape", [(5,), (2, 2), (3, 3), (2, 4), (2, 2, 2), (2, 2, 3)])
@pytest.mark.parametrize(("T", "J", "h"), [(1.3, 1.0, 0.0), (2.0, 0.8, 0.4), (1.7, -0.6, -0.3)])
def test_averages_agree_with_a_plain_sum_over_states(shape, T, J, h):
    states = enumerate_ising(shape)
    n = math.prod(shape)
    s = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=n)), dtype=torch.float64)
    bonds = (s.reshape(-1, *shape) * forward_sum(s.reshape(-1, *shape), len(shape))).flatten(1)
    b, m = bonds.sum(1).numpy(), s.sum(1).numpy()
    energy = -J * b - h * m
    p = np.exp(-energy / T)
    z = p.sum()
    p /= z
    mean, m_mean = p @ energy, p @ m
    expected = {
        "log_partition": math.log(z),
        "energy": mean,
        "heat_capacity": p @ (energy - mean) ** 2 / T**2,
        "bond_sum": p @ b,
        "magnetisation": m_mean / n,
        "absolute_magnetisation": p @ np.abs(m) / n,
        "magnetisation_square": p @ m**2 / n**2,
        "magnetisation_fourth": p @ m**4 / n**4,
        "binder_cumulant": 1 - (p @ m**4) / (3 * (p @ m**2) ** 2),
        "susceptibility": p @ (m - m_mean) ** 2 / T,
    }
    for name, value in expected.items():
        found = getattr(states, name)(T, J, h)
        np.testing.assert_allclose(found, value, rtol=1e-12, atol=1e-13, err_msg=name)


@pytest.mark.parametrize("shape", [(5, 5), (3, 3, 2), (25,)])
def test_every_state_is_counted_once(shape):
    states = enumerate_ising(shape)
    n = math.prod(shape)
    assert int(states.counts.sum()) == 2**n
    by_magnetisation = np.zeros(2 * n + 1, dtype=np.int64)
    np.add.at(by_magnetisation, states.magnetisations + n, states.counts)
    expected = [math.comb(n, up) for up in range(n + 1)]
    assert by_magnetisation[::2].tolist() == expected


def test_averages_are_derivatives(four):
    T, h, step = 2.4, 0.1, 1e-4

    def derivative(f):
        return (f(step) - f(-step)) / (2 * step)

    slope = derivative(lambda d: four.energy(T + d, 1.0, h))
    np.testing.assert_allclose(four.heat_capacity(T, 1.0, h), slope, rtol=1e-6)
    slope = T**2 * derivative(lambda d: four.log_partition(T + d, 1.0, h))
    np.testing.assert_allclose(four.energy(T, 1.0, h), slope, rtol=1e-6)
    slope = T * derivative(lambda d: four.log_partition(T, 1.0, h + d))
    np.testing.assert_allclose(16 * four.magnetisation(T, 1.0, h), slope, rtol=1e-6)
    slope = 16 * derivative(lambda d: four.magnetisation(T, 1.0, h + d))
    np.testing.assert_allclose(four.susceptibility(T, 1.0, h), slope, rtol=1e-6)


def test_low_temperatures_do_not_overflow(four):
    np.testing.assert_allclose(four.log_partition(1e-3), 32e3 + math.log(2), rtol=1e-14)
    assert four.energy(1e-3) == -32.0
    assert four.heat_capacity(1e-3) == 0.0


def test_counts_cannot_be_changed(four):
    with pytest.raises(ValueError, match="read-only"):
        four.counts[0] = 1


def test_bad_input_is_refused(four):
    with pytest.raises(ValueError, match="at most 25 sites, got 30"):
        enumerate_ising((5, 6))
    with pytest.raises(ValueError, match="shape"):
        enumerate_ising((1, 4))
    for T in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="T: expected"):
            four.energy(T)
    with pytest.raises(ValueError, match="J: expected"):
        four.energy(1.0, math.nan)
    with pytest.raises(ValueError, match="h: expected"):
        four.energy(1.0, 1.0, math.inf)
