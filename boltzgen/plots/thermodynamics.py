"""F, U, S, C_v over temperature, and histograms of the energy."""

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from boltzgen.plots.style import (
    MODEL,
    REFERENCE,
    REWEIGHTED,
    SURFACE_MAP,
    draw_reference,
    draw_series,
)

_COLOURS = {"model": MODEL, "reweighted": REWEIGHTED, "reference": REFERENCE}


def draw_over_temperature(
    temperatures: np.ndarray,
    values: np.ndarray,
    errors: np.ndarray,
    ax: Axes,
    *,
    label: str,
    reference: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
) -> Axes:
    """Draw one thermodynamic quantity with error bars.

    Args:
        temperatures: In K, shape (M,).
        values: Shape (M,).
        errors: Standard errors, shape (M,).
        ax: Where to draw.
        label: Name and unit, such as "U / kJ/mol".
        reference: Temperatures, values and errors of a reference, each (L,).

    Returns:
        The same Axes.
    """
    draw_series(ax, temperatures, values, errors, label="model, reweighted", colour=MODEL)
    ax.set_xlabel("temperature / K")
    ax.set_ylabel(label)
    if reference is not None:  # one curve needs no legend
        draw_reference(ax, *reference)
        ax.legend()
    return ax


def draw_energies(
    edges: np.ndarray, densities: Mapping[str, np.ndarray], ax: Axes, *, unit: str
) -> Axes:
    """Draw histograms of the potential energy.

    Args:
        edges: Edges of the bins, shape (M + 1,).
        densities: Density in each bin, shape (M,), by name; "model", "reweighted" and
            "reference" have their own colours, others run through the colours of a map.
        ax: Where to draw.
        unit: Of the energy.

    Returns:
        The same Axes.
    """
    steps = mpl.colormaps[SURFACE_MAP].resampled(len(densities) + 1)  # its last is too pale
    for number, (name, density) in enumerate(densities.items()):
        colour = _COLOURS.get(name, steps(number))
        if name == "reference":
            ax.stairs(density, edges, color=colour, fill=True, alpha=0.15)
        ax.stairs(density, edges, color=colour, label=name, linewidth=1.6)
    ax.set_xlabel(f"potential energy / {unit}")
    ax.set_ylabel(f"density / ({unit})$^{{-1}}$")
    ax.set_ylim(bottom=0.0)
    ax.legend()
    return ax
