"""Kaufman's torus against enumeration, its own symmetries, and finite differences."""

import math

import numpy as np
import pytest

from systems.lattices.exact import critical_temperature, enumerate_ising, torus_averages

T_C = critical_temperature()


@pytest.mark.parametrize("shape", [(2, 2), (2, 3), (3, 3), (4, 4), (4, 5), (5, 4), (5, 5), (2, 12)])
def test_enumeration_gives_the_same(shape):
    states = enumerate_ising(shape)
    for T in (0.1, 0.5, 1.0, 2.0, T_C, 2.3, 3.0, 10.0, 1e4):
        for J in (1.0, 1.7):
            expected = (
                states.log_partition(T, J),
                states.energy(T, J),
                states.heat_capacity(T, J),
            )
            np.testing.assert_allclose(torus_averages(shape, T, J), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("shape", [(8, 8), (16, 11), (128, 128)])
@pytest.mark.parametrize("T", [1.0, 2.0, T_C - 1e-3, T_C, T_C + 1e-3, 3.0, 30.0])
def test_energy_and_heat_capacity_are_derivatives(shape, T):
    h, n = 1e-4, math.prod(shape)

    def difference(name):
        near, far = (
            getattr(torus_averages(shape, T + k * h), name)
            - getattr(torus_averages(shape, T - k * h), name)
            for k in (1, 2)
        )
        return (8 * near - far) / (12 * h) / n

    found = torus_averages(shape, T)
    np.testing.assert_allclose(found.energy / n, T**2 * difference("log_partition"), atol=1e-7)
    np.testing.assert_allclose(found.heat_capacity / n, difference("energy"), atol=1e-7)


@pytest.mark.parametrize("T", [0.5, 2.0, T_C, 2.7, 100.0])
def test_the_two_lengths_can_be_exchanged(T):
    one, two = torus_averages((9, 64), T), torus_averages((64, 9), T)
    np.testing.assert_allclose(one, two, rtol=1e-10)


def test_the_heat_capacity_is_smooth_across_the_critical_temperature():
    offsets = np.array([-2e-6, -1e-6, -1e-7, -1e-9, 0.0, 1e-9, 1e-7, 1e-6, 2e-6])
    found = np.array([torus_averages((32, 32), T_C + d).heat_capacity for d in offsets])
    slope = np.polyfit(offsets, found, 1)
    np.testing.assert_allclose(np.polyval(slope, offsets), found, rtol=1e-9)


@pytest.mark.parametrize("shape", [(3, 4), (128, 128)])
def test_the_limits_of_temperature(shape):
    n = math.prod(shape)
    cold = torus_averages(shape, 1e-3)
    np.testing.assert_allclose(cold.log_partition, 2e3 * n + math.log(2), rtol=1e-14)
    np.testing.assert_allclose(cold.energy, -2 * n, rtol=1e-14)
    assert 0 <= cold.heat_capacity < 1e-300
    hot = torus_averages(shape, 1e6)
    np.testing.assert_allclose(hot.log_partition, n * (math.log(2) + 1e-12), rtol=1e-13)
    np.testing.assert_allclose(hot.heat_capacity, 2e-12 * n, rtol=1e-4)


def test_scaling_temperature_and_coupling_together_scales_the_energy():
    one, two = torus_averages((6, 7), 2.1), torus_averages((6, 7), 4.2, 2.0)
    np.testing.assert_allclose(two, (one[0], 2 * one[1], one[2]), rtol=1e-13)


def test_bad_input_is_refused():
    for shape in ((4,), (4, 4, 4), (1, 4)):
        with pytest.raises(ValueError, match="shape: expected"):
            torus_averages(shape, 2.0)
    for T in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="T: expected"):
            torus_averages((4, 4), T)
    for J in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="J: expected"):
            torus_averages((4, 4), 2.0, J)
