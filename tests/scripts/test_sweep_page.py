"""The page of a sweep is complete for every method and number of controls, and says what is bad."""

from dataclasses import replace

import numpy as np
import pytest

from boltzgen.estimators import Estimate
from boltzgen.report import render_report
from pipeline import curves
from pipeline.curves import running_median, training_section
from sweep import figures
from sweep.page import compose
from sweep.results import SweepResults
from tests.scripts import sweep_stories

FEW = sweep_stories.KAPPAS[::5]
PHASES, WEIGHTS = "Phase diagram", "How good are the weights?"
FULL = [PHASES, WEIGHTS, "Free energy", "Training"]
CASES = {
    "both": ({"exact": True}, FULL),
    "flow": ({"method": "flow", "objective": "backward-kl"}, FULL),
    "mc": ({"method": "mc"}, [PHASES, "Free energy"]),
    "two controls": ({"kappas": (0.25, 0.3), "lambdas": (0.02, 0.04)}, FULL),
    "two controls, mc": ({"lambdas": (0.02,), "method": "mc"}, [PHASES, "Free energy"]),
    "one point": ({"kappas": (0.25,)}, FULL),
}


@pytest.fixture
def unseen(monkeypatch):
    """Pictures are drawn, but not rendered, which takes most of the time."""
    for module in (figures, curves):
        monkeypatch.setattr(module, "to_png", lambda figure: b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize("name", CASES)
def test_every_method_has_its_page(name):
    words, titles = CASES[name]
    content = compose(sweep_stories.story(**{"kappas": FEW, **words}))
    assert [section.title for section in content.sections] == titles
    assert all(section.figures for section in content.sections)
    text = render_report(content)
    assert "nan" not in content.verdict
    assert text.count("<img") == sum(len(s.figures) for s in content.sections)
    assert "python scripts/sweep_lattice.py" in text


def table_of(content, caption):
    return next(t for s in content.sections for t in s.tables if caption in t.caption)


@pytest.mark.usefixtures("unseen")
def test_tables_have_every_point_with_errors_and_how_the_sources_agree():
    story = sweep_stories.story(kappas=FEW, exact=True)
    content = compose(story)
    table = table_of(content, "Numbers: ⟨|m|⟩")
    assert list(table.header) == [
        "κ", "exact", "Monte Carlo", "τ / records", "flow, raw", "flow, reweighted",
        "z of flow − Monte Carlo", "z of flow − exact", "z of Monte Carlo − exact",
    ]  # fmt: skip
    assert [row[0] for row in table.rows] == [f"{k:g}" for k in FEW]
    assert all(" ± " in row[5] for row in table.rows)
    assert len(table_of(content, "How the sources agree").rows) == 5 + 2
    free = table_of(content, "−log Z minus that by “exact”")
    assert list(free.header[1:]) == [n for n in story.results.free if n != "exact"]
    assert free.rows[0][2] == "0"  # the integral begins there


@pytest.mark.usefixtures("unseen")
def test_the_verdict_names_the_worst():
    story = sweep_stories.story(kappas=FEW, exact=True)
    points = list(story.results.flow)
    points[1] = replace(points[1], khat=0.9, ess_reverse=Estimate(0.012, 0.003))
    points[2] = replace(
        points[2], reweighted={**points[2].reweighted, "abs_m": Estimate(99.0, 1.0)}
    )
    values = story.results.free["mixture of flows"].values.copy()
    values[3] += 5.0
    free = {
        **story.results.free,
        "mixture of flows": replace(story.results.free["mixture of flows"], values=values),
    }
    results = replace(story.results, flow=points, free=free, agreement={}, warnings=["Beware!"])
    content = compose(replace(story, results=results))
    said = content.verdict
    assert f"at least 1.20 ± 0.30 % (at κ = {FEW[1]:g})" in said
    assert f"Do not trust the flow at κ = {FEW[1]:g}: k-hat" in said
    assert f"⟨|m|⟩ at κ = {FEW[2]:g}" in said
    assert "“mixture of flows” at κ = 0.305" in said
    assert content.warnings == ["Beware!"]


@pytest.mark.usefixtures("unseen")
def test_monte_carlo_alone_says_how_long_its_autocorrelation_is():
    story = sweep_stories.story(kappas=FEW, method="mc")
    slowest = max(e.tau_int for at in story.results.monte_carlo for e in at.values())
    said = compose(story).verdict
    assert f"autocorrelation time is {slowest:.3g} records" in said
    assert "flow" not in said


@pytest.mark.usefixtures("unseen")
def test_three_controls_have_tables():
    story = sweep_stories.story(kappas=FEW)
    lattice = replace(
        story.config.lattice, controls=("T", "J", "h"), fixed_names=(), fixed_values=()
    )
    config = replace(
        story.config, lattice=lattice, values=(FEW, (1.0,), (0.0,)), learn=story.config.learn,
        data=replace(story.config.data, boundaries=((0.2, 1.0, 0.0),)),
    )  # fmt: skip
    values = np.column_stack([FEW, np.ones(len(FEW)), np.zeros(len(FEW))])
    results = replace(story.results, values=values)
    content = compose(replace(story, config=config, results=results))
    assert [len(s.figures) for s in content.sections] == [0, 0, 0, 1]
    assert table_of(content, "Numbers: ⟨|m|⟩").rows[0][0] == "0.2, 1, 0"


@pytest.mark.usefixtures("unseen")
def test_nothing_known_is_still_a_page():
    story = sweep_stories.story(kappas=FEW, method="mc")
    empty = SweepResults(
        values=story.results.values, couplings=story.results.couplings, exact=[{}] * len(FEW)
    )
    content = compose(replace(story, results=empty, seconds={}))
    assert content.verdict == ""
    assert [section.figures for section in content.sections] == [[]]


@pytest.mark.usefixtures("unseen")
def test_training_curves_leave_out_what_was_not_logged():
    rows = [{"step": k, "nll": None if k == 3 else 1.0 / k} for k in range(1, 30)]
    section = training_section(rows)
    assert len(section.figures) == 1
    assert training_section([]).figures == ()
    assert training_section([{"step": 1, "rate": 0.1}]).figures == ()


def test_running_median():
    np.testing.assert_array_equal(running_median(np.array([5.0, 1.0, 3.0])), [3.0, 3.0, 2.0])
    spike = np.where(np.arange(200) == 100, 1e6, 1.0)
    np.testing.assert_array_equal(running_median(spike), 1.0)
