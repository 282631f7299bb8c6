"""Values with errors become arrays and text."""

import numpy as np
import pytest

from boltzgen.estimators import Estimate
from pipeline.numbers import finite, numbers_of, percentage, quote


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.123456, 0.00123, "0.1235 ± 0.0012"),
        (1234.5, 67.8, "1234 ± 68"),
        (0.5, 0.0, "0.5"),
        (0.5, np.nan, "0.5"),
        (np.nan, 0.1, "-"),
        (2.0, 0.1, "2.00 ± 0.10"),
    ],
)
def test_quotes_have_two_digits_of_the_error(value, error, text):
    assert quote(value, error) == text


def test_shares_are_in_per_cent():
    assert percentage(0.1234, 0.012) == "12.3 ± 1.2"
    assert percentage(3.2e-12, 4e-11) == "3e-10"
    assert percentage(3e-6, 2e-4) == "0.000 ± 0.020"
    assert percentage(0.0, 0.0) == quote(0.0, 0.0)


def test_missing_estimates_are_nan():
    found = numbers_of([Estimate(1.0, 0.1), None])
    np.testing.assert_array_equal(found.values, [1.0, np.nan])
    np.testing.assert_array_equal(found.errors, [0.1, np.nan])
    assert numbers_of([]).values.shape == (0,)


def test_json_has_null_for_what_is_not_finite():
    assert [finite(v) for v in (1.5, np.inf, np.nan)] == [1.5, None, None]
