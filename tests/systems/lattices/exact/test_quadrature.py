"""Tiny scalar lattices against the free field, plain sums on grids, and derivatives of log Z."""

import itertools
import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from scipy.integrate import dblquad

from systems.lattices.exact import (
    ConvergenceError,
    FreeField,
    ScalarAction,
    quadrature,
    scalar_moments,
)
from systems.lattices.geometry import forward_sum

SHAPES = [(2,), (3,), (5,), (2, 2)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("hopping", [0.15, 0.4, -0.3])
def test_a_free_field_is_reproduced(shape, hopping):
    action = ScalarAction(1.0, 0.0, hopping)
    result, exact = scalar_moments(action, shape), FreeField(action, shape)
    found = result.moments
    assert result.change < 1e-9
    np.testing.assert_allclose(found.log_partition, exact.log_partition(), atol=1e-12)
    np.testing.assert_allclose(found.mean_square, exact.mean_square(), rtol=1e-12)
    np.testing.assert_allclose(found.mean_fourth, exact.mean_fourth(), rtol=1e-12)
    np.testing.assert_allclose(found.bond_sum, exact.bond_sum(), rtol=1e-12)
    square = exact.magnetisation_square()
    np.testing.assert_allclose(found.magnetisation_square, square, rtol=1e-11)
    np.testing.assert_allclose(found.magnetisation_fourth, 3 * square**2, rtol=1e-10)
    absolute = exact.magnetisation_absolute()
    np.testing.assert_allclose(found.magnetisation_absolute, absolute, rtol=1e-12)


@pytest.mark.parametrize("shape", [(3,), (2, 2)])
@pytest.mark.parametrize("action", [ScalarAction(0.5, 0.3, 0.6), ScalarAction(-1.0, 0.6, 0.2)])
def test_moments_agree_with_a_plain_sum_over_a_grid(shape, action):
    n, axis = math.prod(shape), torch.linspace(-3.6, 3.6, 37, dtype=torch.float64)
    x = torch.cartesian_prod(*[axis] * n).reshape(-1, *shape)
    bonds = (x * forward_sum(x, len(shape))).flatten(1).sum(1)
    flat = x.flatten(1)
    on_site = (action.quadratic * flat**2 + action.quartic * flat**4).sum(1)
    p = torch.exp(action.hopping * bonds - on_site)
    z, total = p.sum(), flat.sum(1)
    p = p / z
    expected = {
        "log_partition": math.log(z) + n * math.log(axis[1] - axis[0]),
        "mean_square": (p @ flat**2).mean(),
        "mean_fourth": (p @ flat**4).mean(),
        "bond_sum": p @ bonds,
        "magnetisation_square": p @ total**2,
        "magnetisation_fourth": p @ total**4,
    }
    found = asdict(scalar_moments(action, shape).moments)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], float(value), rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("action", [ScalarAction(0.5, 0.3, 0.6), ScalarAction(-2.0, 0.5, 0.1)])
def test_the_mean_of_the_absolute_magnetisation_agrees_with_adaptive_quadrature(action):
    def weight(d, s):
        x, y = (s + d) / 2, (s - d) / 2
        on_site = action.quadratic * (x**2 + y**2) + action.quartic * (x**4 + y**4)
        return math.exp(2 * action.hopping * x * y - on_site)

    box = (0.0, 10.0, -10.0, 10.0)
    z = dblquad(weight, *box, epsabs=1e-11, epsrel=1e-11)[0]
    mean = dblquad(lambda d, s: s * weight(d, s), *box, epsabs=1e-11, epsrel=1e-11)[0] / z
    found = scalar_moments(action, (2,)).moments.magnetisation_absolute
    np.testing.assert_allclose(found, mean, rtol=1e-9)


@pytest.mark.parametrize("shape", [(4,), (2, 2)])
@pytest.mark.parametrize(("kappa", "coupling"), [(0.32, 0.02), (0.26, 0.02), (0.3, 1.0)])
def test_averages_are_derivatives_of_log_z(shape, kappa, coupling):
    centre = ScalarAction.from_hopping(kappa, coupling)
    found = scalar_moments(centre, shape).moments
    coefficients = np.array([centre.quadratic, centre.quartic, centre.hopping])
    expected = (-4 * found.mean_square, -4 * found.mean_fourth, found.bond_sum)
    for direction, value in zip(np.eye(3), expected, strict=True):
        h = 1e-3 * direction * (1e-2 if direction[1] else 1)
        near, far = (
            scalar_moments(ScalarAction(*(coefficients + k * h)), shape).moments.log_partition
            - scalar_moments(ScalarAction(*(coefficients - k * h)), shape).moments.log_partition
            for k in (1, 2)
        )
        slope = (8 * near - far) / (12 * h.sum())
        np.testing.assert_allclose(value, slope, rtol=2e-8)


def test_a_deep_double_well_has_two_sharp_phases():
    """Both phases together: <M^4> is close to <M^2>^2, and |M| to its root."""
    moments = scalar_moments(ScalarAction.from_hopping(0.45, 0.02), (2, 2)).moments
    square = moments.magnetisation_square
    assert 1 < moments.magnetisation_fourth / square**2 < 1.02
    assert 0.99 < moments.magnetisation_absolute / math.sqrt(square) < 1


@pytest.mark.parametrize("shape", SHAPES)
def test_reversing_every_second_site_reverses_the_hopping_where_the_lattice_allows(shape):
    plus, minus = (
        asdict(scalar_moments(ScalarAction(0.2, 0.3, t), shape).moments) for t in (0.4, -0.4)
    )
    bipartite = shape[0] % 2 == 0
    same = math.isclose(plus["log_partition"], minus["log_partition"], rel_tol=1e-12)
    assert same == bipartite
    if bipartite:
        np.testing.assert_allclose(minus["bond_sum"], -plus["bond_sum"], rtol=1e-11)


def test_the_stated_change_bounds_the_error(monkeypatch):
    action = ScalarAction.from_hopping(0.4, 0.02)
    fine = scalar_moments(action, (2, 2), tolerance=1e-13)
    rough = scalar_moments(action, (2, 2), tolerance=1e-2)
    assert rough.nodes < fine.nodes
    for name in asdict(fine.moments):
        exact, found = getattr(fine.moments, name), getattr(rough.moments, name)
        assert abs(found - exact) <= rough.change * max(1, abs(exact)) + 1e-11
    monkeypatch.setattr(quadrature, "_LAST_NODES", 33)
    with pytest.raises(ConvergenceError, match="33 nodes"):
        scalar_moments(action, (2, 2))


@pytest.mark.parametrize("shape", [(4, 2), (2, 2, 2), (13,)])
def test_larger_lattices_are_refused(shape):
    with pytest.raises(ValueError, match="shape: expected"):
        scalar_moments(ScalarAction(1.0, 0.1, 0.1), shape)


def test_unbounded_actions_and_bad_tolerances_are_refused():
    with pytest.raises(ValueError, match="positive stiffness"):
        scalar_moments(ScalarAction(1.0, 0.0, 0.5), (2, 2))
    for tolerance, shape in itertools.product((0.0, math.nan), ((2,), (2, 2))):
        with pytest.raises(ValueError, match="tolerance: expected"):
            scalar_moments(ScalarAction(1.0, 0.1, 0.1), shape, tolerance=tolerance)
