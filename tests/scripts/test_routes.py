"""Routes to one curve meet where they must, and differ with the errors of both."""

from typing import NamedTuple

import numpy as np

from pipeline.routes import aligned, combined_errors, differences, reference_route

PREFERRED = ("exact", "Monte Carlo, MBAR")


class Known(NamedTuple):
    values: np.ndarray
    errors: np.ndarray
    relative: bool


def curve(*values, error=0.1, relative=False):
    return Known(values=np.array(values), errors=np.full(len(values), error), relative=relative)


def test_relative_routes_meet_the_reference_at_its_first_known_point():
    free = {
        "integral of dE/dc": curve(0.0, 1.5, 2.0, relative=True),
        "importance sampling": curve(9.0, 10.0, 11.5),
        "Monte Carlo, MBAR": curve(np.nan, 10.5, 11.0, error=0.2),
    }
    reference = reference_route(free, PREFERRED)
    assert reference == "Monte Carlo, MBAR"
    moved = aligned(free, reference)["integral of dE/dc"]
    np.testing.assert_allclose(moved.values, [9.0, 10.5, 11.0])
    np.testing.assert_allclose(moved.errors, [0.1, np.nan, 0.1])
    found = differences(free, reference)
    np.testing.assert_allclose(found["importance sampling"].values, [np.nan, -0.5, 0.5])
    np.testing.assert_array_equal(found["Monte Carlo, MBAR"].values[1:], 0.0)
    errors = combined_errors(free, reference)["importance sampling"]
    np.testing.assert_allclose(errors, np.hypot(0.1, 0.2))
    assert np.isnan(free["integral of dE/dc"].errors).sum() == 0  # the input is as it was


def test_everything_is_moved_where_the_reference_is_relative():
    free = {
        "integral of dE/dc": curve(0.0, 1.5, relative=True),
        "importance sampling": curve(9.0, 10.0),
    }
    found = differences(free, "integral of dE/dc")["importance sampling"]
    np.testing.assert_allclose(found.values, [0.0, -0.5])


def test_a_route_that_knows_nothing_is_no_reference():
    free = {"integral of dE/dc": curve(0.0, 1.5), "exact": curve(np.nan, np.nan)}
    assert reference_route(free, PREFERRED) == "integral of dE/dc"
