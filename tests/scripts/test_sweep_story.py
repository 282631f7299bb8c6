"""How the sources of a sweep compare, and which points are not to be trusted."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from boltzgen.estimators import Estimate
from sweep.results import Curve
from sweep.story import (
    agreements_of,
    aligned,
    combined_errors,
    differences,
    farthest,
    reference_route,
    sources_of,
    untrusted,
)
from tests.scripts import sweep_stories

FEW = sweep_stories.KAPPAS[::5]


@pytest.fixture(scope="module")
def both():
    return sweep_stories.story(kappas=FEW, exact=True)


def test_sources_are_those_that_there_are(both):
    everything = ["exact", "Monte Carlo", "flow, raw", "flow, reweighted"]
    assert list(sources_of(both, "abs_m")) == everything
    assert list(sources_of(both, "chi")) == everything[1:]
    chains = sweep_stories.story(kappas=FEW, method="mc")
    assert list(sources_of(chains, "abs_m")) == ["Monte Carlo"]
    assert agreements_of(chains, "abs_m") == {}


def test_agreement_with_monte_carlo_is_that_of_the_results(both):
    found = agreements_of(both, "abs_m")
    assert list(found) == ["flow − Monte Carlo", "flow − exact", "Monte Carlo − exact"]
    assert found["flow − Monte Carlo"] is both.results.agreement["abs_m"]
    flow = both.results.flow[2].reweighted["abs_m"]
    exact = both.results.exact[2]["abs_m"]
    assert found["flow − exact"].z[2] == pytest.approx(flow.z(exact))


def test_unknown_points_are_left_out_of_chi_square(both):
    exact = [{**at} for at in both.results.exact]
    del exact[1]["abs_m"]
    partly = replace(both, results=replace(both.results, exact=exact))
    found = agreements_of(partly, "abs_m")["flow − exact"]
    assert np.isnan(found.z[1])
    assert found.p_value == pytest.approx(stats.chi2.sf(found.chi_square, len(FEW) - 1))
    assert farthest(found.z) == int(np.nanargmax(np.abs(found.z)))
    assert farthest(np.full(3, np.nan)) is None


def test_points_with_bad_weights_are_not_trusted(both):
    points = list(both.results.flow)
    points[0] = replace(points[0], khat=0.8)
    points[3] = replace(points[3], ess_forward=Estimate(0.01, 0.001))
    bad = replace(both, results=replace(both.results, flow=points))
    assert untrusted(both) == []
    assert untrusted(bad) == [0, 3]


def test_boundaries_are_those_of_flows_with_data(both):
    assert both.boundaries == both.config.data.boundaries
    assert sweep_stories.story(kappas=FEW, objective="backward-kl").boundaries == ()
    assert sweep_stories.story(kappas=FEW, method="mc").boundaries == ()


def curve(*values, error=0.1, relative=False):
    return Curve(values=np.array(values), errors=np.full(len(values), error), relative=relative)


def test_relative_routes_meet_the_reference_at_its_first_known_point():
    free = {
        "integral of dE/dc": curve(0.0, 1.5, 2.0, relative=True),
        "importance sampling": curve(9.0, 10.0, 11.5),
        "Monte Carlo, MBAR": curve(np.nan, 10.5, 11.0, error=0.2),
    }
    assert reference_route(free) == "Monte Carlo, MBAR"
    moved = aligned(free)["integral of dE/dc"]
    np.testing.assert_allclose(moved.values, [9.0, 10.5, 11.0])
    np.testing.assert_allclose(moved.errors, [0.1, np.nan, 0.1])
    found = differences(free)
    np.testing.assert_allclose(found["importance sampling"].values, [np.nan, -0.5, 0.5])
    np.testing.assert_array_equal(found["Monte Carlo, MBAR"].values[1:], 0.0)
    errors = combined_errors(free)["importance sampling"]
    np.testing.assert_allclose(errors, np.hypot(0.1, 0.2))
    assert np.isnan(free["integral of dE/dc"].errors).sum() == 0  # the input is as it was


def test_everything_is_moved_where_the_reference_is_relative():
    free = {
        "integral of dE/dc": curve(0.0, 1.5, relative=True),
        "importance sampling": curve(9.0, 10.0),
    }
    found = differences(free)["importance sampling"]
    np.testing.assert_allclose(found.values, [0.0, -0.5])
    assert reference_route({**free, "exact": curve(np.nan, np.nan)}) == "integral of dE/dc"
