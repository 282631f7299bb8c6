import math

import numpy as np
import pytest
import torch

from boltzgen.checks import (
    check_at_least,
    check_controls,
    check_event,
    check_float64,
    check_positive,
    widen_controls,
)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(3, 2), r"^x: expected shape \(B, 4\), got \(3, 2\)"),
        (torch.zeros(4), r"^x: expected shape \(B, 4\), got \(4,\)"),
        (torch.zeros(3, 4, 1), r"^x: expected shape \(B, 4\), got \(3, 4, 1\)"),
        (torch.zeros(3, 4, dtype=torch.int64), "^x: expected a floating-point tensor, got torch.i"),
        (np.zeros((3, 4)), "^x: expected a floating-point tensor, got ndarray"),
    ],
)
def test_a_wrong_event_is_named(x, message):
    with pytest.raises(ValueError, match=message):
        check_event("x", x, (4,))


def test_a_right_event_passes():
    check_event("x", torch.zeros(0, 4), (4,))
    check_event("x", torch.zeros(5, 3, 2, dtype=torch.float64), (3, 2))


@pytest.mark.parametrize(
    ("c", "message"),
    [
        (torch.zeros(3), r"^c: expected shape \(3, 2\), got \(3,\)"),
        (torch.zeros(2, 2), r"^c: expected shape \(3, 2\), got \(2, 2\)"),
        (torch.zeros(3, 2, dtype=torch.int32), "^c: expected a floating-point tensor"),
        (1.0, "^c: expected a floating-point tensor, got float"),
    ],
)
def test_wrong_controls_are_named(c, message):
    with pytest.raises(ValueError, match=message):
        check_controls("c", c, 3, 2)


@pytest.mark.parametrize(
    "c",
    [2.0, 2, torch.tensor(2), torch.full((3,), 2.0), torch.full((3, 1), 2.0, dtype=torch.float64)],
)
def test_one_control_is_widened(c):
    like = torch.zeros(3, 5, dtype=torch.float64)
    wide = widen_controls(c, 3, 1, like)
    assert wide.dtype == torch.float64
    assert torch.equal(wide, torch.full((3, 1), 2.0, dtype=torch.float64))


@pytest.mark.parametrize(
    ("c", "n_controls"),
    [(1.0, 2), (torch.zeros(3), 3), (torch.zeros(2), 1), (torch.zeros(1, 3), 1), (1.0, 0)],
)
def test_nothing_is_widened_by_guessing(c, n_controls):
    with pytest.raises(ValueError, match=rf"^c: expected shape \(3, {n_controls}\), got"):
        widen_controls(c, 3, n_controls, torch.zeros(3, 5))


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_only_finite_numbers_above_zero_are_positive(value):
    with pytest.raises(ValueError, match=r"^T: expected a finite number above 0, got"):
        check_positive("T", value)


@pytest.mark.parametrize("value", [1, 2.0, "2"])
def test_counts_are_integers_of_at_least_the_limit(value):
    with pytest.raises(ValueError, match=r"^n: expected an integer of at least 2, got"):
        check_at_least("n", value, 2)


@pytest.mark.parametrize(
    ("a", "message"),
    [
        (np.zeros((2, 2), dtype=np.float32), "^u: expected a float64 array, got float32"),
        ([[1.0]], "^u: expected a float64 array, got list"),
        (np.zeros(3), r"^u: expected 2 dimension\(s\), got shape \(3,\)"),
    ],
)
def test_estimators_accept_float64_only(a, message):
    with pytest.raises(ValueError, match=message):
        check_float64("u", a, 2)


def test_right_values_pass():
    check_positive("T", 1e-300)
    check_at_least("n", 2, 2)
    check_float64("u", np.zeros((2, 2)), 2)
