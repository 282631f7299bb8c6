"""Free-energy surfaces over (phi, psi) and profiles of one angle."""

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from boltzgen.plots.style import EMPTY, ERROR_MAP, MODEL, REFERENCE, SURFACE_MAP

_LEAST_POPULATION = 1e-6
_TICKS = (-180, -90, 0, 90, 180)
_MODEL_LOOK: Any = {"fmt": "o", "color": MODEL}
_REFERENCE_LOOK: Any = {
    "fmt": "s",
    "color": REFERENCE,
    "markerfacecolor": "none",
    "label": "reference",
}


def draw_surface(
    edges: np.ndarray, free_energy: np.ndarray, ax: Axes, *, highest: float = 10.0
) -> Axes:
    """Draw a free-energy surface.

    Args:
        edges: Edges of the bins on both axes, radians, shape (M + 1,).
        free_energy: In kT, axis 0 phi and axis 1 psi, shape (M, M); what is not finite is grey.
        ax: Where to draw.
        highest: Top of the colour scale in kT.

    Returns:
        The same Axes.
    """
    return _draw_map(
        edges, free_energy, ax, label="free energy / kT", limits=(SURFACE_MAP, highest)
    )


def draw_surface_errors(
    edges: np.ndarray, errors: np.ndarray, ax: Axes, *, highest: float = 1.0
) -> Axes:
    """Draw the standard error of a free-energy surface.

    Args:
        edges: Edges of the bins on both axes, radians, shape (M + 1,).
        errors: In kT, axis 0 phi and axis 1 psi, shape (M, M); what is not finite is grey.
        ax: Where to draw.
        highest: Top of the colour scale in kT.

    Returns:
        The same Axes.
    """
    return _draw_map(edges, errors, ax, label="standard error / kT", limits=(ERROR_MAP, highest))


def draw_profile(
    edges: np.ndarray,
    values: np.ndarray,
    errors: np.ndarray,
    ax: Axes,
    *,
    reference: tuple[np.ndarray, np.ndarray] | None = None,
    label: str = "model, reweighted",
) -> Axes:
    """Draw the populations of an angle on a logarithmic axis.

    Args:
        edges: Edges of the bins, radians, shape (M + 1,).
        values: Populations, shape (M,); those empty or below 1e-6 are out of the picture.
        errors: Standard errors, shape (M,).
        ax: Where to draw.
        reference: Populations and errors of a reference, each (M,).
        label: What the values are.

    Returns:
        The same Axes.
    """
    middle = np.rad2deg(0.5 * (edges[1:] + edges[:-1]))
    if reference is not None:
        _draw_bars(middle, *reference, ax, _REFERENCE_LOOK)
    _draw_bars(middle, values, errors, ax, {**_MODEL_LOOK, "label": label})
    drawn = values if reference is None else np.concatenate([values, reference[0]])
    ax.set_yscale("log")
    ax.set_ylim(bottom=max(0.3 * float(drawn[drawn > 0].min()), _LEAST_POPULATION), top=1.0)
    ax.set_xlim(-180, 180)
    ax.set_xticks(_TICKS)
    ax.set_xlabel(r"$\phi$ / degrees")
    ax.set_ylabel("population of the bin")
    ax.legend()
    return ax


def _draw_bars(
    middle: np.ndarray, values: np.ndarray, errors: np.ndarray, ax: Axes, look: Mapping[str, Any]
) -> None:
    used = values > 0
    low = np.minimum(errors, 0.999 * values)  # the lower end stays on the logarithmic axis
    bars = np.stack([low, errors])[:, used]
    ax.errorbar(middle[used], values[used], yerr=bars, markersize=4.0, **look)


def _draw_map(
    edges: np.ndarray, values: np.ndarray, ax: Axes, *, label: str, limits: tuple[str, float]
) -> Axes:
    name, highest = limits
    degrees = np.rad2deg(edges)
    colours = mpl.colormaps[name].with_extremes(bad=EMPTY)
    shown = np.ma.masked_invalid(values.T)
    ax.grid(visible=False)
    mesh = ax.pcolormesh(
        degrees, degrees, shown, cmap=colours, vmin=0.0, vmax=highest, rasterized=True
    )
    ax.figure.colorbar(mesh, ax=ax, label=label, extend="max", fraction=0.05, pad=0.02)
    ax.set_xticks(_TICKS)
    ax.set_yticks(_TICKS)
    ax.set_box_aspect(1.0)
    ax.set_xlabel(r"$\phi$ / degrees")
    ax.set_ylabel(r"$\psi$ / degrees")
    return ax
