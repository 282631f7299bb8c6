"""Times and their power laws are drawn where they are, with gaps and labels."""

import numpy as np
import pytest

from boltzgen import plots
from boltzgen.plots.dynamics import draw_power_laws

L = np.array([8.0, 16.0, 32.0])
TIMES = {
    "local": (0.05 * L**2, 0.02 * L),
    "cluster": (np.array([2.0, np.nan, 3.0]), np.full(3, 0.1)),
}


@pytest.fixture
def ax():
    with plots.style():
        return plots.new_figure().axes[0]


def test_points_lines_and_labels(ax):
    fits = {"local": (0.05, 2.0, 0.012, 16.0)}
    assert draw_power_laws(L, TIMES, fits, ax, label="tau / sweeps") is ax
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("L / lattice sites", "tau / sweeps")
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert words == ["local: z = 2.000 ± 0.012", "cluster"]
    (line,) = [line for line in ax.lines if line.get_linestyle() == "-"]
    x, y = line.get_data()
    np.testing.assert_allclose(y, 0.05 * x**2)
    assert 8 < x[0] < 16 < 32 < x[1]


def test_a_gap_is_left_out(ax):
    draw_power_laws(L, TIMES, {}, ax, label="tau")
    points = ax.containers[1].lines[0]
    np.testing.assert_array_equal(points.get_xdata(), [8, 32])


def test_input_stays_and_nothing_makes_no_legend(ax):
    before = {name: (values.copy(), errors.copy()) for name, (values, errors) in TIMES.items()}
    draw_power_laws(L, TIMES, {}, ax, label="tau")
    for name, pair in before.items():
        np.testing.assert_array_equal(pair, TIMES[name])
    with plots.style():
        other = plots.new_figure().axes[0]
    assert draw_power_laws(L, {}, {}, other, label="tau").get_legend() is None
