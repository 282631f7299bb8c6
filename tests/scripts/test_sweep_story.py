"""How the sources of a sweep compare, and which points are not to be trusted."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from boltzgen.estimators import Estimate
from pipeline.agreement import farthest
from pipeline.trust import untrusted
from sweep.story import agreements_of, reference_of, sources_of
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
    assert untrusted(both.results.flow) == []
    assert untrusted(bad.results.flow) == [0, 3]


def test_boundaries_are_those_of_flows_with_data(both):
    assert both.boundaries == both.config.data.boundaries
    assert sweep_stories.story(kappas=FEW, objective="backward-kl").boundaries == ()
    assert sweep_stories.story(kappas=FEW, method="mc").boundaries == ()


def test_the_reference_of_free_energies_is_the_best_there_is(both):
    free = dict(both.results.free)
    assert reference_of(free) == "exact"
    del free["exact"]
    assert reference_of(free) == "Monte Carlo, MBAR"
    del free["Monte Carlo, MBAR"]
    assert reference_of(free) == "importance sampling"
