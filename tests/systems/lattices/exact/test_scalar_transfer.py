"""The scalar transfer operator against the free field, quadrature, and derivatives of log Z."""

import math

import numpy as np
import pytest

from systems.lattices.exact import (
    CancellationError,
    FreeField,
    ScalarAction,
    ScalarTransfer,
    scalar_moments,
)
from systems.lattices.geometry import neighbour_table

INTERACTING = [(0.32, 0.02), (0.26, 0.02), (0.3, 1.0), (-0.28, 0.02)]


def shape_of(width, length):
    return (length,) if width == 1 else (width, length)


@pytest.mark.parametrize("hopping", [0.2, 0.45, -0.4])
@pytest.mark.parametrize("width", [1, 2])
def test_a_free_field_is_reproduced(width, hopping):
    action = ScalarAction(1.0, 0.0, hopping)
    # A free field is smooth on its own scale: fewer nodes than the default resolve it.
    transfer = ScalarTransfer(action, width=width, nodes=64 if width == 1 else 48)
    for length in (2, 3, 8, 31):
        exact = FreeField(action, shape_of(width, length))
        np.testing.assert_allclose(
            transfer.log_partition(length), exact.log_partition(), atol=1e-11
        )
        np.testing.assert_allclose(transfer.mean_square(length), exact.mean_square(), rtol=1e-11)
        np.testing.assert_allclose(transfer.mean_fourth(length), exact.mean_fourth(), rtol=1e-11)
        np.testing.assert_allclose(transfer.bond_sum(length), exact.bond_sum(), rtol=1e-11)
        square = exact.magnetisation_square()
        np.testing.assert_allclose(transfer.magnetisation_square(length), square, rtol=1e-9)
    correlator = FreeField(action, shape_of(width, 9)).correlator()
    per_slice = correlator if width == 1 else 2 * correlator.sum(0)
    np.testing.assert_allclose(transfer.slice_correlator(9), per_slice, atol=1e-11)


@pytest.mark.parametrize(("width", "stiff"), [(1, 1.0), (2, 0.55)])
def test_the_infinite_free_strip_has_the_closed_form(width, stiff):
    a, t = 1.0, 0.45
    transfer = ScalarTransfer(ScalarAction(a, 0.0, t), width=width, nodes=48)
    np.testing.assert_allclose(transfer.mass_gap(), math.acosh(stiff / t), rtol=1e-10)
    masses = [a] if width == 1 else [a - t, a + t]
    # The mean of log(m - t cos k) over k is log((m + sqrt(m^2 - t^2)) / 2).
    logs = [math.log((m + math.sqrt(m * m - t * t)) / 2) for m in masses]
    expected = sum(0.5 * (math.log(math.pi) - value) for value in logs)
    np.testing.assert_allclose(transfer.log_partition_per_length(), expected, rtol=1e-11)


@pytest.mark.parametrize(("kappa", "coupling"), INTERACTING)
@pytest.mark.parametrize("shape", [(2,), (5,), (2, 2)])
def test_quadrature_gives_the_same(shape, kappa, coupling):
    action = ScalarAction.from_hopping(kappa, coupling)
    length, width = shape[-1], len(shape)
    transfer = ScalarTransfer(action, width=width)
    exact = scalar_moments(action, shape).moments
    assert transfer.discretisation_error(length) < 1e-6
    np.testing.assert_allclose(transfer.log_partition(length), exact.log_partition, atol=1e-11)
    np.testing.assert_allclose(transfer.mean_square(length), exact.mean_square, rtol=1e-11)
    np.testing.assert_allclose(transfer.mean_fourth(length), exact.mean_fourth, rtol=1e-11)
    np.testing.assert_allclose(transfer.bond_sum(length), exact.bond_sum, rtol=1e-11)
    found = transfer.magnetisation_square(length)
    np.testing.assert_allclose(found, exact.magnetisation_square, rtol=1e-9)


def test_a_strip_of_six_sites_agrees_with_a_plain_contraction():
    """All sites on one grid, one matrix for every entry of the table of forward neighbours."""
    action, shape = ScalarAction(0.4, 0.3, 0.5), (2, 3)
    x = np.linspace(-3.9, 3.9, 37)
    on_site = np.exp(-action.quadratic * x**2 - action.quartic * x**4) * (x[1] - x[0])
    bond = np.exp(action.hopping * x[:, None] * x)
    bonds = [
        (bond, [site, int(other)])
        for site, row in enumerate(neighbour_table(shape)[:, :2])
        for other in row
    ]

    def contract(at_first):
        sites = [(on_site * (at_first if site == 0 else 1), [site]) for site in range(6)]
        parts = [part for pair in (*sites, *bonds) for part in pair]
        return float(np.einsum(*parts, [], optimize=("greedy", 10**8)))

    transfer = ScalarTransfer(action, width=2)
    z = contract(np.ones_like(x))
    np.testing.assert_allclose(transfer.log_partition(3), math.log(z), atol=1e-11)
    np.testing.assert_allclose(transfer.mean_square(3), contract(x**2) / z, rtol=1e-11)
    np.testing.assert_allclose(transfer.mean_fourth(3), contract(x**4) / z, rtol=1e-11)


def test_averages_of_a_strip_are_derivatives_of_log_z():
    centre, length = ScalarAction.from_hopping(0.27, 0.05), 6
    transfer = ScalarTransfer(centre, width=2, nodes=40)
    volume = 2 * length
    coefficients = np.array([centre.quadratic, centre.quartic, centre.hopping])
    expected = (
        -volume * transfer.mean_square(length),
        -volume * transfer.mean_fourth(length),
        transfer.bond_sum(length),
    )
    for direction, value in zip(np.eye(3), expected, strict=True):
        h = 1e-4 * direction
        plus, minus = (
            ScalarTransfer(ScalarAction(*c), width=2, nodes=40).log_partition(length)
            for c in (coefficients + h, coefficients - h)
        )
        np.testing.assert_allclose(value, (plus - minus) / 2e-4, rtol=1e-5)


def test_a_strip_without_hopping_is_a_product_of_sites():
    action = ScalarAction(-1.0, 0.5, 0.0)
    transfer = ScalarTransfer(action, width=2, nodes=48)
    x = np.linspace(-6, 6, 4001)
    weight = np.exp(x**2 - 0.5 * x**4)
    z = weight.sum() * (x[1] - x[0])
    np.testing.assert_allclose(transfer.log_partition(5), 10 * math.log(z), rtol=1e-12)
    expected = float(weight @ x**2 / weight.sum())
    np.testing.assert_allclose(transfer.mean_square(5), expected, rtol=1e-11)
    np.testing.assert_allclose(transfer.bond_sum(5), 0, atol=1e-12)
    np.testing.assert_allclose(transfer.magnetisation_square(5), 10 * expected, rtol=1e-11)


def test_long_strips_have_the_infinite_limit():
    transfer = ScalarTransfer(ScalarAction.from_hopping(0.3, 1.0), width=1)
    growth = transfer.log_partition(401) - transfer.log_partition(400)
    np.testing.assert_allclose(growth, transfer.log_partition_per_length(), rtol=1e-11)
    correlator = transfer.slice_correlator(60)
    np.testing.assert_allclose(-np.log(correlator[11] / correlator[10]), transfer.mass_gap(), 1e-9)
    np.testing.assert_allclose(correlator[1:], correlator[:0:-1], rtol=1e-8)


def test_too_few_nodes_are_told():
    coarse = ScalarTransfer(ScalarAction.from_hopping(0.4, 0.02), width=2, nodes=24)
    assert coarse.discretisation_error(4) > 1e-6


def test_cancelling_eigenvalues_are_an_error():
    frustrated = ScalarTransfer(ScalarAction(-40.0, 10.0, -10.0), width=1)
    assert math.isfinite(frustrated.log_partition(4))
    with pytest.raises(CancellationError):
        frustrated.log_partition(3)


def test_bad_input_is_refused():
    action = ScalarAction(1.0, 0.1, 0.2)
    for width in (0, 3, 1.0):
        with pytest.raises(ValueError, match="width: expected"):
            ScalarTransfer(action, width=width)
    with pytest.raises(ValueError, match="nodes: expected"):
        ScalarTransfer(action, nodes=4)
    with pytest.raises(ValueError, match="positive stiffness"):
        ScalarTransfer(ScalarAction(1.0, 0.0, 0.5), width=2)
    transfer = ScalarTransfer(action, nodes=32)
    for length in (1, 2.0, True):
        with pytest.raises(ValueError, match="length: expected"):
            transfer.log_partition(length)
