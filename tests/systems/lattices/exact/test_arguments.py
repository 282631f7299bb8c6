"""Bad numbers are refused with their name."""

import math

import pytest

from systems.lattices.exact.arguments import check_finite, check_ising, check_whole


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match="coupling: expected a finite number"):
        check_finite("coupling", value)


@pytest.mark.parametrize("value", [0, 5, 2.0, True, "2"])
def test_another_thing_than_an_integer_in_range_is_refused(value):
    with pytest.raises(ValueError, match="n: expected an integer between 1 and 4"):
        check_whole("n", value, 1, 4)


def test_integers_in_range_pass():
    check_whole("n", 1, 1)
    check_whole("n", 4, 1, 4)


@pytest.mark.parametrize(
    ("numbers", "name"),
    [
        ((0.0, 1.0, 0.0), "T"),
        ((-1.0, 1.0, 0.0), "T"),
        ((math.nan, 1.0, 0.0), "T"),
        ((1.0, math.nan, 0.0), "J"),
        ((1.0, 1.0, math.inf), "h"),
    ],
)
def test_bad_arguments_of_an_ising_model_are_refused(numbers, name):
    with pytest.raises(ValueError, match=f"{name}: expected"):
        check_ising(*numbers)
