"""Pictures over couplings draw what they are given, in its place, with labels and error bars."""

import warnings

import numpy as np
import pytest

from boltzgen.plots import lattice, new_figure, style, to_png

C = np.array([0.20, 0.25, 0.30, 0.40])
VALUES = np.array([0.1, 0.3, np.nan, 0.8])
ERRORS = np.array([0.01, 0.02, np.nan, 0.01])
SOURCES = {
    "exact": (VALUES, None),
    "Monte Carlo": (VALUES, ERRORS),
    "flow, raw": (VALUES, ERRORS),
    "flow, reweighted": (VALUES, ERRORS),
    "another": (VALUES, 0 * ERRORS),
}
MAP = np.arange(6.0).reshape(3, 2)
CONTROLS = {"κ": np.array([0.2, 0.25, 0.4]), "λ": np.array([0.01, 0.02])}

PICTURES = {
    "observable": (
        lambda ax: lattice.draw_observable(C, SOURCES, ax, label="χ", control="κ"),
        ("κ", "χ"),
    ),
    "residuals": (
        lambda ax: lattice.draw_residuals(
            C, {"flow − Monte Carlo": VALUES, "flow − exact": np.full(4, np.inf)}, ax, control="κ"
        ),
        ("κ", "difference / σ"),
    ),
    "no residuals": (
        lambda ax: lattice.draw_residuals(C, {}, ax, control="κ"),
        ("κ", "difference / σ"),
    ),
    "map": (
        lambda ax: lattice.draw_map(
            CONTROLS, np.where(MAP == 2, np.nan, MAP), ax, label="χ", marks=[(0.2, 0.015)]
        ),
        ("κ", "λ"),
    ),
    "empty map": (
        lambda ax: lattice.draw_map(
            CONTROLS, np.full((3, 2), np.nan), ax, label="z", diverging=True
        ),
        ("κ", "λ"),
    ),
}


@pytest.mark.parametrize("name", PICTURES)
def test_draws_into_the_axes_given(name):
    draw, labels = PICTURES[name]
    with style(), warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = new_figure(width=5.0)
        ax = figure.axes[0]
        assert draw(ax) is ax
        assert (ax.get_xlabel(), ax.get_ylabel()) == labels
        assert to_png(figure, dpi=40).startswith(b"\x89PNG")


@pytest.fixture
def ax():
    return new_figure().axes[0]


def names_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_an_observable_has_every_source_with_its_bars(ax):
    lattice.mark_couplings(ax, [0.2, 0.4], label="training data")
    lattice.draw_observable(C, SOURCES, ax, label="χ", control="κ")
    assert names_of(ax) == ["training data", *SOURCES]
    bars = {each.get_label(): each.has_yerr for each in ax.containers}
    assert bars == {name: name not in ("exact", "another") for name in SOURCES}
    drawn = ax.containers[1].lines[0]
    np.testing.assert_array_equal(drawn.get_xdata(), C[[0, 1, 3]])
    np.testing.assert_array_equal(drawn.get_ydata(), VALUES[[0, 1, 3]])


def test_every_source_looks_different(ax):
    lattice.draw_observable(C, SOURCES, ax, label="χ", control="κ")
    looks = {(c.lines[0].get_color(), c.lines[0].get_marker()) for c in ax.containers}
    assert len(looks) == len(SOURCES)


def test_residuals_fit_whatever_they_are(ax):
    lattice.draw_residuals(C, {"flow − exact": np.array([0.1, -9.0, 2.0, np.inf])}, ax, control="κ")
    low, high = ax.get_ylim()
    assert low < -9.0
    assert high == -low


def test_a_map_puts_the_first_control_on_the_horizontal_axis(ax):
    lattice.draw_map(CONTROLS, MAP, ax, label="χ", marks=[(0.4, 0.01)])
    np.testing.assert_array_equal(ax.images[0].get_array(), MAP.T)
    written = {t.get_text(): t.get_position() for t in ax.texts}
    assert written["4.00"] == (2, 0)
    star = next(t for t in ax.texts if t.get_text() == "★")
    assert star.xy == (2.0, 0.0)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0.2", "0.25", "0.4"]


def test_a_map_of_differences_is_symmetric_and_a_large_one_has_no_numbers(ax):
    controls = {"κ": np.arange(12.0), "λ": np.arange(10.0)}
    values = np.linspace(-1.0, 3.0, 120).reshape(12, 10)
    lattice.draw_map(controls, values, ax, label="z", diverging=True)
    assert ax.images[0].get_clim() == (-3.0, 3.0)
    assert not ax.texts
    assert len(ax.get_xticks()) <= 9
