"""Lattices with a rim against shifted arrays, in one to three dimensions."""

import numpy as np
import pytest

from systems.lattices.monte_carlo import field_sums
from systems.lattices.monte_carlo.field_dynamics import (
    Coefficients,
    close_rim,
    kick_and_drift,
    kinetic_energy,
    make_box,
    measure,
    put_in,
    take_out,
)

SHAPES = [(2,), (7,), (2, 2), (3, 8), (2, 3, 2), (4, 2, 5)]
ACTION = Coefficients(0.7, 0.3, 0.45)


def spread(x, box, *, elsewhere=np.nan):
    """Sites and rim; at the corners of the rim, which nobody may need, another number."""
    places = np.full(box.size, elsewhere if box.rows > 1 else 0.0)
    put_in(x.ravel(), box, places)
    close_rim(places, box)
    return places


def gradient(x, couplings):
    a, b, t = couplings
    near = sum(np.roll(x, s, axis) for axis in range(x.ndim) for s in (-1, 1))
    return 2 * a * x + 4 * b * x**3 - t * near


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_put_in_comes_out(shape):
    box, x = make_box(shape), np.random.default_rng(0).normal(size=shape)
    out = np.empty(x.size)
    take_out(spread(x, box), box, out)
    np.testing.assert_array_equal(out, x.ravel())
    assert box.mask.sum() == x.size


@pytest.mark.parametrize("shape", SHAPES)
def test_a_kick_and_a_drift(shape):
    random = np.random.default_rng(1)
    x, p = random.normal(size=(2, *shape))
    box = make_box(shape)
    momentum, new = np.zeros(box.size), np.zeros(box.size)
    put_in(p.ravel(), box, momentum)
    kick_and_drift(spread(x, box), momentum, new, (0.2, 0.3), ACTION, box)
    found_x, found_p = np.empty((2, x.size))
    take_out(new, box, found_x)
    take_out(momentum, box, found_p)
    expected = p - 0.2 * gradient(x, ACTION)
    np.testing.assert_allclose(found_p, expected.ravel(), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(found_x, (x + 0.3 * expected).ravel(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("shape", SHAPES)
def test_sums_leave_the_rim_out(shape):
    x = np.random.default_rng(2).normal(size=shape)
    box = make_box(shape)
    expected = field_sums(x[None])
    found = measure(spread(x, box, elsewhere=1e9), box)
    for name in ("first", "square", "quartic", "bond"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name)[0], rtol=1e-12)
    places = np.ones(box.size)
    put_in(x.ravel(), box, places)
    np.testing.assert_allclose(kinetic_energy(places, box), 0.5 * (x**2).sum(), rtol=1e-12)


def test_what_is_not_finite_stays_so():
    box = make_box((4, 4))
    for value in (np.nan, np.inf):
        x = np.zeros((4, 4))
        x[1, 2] = value
        assert not np.isfinite(measure(spread(x, box, elsewhere=0.0), box).square)
        assert not np.isfinite(kinetic_energy(spread(x, box, elsewhere=0.0), box))
