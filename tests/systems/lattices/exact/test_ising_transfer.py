"""The Ising transfer matrix against enumeration, the ring's closed form, and derivatives."""

import math

import numpy as np
import pytest

from systems.lattices.exact import (
    CancellationError,
    IsingTransfer,
    enumerate_ising,
    onsager_log_partition,
    torus_averages,
)

POINTS = [(2.0, 1.0, 0.0), (2.0, 1.0, 0.3), (1.5, -0.7, 0.2), (0.3, 1.0, 0.0), (3.0, -1.0, 0.0)]


@pytest.mark.parametrize(("T", "J", "h"), POINTS)
@pytest.mark.parametrize("shape", [(4,), (2, 2), (2, 5), (5, 2), (3, 4), (4, 4)])
def test_enumeration_gives_the_same(shape, T, J, h):
    states = enumerate_ising(shape)
    width, length = (1, *shape)[-2:]
    transfer = IsingTransfer(T, width, J, h)
    for name in ("log_partition", "energy", "heat_capacity", "magnetisation"):
        found, expected = getattr(transfer, name)(length), getattr(states, name)(T, J, h)
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12, err_msg=name)
    square = states.magnetisation_square(T, J, h)
    np.testing.assert_allclose(transfer.magnetisation_square(length), square, rtol=1e-11)


@pytest.mark.parametrize("h", [0.0, 0.25])
def test_the_ring_has_its_closed_form(h):
    T, J, length = 1.4, 0.9, 23
    middle = math.exp(J / T) * math.cosh(h / T)
    root = math.sqrt(math.exp(2 * J / T) * math.sinh(h / T) ** 2 + math.exp(-2 * J / T))
    transfer = IsingTransfer(T, 1, J, h)
    log_z = math.log((middle + root) ** length + (middle - root) ** length)
    np.testing.assert_allclose(transfer.log_partition(length), log_z, rtol=1e-13)
    np.testing.assert_allclose(transfer.log_partition_per_length(), math.log(middle + root))
    gap = math.log((middle + root) / (middle - root))
    np.testing.assert_allclose(transfer.mass_gap(), gap, rtol=1e-12)


@pytest.mark.parametrize("T", [1.5, 2.3, 5.0])
def test_kaufman_gives_the_same_on_long_strips(T):
    transfer, exact = IsingTransfer(T, 7), torus_averages((7, 60), T)
    np.testing.assert_allclose(transfer.log_partition(60), exact.log_partition, rtol=1e-12)
    np.testing.assert_allclose(transfer.energy(60), exact.energy, rtol=1e-11)
    np.testing.assert_allclose(transfer.heat_capacity(60), exact.heat_capacity, rtol=1e-9)


@pytest.mark.parametrize("h", [0.0, 0.1])
def test_long_strips_have_the_infinite_limit(h):
    transfer = IsingTransfer(2.6, 5, 1.0, h)
    growth = transfer.log_partition(801) - transfer.log_partition(800)
    np.testing.assert_allclose(growth, transfer.log_partition_per_length(), rtol=1e-11)
    mean = transfer.energy(800) / 800
    np.testing.assert_allclose(mean, transfer.energy_per_length(), rtol=1e-11)


def test_wide_strips_approach_the_infinite_lattice():
    found = IsingTransfer(5.0, 10).log_partition_per_length() / 10
    np.testing.assert_allclose(found, onsager_log_partition(5.0), atol=1e-7)


def test_averages_are_derivatives_of_log_z():
    T, h, length, step = 2.1, 0.15, 9, 1e-4

    def log_z(T, h):
        return IsingTransfer(T, 4, 1.0, h).log_partition(length)

    transfer = IsingTransfer(T, 4, 1.0, h)
    slope = T**2 * (log_z(T + step, h) - log_z(T - step, h)) / (2 * step)
    np.testing.assert_allclose(transfer.energy(length), slope, rtol=1e-6)
    slope = T * (log_z(T, h + step) - log_z(T, h - step)) / (2 * step)
    np.testing.assert_allclose(36 * transfer.magnetisation(length), slope, rtol=1e-6)


def test_a_small_field_changes_little_although_it_breaks_the_symmetry():
    without, within = IsingTransfer(2.0, 4), IsingTransfer(2.0, 4, 1.0, 1e-12)
    np.testing.assert_allclose(within.log_partition(6), without.log_partition(6), rtol=1e-12)
    found = within.magnetisation_square(6)
    np.testing.assert_allclose(found, without.magnetisation_square(6), rtol=1e-9)


def test_low_temperatures_and_frustration():
    cold = IsingTransfer(1e-3, 4)
    np.testing.assert_allclose(cold.log_partition(4), 32e3 + math.log(2), rtol=1e-14)
    frustrated = IsingTransfer(1e-3, 3, -1.0)
    # A ring of three has 6 states with one unsatisfied bond; each ring reverses the one before.
    np.testing.assert_allclose(frustrated.log_partition(4), 16e3 + math.log(6), rtol=1e-14)
    with pytest.raises(CancellationError):
        IsingTransfer(0.05, 4, -1.0).log_partition(3)


def test_bad_input_is_refused():
    for width in (0, 13, 2.0):
        with pytest.raises(ValueError, match="width: expected"):
            IsingTransfer(1.0, width)
    for T in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="T: expected"):
            IsingTransfer(T, 3)
    with pytest.raises(ValueError, match="J: expected"):
        IsingTransfer(1.0, 3, math.nan)
    with pytest.raises(ValueError, match="length: expected"):
        IsingTransfer(1.0, 3).energy(1)
