"""One quantity by several routes: the curves, and their differences from one of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from boltzgen.plots.series import EXACT, Series, bars_of, legend_above, look_of, marker_of
from boltzgen.plots.style import REFERENCE

_SPREAD = 0.4
"""Share of the distance of two points over which the markers of one point lie."""


def new_stacked_figure(*, width: float = 5.0, heights: Sequence[float] = (2.7, 1.15)) -> Figure:
    """Make a figure of pictures one below the other over one axis; call it inside `style()`.

    Args:
        width: Inches.
        heights: Of the pictures from top to bottom, inches.
    """
    figure = Figure(figsize=(width, sum(heights) + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    figure.subplots(len(heights), 1, sharex=True, height_ratios=list(heights))
    return figure


def draw_routes(
    c: np.ndarray, curves: Mapping[str, Series], ax: Axes, *, label: str, control: str
) -> Axes:
    """Draw one quantity over a control, as several routes lead to it.

    Args:
        c: The control, shape (K,).
        curves: Values and errors (or None), each (K,), by name.
        ax: Where to draw.
        label: Of the quantity.
        control: Of the control.

    Returns:
        The same Axes.
    """
    for number, (name, (values, errors)) in enumerate(curves.items()):
        look = _route_look(name, number) | {"fmt": marker_of(number) + "-", "linewidth": 0.7}
        look |= {"markerfacecolor": "none", "markersize": 8.0 - 1.2 * (number % 5)}
        ax.errorbar(c, values, yerr=bars_of(errors), label=name, **look)
    ax.set_xlabel(control)
    ax.set_ylabel(label)
    legend_above(ax)
    return ax


def draw_differences(
    c: np.ndarray,
    curves: Mapping[str, Series],
    ax: Axes,
    *,
    reference: str,
    label: str,
    control: str,
) -> Axes:
    """Draw differences from one route, side by side at each point, over the band of its errors.

    Args:
        c: The control, shape (K,).
        curves: Differences and their errors, each (K,), by name, in the order and with the colours
            of `draw_routes`.
        ax: Where to draw; what lies side by side is so on the scale that the axis has already.
        reference: The name of the one that the others are compared with; its errors are the band.
        label: Of the difference, with its unit.
        control: Of the control.

    Returns:
        The same Axes.
    """
    ax.axhline(0.0, color=REFERENCE, linewidth=0.8)
    scale = ax.xaxis.get_transform()
    places = scale.transform(c)
    gaps = _gaps(places)
    others = [name for name in curves if name != reference]
    for number, (name, (values, errors)) in enumerate(curves.items()):
        look = _route_look(name, number)
        if name == reference:
            if (band := bars_of(errors)) is not None:
                ax.fill_between(
                    c, -band, band, alpha=0.2, linewidth=0, color=look["color"],
                    label=f"{name}, ± σ",
                )  # fmt: skip
            continue
        shift = _SPREAD * gaps * (others.index(name) - (len(others) - 1) / 2) / len(others)
        at = scale.inverted().transform(places + shift)
        ax.errorbar(at, values, yerr=bars_of(errors), label=name, markersize=4.0, **look)
    ax.set_xlabel(control)
    ax.set_ylabel(label)
    legend_above(ax)
    return ax


def _gaps(c: np.ndarray) -> np.ndarray:
    """Distance of each point from the one next to it, (K,)."""
    steps = np.abs(np.diff(c)) if c.size > 1 else np.ones(1)
    return np.minimum(np.append(steps, steps[-1]), np.append(steps[0], steps))[: c.size]


def _route_look(name: str, number: int) -> dict[str, Any]:
    """Of a series; what is exact is black."""
    return look_of(number) | ({"color": REFERENCE} if name == EXACT else {})
