"""The infinite lattice against large tori, a double integral, and known constants."""

import math

import numpy as np
import pytest

from systems.lattices.exact import (
    critical_temperature,
    onsager_energy,
    onsager_free_energy,
    onsager_log_partition,
    onsager_specific_heat,
    spontaneous_magnetisation,
    torus_averages,
)

T_C = critical_temperature()
CATALAN = 0.915965594177219015


def test_known_constants():
    np.testing.assert_allclose(T_C, 2.269185314213022, rtol=1e-15)
    expected = math.log(2) / 2 + 2 * CATALAN / math.pi
    np.testing.assert_allclose(onsager_log_partition(T_C), expected, rtol=1e-13)
    np.testing.assert_allclose(onsager_energy(T_C), -math.sqrt(2), rtol=1e-14)
    for beta, m in ((0.45, 0.7493226), (0.5, 0.9113194), (0.6, 0.9736087)):
        np.testing.assert_allclose(spontaneous_magnetisation(1 / beta), m, rtol=0, atol=0.6e-7)


@pytest.mark.parametrize("T", [1.0, 1.5, 2.0, 3.0, 4.0, 50.0])
def test_a_torus_of_64_sites_agrees_away_from_the_critical_temperature(T):
    n = 64 * 64
    torus = torus_averages((64, 64), T)
    aligned = math.log(2) if T < T_C else 0.0  # two phases on the torus, one in the limit
    found = (torus.log_partition - aligned) / n
    np.testing.assert_allclose(found, onsager_log_partition(T), rtol=0, atol=1e-13)
    np.testing.assert_allclose(torus.energy / n, onsager_energy(T), rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        torus.heat_capacity / n, onsager_specific_heat(T), rtol=0, atol=1e-10
    )


@pytest.mark.parametrize("T", [1.7, 2.6, 6.0])
def test_log_z_is_the_double_integral(T):
    K, angle = 1 / T, 2 * np.pi * (np.arange(600) + 0.5) / 600
    cosines = np.cos(angle)[:, None] + np.cos(angle)
    inside = np.log(math.cosh(2 * K) ** 2 - math.sinh(2 * K) * cosines)
    expected = math.log(2) + 0.5 * inside.mean()
    np.testing.assert_allclose(onsager_log_partition(T), expected, rtol=1e-12)
    np.testing.assert_allclose(onsager_free_energy(T), -T * expected, rtol=1e-12)


@pytest.mark.parametrize("T", [0.7, 1.5, 2.2, 2.25, 2.3, 2.5, 10.0])
def test_energy_and_specific_heat_are_derivatives(T):
    h = 1e-3

    def difference(f):
        return (8 * (f(T + h) - f(T - h)) - (f(T + 2 * h) - f(T - 2 * h))) / (12 * h)

    slope = T**2 * difference(onsager_log_partition)
    np.testing.assert_allclose(onsager_energy(T), slope, rtol=0, atol=1e-7)
    np.testing.assert_allclose(onsager_specific_heat(T), difference(onsager_energy), atol=3e-5)


@pytest.mark.parametrize("epsilon", [1e-4, 1e-6, 1e-8])
def test_the_specific_heat_diverges_with_the_known_amplitude(epsilon):
    """C = -(2 / pi) (log(1 + sqrt 2))^2 log |1 - T / T_c| + constant, on both sides."""
    amplitude = 2 / math.pi * math.log(1 + math.sqrt(2)) ** 2
    for sign in (1, -1):
        near = onsager_specific_heat(T_C * (1 + sign * epsilon / 10))
        far = onsager_specific_heat(T_C * (1 + sign * epsilon))
        np.testing.assert_allclose(near - far, amplitude * math.log(10), rtol=5e-3)


def test_the_free_energy_is_smooth_across_the_critical_temperature():
    for d in (1e-12, 1e-9, 1e-6):
        low, high = onsager_log_partition(T_C - d), onsager_log_partition(T_C + d)
        middle = onsager_log_partition(T_C)
        assert abs((low + high) / 2 - middle) < 1e-12 + 10 * d**2 * abs(math.log(d))


def test_the_spontaneous_magnetisation_vanishes_at_the_critical_temperature():
    assert spontaneous_magnetisation(T_C) == 0.0
    assert spontaneous_magnetisation(3.0) == 0.0
    assert spontaneous_magnetisation(0.01) == 1.0
    one, two = (spontaneous_magnetisation(T_C * (1 - e)) for e in (1e-5, 1e-7))
    np.testing.assert_allclose(math.log(one / two) / math.log(100), 1 / 8, rtol=1e-4)


def test_the_limits_of_temperature():
    np.testing.assert_allclose(onsager_log_partition(1e-2), 200.0, rtol=1e-14)
    np.testing.assert_allclose(onsager_energy(1e-2), -2.0, rtol=1e-14)
    np.testing.assert_allclose(onsager_log_partition(1e6), math.log(2), rtol=1e-11)
    np.testing.assert_allclose(onsager_energy(1e3), -2e-3, rtol=1e-5)
    np.testing.assert_allclose(onsager_energy(4.0, 2.0), 2 * onsager_energy(2.0), rtol=1e-14)


@pytest.mark.parametrize(
    "function",
    [onsager_log_partition, onsager_energy, onsager_specific_heat, spontaneous_magnetisation],
)
@pytest.mark.parametrize(
    ("T", "J", "name"), [(0.0, 1.0, "T"), (math.nan, 1.0, "T"), (1.0, 0.0, "J"), (1.0, -1.0, "J")]
)
def test_bad_input_is_refused(function, T, J, name):
    with pytest.raises(ValueError, match=f"{name}: expected"):
        function(T, J)
