"""Means and deviations of weighted samples are exact, and their errors are those of repetition."""

import numpy as np
import pytest

from boltzgen.errors import NonFiniteError
from boltzgen.estimators import weighted_moments


def test_weights_of_whole_numbers_are_repetitions():
    a = np.array([[1.0, -2.0], [2.0, 0.5], [5.0, 3.0]])
    found = weighted_moments(a, np.log([1.0, 2.0, 3.0]))
    repeated = np.repeat(a, [1, 2, 3], axis=0)
    assert found.mean == pytest.approx(repeated.mean(0))
    assert found.spread == pytest.approx(repeated.std(0))


def test_the_error_of_the_mean_of_equal_weights_is_the_usual_one():
    a = np.random.default_rng(1).normal(size=(50, 2))
    found = weighted_moments(a)
    assert found.mean_error == pytest.approx(a.std(0, ddof=1) / np.sqrt(50))


@pytest.mark.parametrize("blocked", [False, True])
def test_errors_are_those_of_many_repetitions(blocked):
    rng, z = np.random.default_rng(2), []
    for _ in range(2000):
        x = rng.normal(size=(100, 1)) * 1.3
        if blocked:  # pairs of equal values: half as many independent ones
            x = np.repeat(x, 2, axis=0)
        log_w = (-0.5 * x**2 + 0.5 * (x / 1.3) ** 2)[:, 0]
        blocks = np.arange(len(x)) // 2 if blocked else None
        found = weighted_moments(x, log_w, blocks=blocks)
        z.append([found.mean[0] / found.mean_error[0],
                  (found.spread[0] - 1) / found.spread_error[0]])  # fmt: skip
    mean, spread = np.mean(z, 0), np.std(z, 0)
    assert abs(mean[0]) < 4 / np.sqrt(2000)
    assert abs(mean[1]) < 0.15  # biased by order 1 / N
    assert spread == pytest.approx([1, 1], abs=0.12)


def test_what_has_no_weight_does_not_count():
    a = np.array([[1.0], [2.0], [np.inf]])
    assert weighted_moments(a, np.array([0.0, 0.0, -np.inf])).mean[0] == 1.5


def test_a_constant_has_no_spread():
    found = weighted_moments(np.ones((5, 1)))
    assert (found.spread[0], found.spread_error[0], found.mean_error[0]) == (0, 0, 0)


def test_moments_that_do_not_exist_are_seen_by_their_tails():
    rng = np.random.default_rng(5)
    columns = [rng.normal(size=20_000), rng.standard_t(3, size=20_000), rng.standard_cauchy(20_000)]
    found = weighted_moments(np.stack(columns, 1))
    assert (found.mean_khat[:2] < 0.5).all()
    assert found.mean_khat[2] == pytest.approx(1, abs=0.2)
    assert found.spread_khat[0] < 0.4
    assert found.spread_khat[1] < 0.7  # 2 / 3
    assert found.spread_khat[2] == pytest.approx(2, abs=0.4)
    constant = weighted_moments(np.ones((50, 1)))
    assert constant.mean_khat[0] == constant.spread_khat[0] == -np.inf


@pytest.mark.parametrize(("share", "n"), [(0.005, 10_000), (0.01, 10_000), (0.02, 2000)])
def test_a_small_mode_far_away_is_no_heavy_tail(share, n):
    rng, khats = np.random.default_rng(7), []
    for _ in range(20):
        a = rng.normal(size=(n, 1)) + 20 * (rng.random((n, 1)) < share)
        found = weighted_moments(a)
        khats += [found.mean_khat[0], found.spread_khat[0]]
    assert np.mean(np.array(khats) < 0.7) > 0.9


def test_the_tail_is_that_of_value_and_weight_together():
    rng = np.random.default_rng(6)
    a = rng.standard_cauchy((20_000, 1))
    towards_normal = (-0.5 * a**2 + np.log1p(a**2))[:, 0]
    found = weighted_moments(a, towards_normal)
    assert found.mean_khat[0] < 0.5
    assert found.spread_khat[0] < 0.5


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="values: expected finite"):
        weighted_moments(np.array([[np.nan], [1.0]]))
    with pytest.raises(ValueError, match="values: expected 3 rows"):
        weighted_moments(np.ones((2, 1)), np.zeros(3))
    with pytest.raises(NonFiniteError, match="log_w"):
        weighted_moments(np.ones((2, 1)), np.array([np.nan, 0.0]))


def test_components_that_go_together_have_errors_that_do():
    a = np.random.default_rng(3).normal(size=(400, 1))
    found = weighted_moments(np.hstack([a, -2 * a]))
    ratio = found.mean_covariance / np.outer(found.mean_error, found.mean_error)
    np.testing.assert_allclose(ratio, [[1, -1], [-1, 1]])
    ratio = found.spread_covariance / np.outer(found.spread_error, found.spread_error)
    np.testing.assert_allclose(ratio, np.ones((2, 2)))
