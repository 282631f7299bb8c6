"""Every picture draws, shows its labels with units, and survives gaps and infinities."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from boltzgen import plots
from tests.boltzgen.plots.pictures import assert_draws

T = np.array([300.0, 450.0, 600.0])
GAP = np.array([0.1, np.nan, 0.3])
ERRORS = np.full(3, 0.02)
EDGES = np.linspace(-np.pi, np.pi, 5)
MAP = np.array([[0.0, 1, 2, np.inf]] * 4)

PICTURES = {
    "training": (
        lambda ax: plots.draw_training(
            T, {"a": GAP, "b": ERRORS}, ax, label="loss / nats", smoothed={"a": ERRORS}
        ),
        ("training step", "loss / nats"),
    ),
    "ess": (
        lambda ax: plots.draw_ess(T, (ERRORS, ERRORS / 10), ax, forward=(GAP, ERRORS)),
        ("temperature / K", "effective sample size / N"),
    ),
    "log ess": (
        lambda ax: plots.draw_ess(T, (ERRORS, ERRORS / 10), ax, logarithmic=True),
        ("temperature / K", "effective sample size / N"),
    ),
    "khat": (
        lambda ax: plots.draw_khat(T, np.array([-np.inf, 0.5, np.inf]), ax),
        ("temperature / K", r"Pareto $\hat{k}$"),
    ),
    "thermodynamics": (
        lambda ax: plots.draw_over_temperature(
            T, GAP, ERRORS, ax, label="U / kJ/mol", reference=(T[:2], GAP[:2], ERRORS[:2])
        ),
        ("temperature / K", "U / kJ/mol"),
    ),
    "energies": (
        lambda ax: plots.draw_energies(
            EDGES, {"reference": MAP[0, :1].repeat(4), "model": np.ones(4)}, ax, unit="kJ/mol"
        ),
        ("potential energy / kJ/mol", "density / (kJ/mol)$^{-1}$"),
    ),
    "surface": (
        lambda ax: plots.draw_surface(EDGES, MAP, ax),
        (r"$\phi$ / degrees", r"$\psi$ / degrees"),
    ),
    "surface errors": (
        lambda ax: plots.draw_surface_errors(EDGES, np.where(np.isinf(MAP), np.nan, 0.1), ax),
        (r"$\phi$ / degrees", r"$\psi$ / degrees"),
    ),
    "profile": (
        lambda ax: plots.draw_profile(
            EDGES,
            np.array([0.5, 0.0, 1e-3, 0.499]),
            np.array([0.01, 0.0, 2e-3, 0.01]),
            ax,
            reference=(np.full(4, 0.25), np.full(4, 0.01)),
        ),
        (r"$\phi$ / degrees", "population of the bin"),
    ),
    "overlap": (
        lambda ax: plots.draw_overlap(np.array([[0.9, 0.1], [0.2, 0.8], [0.004, 0.996]]), ax),
        ("samples from", "weight of"),
    ),
}


@pytest.mark.parametrize("name", PICTURES)
def test_draws_into_the_axes_given(name):
    assert_draws(*PICTURES[name])


def test_surface_puts_phi_on_the_horizontal_axis():
    values = np.zeros((4, 4))
    values[3, 0] = 7.0  # high phi, low psi
    figure = Figure()
    ax = plots.draw_surface(EDGES, values, figure.subplots())
    drawn = ax.collections[0].get_array()
    assert np.asarray(drawn).reshape(4, 4)[0, 3] == 7.0


def test_input_is_not_changed_and_settings_are_restored():
    import matplotlib as mpl

    before = mpl.rcParams["axes.grid"]
    values = MAP.copy()
    with plots.style():
        figure = plots.new_figure(2, 2)
        assert len(figure.axes) == 4
        plots.draw_surface(EDGES, values, figure.axes[0])
    np.testing.assert_array_equal(values, MAP)
    assert mpl.rcParams["axes.grid"] == before
