"""What follows from results on a posterior is what its formulas say."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from pipeline.routes import Route
from posterior.agreement import (
    averages,
    compared,
    largest_gap,
    largest_z,
    posterior_point,
    reference_name,
    routes_of,
    smallest_p,
)
from tests.scripts import posterior_stories


@pytest.fixture(scope="module")
def results():
    return posterior_stories.story().results


def test_z_is_flow_minus_reference_over_both_errors(results):
    point = results.points[1]
    found = compared(point)
    error = np.hypot(point.mean_error, point.reference.mean_error)
    np.testing.assert_allclose(found.mean.z, (point.mean - point.reference.mean) / error)
    error = np.hypot(point.spread_error, point.reference.spread_error)
    np.testing.assert_allclose(found.spread.z, (point.spread - point.reference.spread) / error)
    assert found.mean.p_value == pytest.approx(stats.chi2.sf(found.mean.chi_square, 3))
    worst = largest_z(point)
    assert worst.z == max(found.mean.largest, found.spread.largest)
    assert compared(replace(point, reference=None)) is largest_z(replace(point, reference=None))


def test_an_exact_reference_without_error_is_compared(results):
    point = results.points[0]
    none = np.zeros(3)
    exact = replace(point.reference, mean=point.mean + 2 * point.mean_error, mean_error=none)
    np.testing.assert_allclose(compared(replace(point, reference=exact)).mean.z, -2.0)
    both = replace(point, reference=exact, mean_error=none)
    assert np.isnan(compared(both).mean.z).all()


def test_the_posterior_is_at_the_power_nearest_to_one(results):
    assert posterior_point(results) == 2
    assert posterior_point(replace(results, points=results.points[:2])) == 1


def test_routes_are_compared_with_the_exact_one_or_with_importance_sampling(results):
    assert reference_name(results) == "exact"
    evidence = {name: each for name, each in results.evidence.items() if name != "exact"}
    assert reference_name(replace(results, evidence=evidence)) == "importance sampling"


def test_the_error_of_the_rule_of_integration_counts(results):
    route = results.evidence["integral of log L"]
    found = routes_of(results)["integral of log L"]
    np.testing.assert_allclose(found.errors[1:], np.hypot(route.errors[1:], 0.002))
    assert found.errors[0] == 0.0  # NaN there


def test_the_largest_gap_is_found_and_relative_routes_are_moved(results):
    exact = results.evidence["exact"].values
    evidence = {
        "exact": Route(exact, np.zeros(4)),
        "importance sampling": Route(exact + [0.0, 0.3, 0.0, -0.1], np.full(4, 0.1)),
        "integral": Route(exact - exact[0], np.full(4, 0.1), relative=True),
    }
    found = largest_gap(replace(results, evidence=evidence))
    assert (found.route, found.number) == ("importance sampling", 1)
    assert found.nats == pytest.approx(0.3)
    assert found.error == pytest.approx(0.1)
    assert largest_gap(replace(results, evidence={"exact": evidence["exact"]})) is None


def test_averages_over_observations(results):
    over = results.over
    found = averages(over)
    np.testing.assert_allclose(found.ess.values, over.ess.mean(0))
    np.testing.assert_allclose(found.ess.errors, over.ess.std(0, ddof=1) / np.sqrt(40))
    np.testing.assert_array_equal(found.ess_lowest, over.ess.min(0))
    gap = over.log_z - over.exact_log_z
    np.testing.assert_allclose(found.log_z.rms, np.sqrt((gap**2).mean(0)))
    np.testing.assert_allclose(found.log_z.largest, np.abs(gap).max(0))
    assert (np.abs(found.log_z.z_rms - 1) < 0.4).all()
    low, middle, high = found.ess_quantiles
    assert ((low <= middle) & (middle <= high)).all()


def test_infinite_tails_are_counted_and_do_not_spread(results):
    khat = results.over.khat.copy()
    khat[:3, 1] = np.inf
    found = averages(replace(results.over, khat=khat, exact_log_z=None, ess_forward=None))
    assert found.n_unreliable[1] == 3 + (khat[3:, 1] > 0.7).sum()
    assert found.khat_highest[1] == np.inf
    assert np.isfinite(found.khat_quantiles).all()
    assert found.log_z is found.ess_forward is None


def test_one_observation_has_no_error(results):
    over = results.over
    first = {name: getattr(over, name)[:1] for name in ("ess", "khat", "log_z", "log_z_error")}
    found = averages(replace(over, **first, ess_forward=None, exact_log_z=None))
    assert np.isnan(found.ess.errors).all()


def test_p_values_are_multiplied_by_the_number_of_components(results):
    calibration = results.calibration
    p_values = [each.ecdf_p_value for each in calibration.uniformity["flow, raw"]]
    value, label = smallest_p(calibration, "flow, raw")
    assert value == min(1.0, 3 * min(p_values))
    assert label == calibration.labels[int(np.argmin(p_values))]
