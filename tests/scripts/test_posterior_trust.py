"""What a run on a posterior warns of."""

from dataclasses import replace

import numpy as np
import pytest

from boltzgen.estimators import weighted_moments
from posterior.evaluation import known_errors
from posterior.trust import warnings_of
from tests.scripts.posterior_stories import gaussian_points, routes

LABELS = ("mu", "tau")


@pytest.fixture
def points():
    rng = np.random.default_rng(3)
    return gaussian_points(2, (0.4, 1.0), rng, with_reference=True, n_samples=2000)


def test_a_good_run_has_no_warning(points):
    evidence = routes(points, np.random.default_rng(1), with_exact=True)
    assert warnings_of(points, evidence, None, None, None, labels=LABELS) == []


def test_a_moment_without_an_error_is_named(points):
    unknown = points[1].spread_error.copy()
    unknown[1] = np.nan
    changed = (points[0], replace(points[1], spread_error=unknown))
    (text,) = warnings_of(changed, {}, None, None, None, labels=LABELS)
    assert text == (
        "Tails, times their weights, are too heavy for an error of the standard deviation of tau "
        "(beta = 1): shown without one and compared with nothing."
    )


def test_it_is_not_named_where_the_weights_are_bad_anyway(points):
    changed = replace(points[1], spread_error=np.full(2, np.nan), khat=0.9)
    (text,) = warnings_of((points[0], changed), {}, None, None, None, labels=LABELS)
    assert "k-hat of the weights is 0.90" in text


def test_tails_decide_which_errors_are_known():
    rng = np.random.default_rng(4)
    moments = weighted_moments(np.stack([rng.normal(size=40_000), rng.standard_cauchy(40_000)], 1))
    mean, spread = known_errors(moments)
    np.testing.assert_array_equal(np.isnan(mean), [False, True])
    np.testing.assert_array_equal(np.isnan(spread), [False, True])
    assert mean[0] == moments.mean_error[0]
    assert spread[0] == moments.spread_error[0]


def test_a_route_that_is_off_is_named(points):
    evidence = routes(points, np.random.default_rng(1), with_exact=True)
    off = evidence["mixture of flows"]
    evidence["mixture of flows"] = replace(off, values=off.values + 0.1)
    (text,) = warnings_of(points, evidence, None, None, None, labels=LABELS)
    assert text.startswith("Log evidence by mixture of flows is +0.")
    assert "more than 4 of their errors" in text
