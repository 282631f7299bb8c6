"""Pictures of calibration: curves about zero with their band, marked where they leave it."""

import numpy as np
import pytest

from boltzgen import plots
from tests.boltzgen.plots.pictures import assert_draws

POINTS = np.array([0.25, 0.5, 0.75])
BAND = (POINTS - 0.1, POINTS + 0.1)
EXPECTED = np.array([5.0, 5.0, 10.0])
COUNTS = {"flow, raw": np.array([9, 4, 7]), "flow, reweighted": np.array([5, 6, 9])}
LEVELS = np.array([0.5, 0.8, 0.9])
SHARES = {"mu": (LEVELS + 0.05, LEVELS - 0.02, LEVELS + 0.09), "tau": (LEVELS, LEVELS, LEVELS)}
AROUND = (LEVELS - 0.03, LEVELS + 0.03)

PICTURES = {
    "ecdf": (
        lambda ax: plots.draw_rank_ecdf(POINTS, {"mu": POINTS**2}, BAND, ax),
        ("rank of the truth / number of draws",
         "share of ranks up to here\nminus that of uniform ranks"),
    ),
    "ranks": (
        lambda ax: plots.draw_ranks(
            COUNTS, EXPECTED, (EXPECTED - 3, EXPECTED + 3), ax, label="mu"
        ),
        ("rank of mu / number of draws", "truths"),
    ),
    "coverage": (
        lambda ax: plots.draw_coverage(LEVELS, SHARES, AROUND, ax),
        ("nominal level", "actual share minus nominal level"),
    ),
    "coverage of many": (
        lambda ax: plots.draw_coverage(
            LEVELS, {str(i): SHARES["mu"] for i in range(32)}, AROUND, ax
        ),
        ("nominal level", "actual share minus nominal level"),
    ),
    "coverage at one level": (
        lambda ax: plots.draw_coverage(
            LEVELS[:1], {"mu": tuple(each[:1] for each in SHARES["mu"])},
            (AROUND[0][:1], AROUND[1][:1]), ax,
        ),
        ("nominal level", "actual share minus nominal level"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PICTURES)
def test_draws_into_the_axes_given(name):
    assert_draws(*PICTURES[name])


@pytest.fixture
def ax():
    return plots.new_figure().axes[0]


def names_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_curves_are_differences_and_fit(ax):
    plots.draw_rank_ecdf(POINTS, {"mu": POINTS + 0.3, "tau": POINTS}, BAND, ax)
    drawn = {line.get_label(): line.get_ydata() for line in ax.lines}
    np.testing.assert_allclose(drawn["mu"], 0.3)
    assert ax.get_ylim()[1] > 0.3
    assert names_of(ax) == ["band", "mu", "tau"]


def test_of_many_curves_those_marked_are_named_and_have_colours_of_their_own(ax):
    curves = {f"x{i}": POINTS for i in range(12)}
    plots.draw_rank_ecdf(POINTS, curves, BAND, ax, marked=["x7", "x2"])
    assert names_of(ax) == ["band", "x2", "x7"]
    colours = [line.get_color() for line in ax.lines[1:]]
    assert len({colours[2], colours[7], colours[0]}) == 3
    assert len(set(colours)) == 3


def test_bins_of_ranks_are_as_wide_as_what_is_expected_of_them(ax):
    plots.draw_ranks(COUNTS, EXPECTED, (EXPECTED - 3, EXPECTED + 3), ax, label="mu")
    drawn = {patch.get_label(): patch.get_data() for patch in ax.patches}
    np.testing.assert_allclose(drawn["flow, raw"].edges, [0.0, 0.25, 0.5, 1.0])
    np.testing.assert_array_equal(drawn["flow, raw"].values, COUNTS["flow, raw"])
    assert names_of(ax) == ["95 % of bins", *COUNTS]


def test_coverage_is_side_by_side_around_its_levels_with_intervals(ax):
    plots.draw_coverage(LEVELS, SHARES, AROUND, ax)
    one, two = (each.lines[0] for each in ax.containers)
    np.testing.assert_allclose(one.get_xdata() + two.get_xdata(), 2 * LEVELS)
    np.testing.assert_allclose(one.get_ydata(), 0.05)
    assert [each.has_yerr for each in ax.containers] == [True, True]
    assert ax.get_ylim()[0] < -0.03


def test_many_components_have_no_intervals_and_no_names(ax):
    plots.draw_coverage(LEVELS, {str(i): SHARES["mu"] for i in range(9)}, AROUND, ax)
    assert [each.has_yerr for each in ax.containers] == [False] * 9
    assert names_of(ax) == ["95 % of shares"]
