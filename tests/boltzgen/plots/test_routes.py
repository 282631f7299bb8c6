"""Pictures of one quantity by several routes: every route with its bars, side by side."""

import warnings

import numpy as np
import pytest

from boltzgen.plots import new_figure, routes, style, to_png

C = np.array([0.20, 0.25, 0.30, 0.40])
VALUES = np.array([0.1, 0.3, np.nan, 0.8])
ERRORS = np.array([0.01, 0.02, np.nan, 0.01])
ROUTES = {"one": (VALUES, ERRORS), "exact": (VALUES, np.zeros(4)), "three": (VALUES, None)}


@pytest.fixture
def ax():
    return new_figure().axes[0]


def names_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("name", ["routes", "differences"])
def test_draws_into_the_axes_given(name, n):
    curves = {k: (v[:n], None if e is None else e[:n]) for k, (v, e) in ROUTES.items()}
    with style(), warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = new_figure(width=5.0)
        ax = figure.axes[0]
        if name == "routes":
            found = routes.draw_routes(C[:n], curves, ax, label="log Z / nats", control="κ")
        else:
            found = routes.draw_differences(
                C[:n], curves, ax, reference="one", label="log Z / nats", control="κ"
            )
        assert found is ax
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("κ", "log Z / nats")
        assert to_png(figure, dpi=40).startswith(b"\x89PNG")


def test_differences_are_side_by_side_around_their_points(ax):
    curves = {name: (np.zeros(4), np.ones(4)) for name in ("one", "two", "three")}
    routes.draw_differences(C, curves, ax, reference="two", label="d", control="κ")
    one, three = (each.lines[0].get_xdata() for each in ax.containers)
    assert (one < C).all()
    np.testing.assert_allclose(one + three, 2 * C)
    assert (three - one < np.diff(C).min()).all()
    assert sorted(names_of(ax)) == ["one", "three", "two, ± σ"]


def test_where_points_are_wide_apart_so_are_the_marks(ax):
    c = np.array([0.0, 0.1, 1.0, 10.0])
    curves = {name: (np.zeros(4), np.ones(4)) for name in ("one", "two", "three")}
    routes.draw_differences(c, curves, ax, reference="two", label="d", control="β")
    one, three = (each.lines[0].get_xdata() for each in ax.containers)
    np.testing.assert_allclose((three - one) / (three - one)[0], [1.0, 1.0, 9.0, 90.0])


def test_stacked_pictures_share_their_axis():
    with style():
        figure = routes.new_stacked_figure(heights=(2.0, 1.0))
    top, bottom = figure.axes
    bottom.set_xlim(3.0, 4.0)
    assert top.get_xlim() == (3.0, 4.0)
    assert figure.get_size_inches()[1] > 3.0
