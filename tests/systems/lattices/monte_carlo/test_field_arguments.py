"""Checks of what the updates of a scalar field take."""

import numpy as np
import pytest
import torch

from systems.lattices.monte_carlo.field_arguments import (
    check_count,
    check_couplings,
    check_fields,
    check_steps,
)
from systems.lattices.monte_carlo.field_heat_bath import FieldCouplings
from systems.lattices.monte_carlo.streams import make_streams

STREAMS = make_streams(2, generator=torch.Generator().manual_seed(0))


def test_numbers_are_spread_over_the_chains():
    found = check_couplings(FieldCouplings(1.0, np.array([0.1, 0.2, 0.3]), -2), 3, 2)
    np.testing.assert_array_equal(found.quadratic, [1.0, 1.0, 1.0])
    np.testing.assert_array_equal(found.quartic, [0.1, 0.2, 0.3])
    np.testing.assert_array_equal(found.hopping, [-2.0, -2.0, -2.0])
    np.testing.assert_array_equal(check_steps(0.1, 2), [0.1, 0.1])
    assert check_fields(np.zeros((2, 3, 4)), STREAMS) == (3, 4)


@pytest.mark.parametrize(
    ("couplings", "message"),
    [
        ((1.0, -0.1, 0.1), "quartic: expected numbers of at least 0"),
        ((0.2, 0.0, -0.1), "quadratic: expected more than 2"),
        ((np.nan, 0.1, 0.1), "quadratic: expected finite"),
        ((1.0, 0.1, np.ones(3)), r"hopping: expected a number or \(2,\)"),
    ],
)
def test_bad_couplings(couplings, message):
    with pytest.raises(ValueError, match=message):
        check_couplings(FieldCouplings(*couplings), 2, 2)


@pytest.mark.parametrize("step_size", [0.0, -0.1, np.nan, np.inf, np.ones(3), [0.1, 0.0]])
def test_bad_step_sizes(step_size):
    with pytest.raises(ValueError, match="step_size: expected"):
        check_steps(step_size, 2)


@pytest.mark.parametrize("n", [0, -1, 1.0, True])
def test_bad_counts(n):
    with pytest.raises(ValueError, match="n: expected an integer of at least 1"):
        check_count("n", n)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((2, 4), dtype=np.float32), "x: expected a float64 array, got float32"),
        ([[0.0, 1.0]], "x: expected a float64 array, got list"),
        (np.full((2, 4), np.nan), "x: expected finite numbers, got 8"),
        (np.ones((2, 1)), "shape: expected"),
        (np.ones((3, 4)), "streams: expected shape"),
    ],
)
def test_bad_fields(x, message):
    with pytest.raises(ValueError, match=message):
        check_fields(x, STREAMS)
