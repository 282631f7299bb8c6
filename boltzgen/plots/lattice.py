"""Observables and free energies of a model over its couplings: curves, residuals, maps."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from boltzgen.plots.style import EMPTY, MODEL, REFERENCE, REWEIGHTED, SERIES, SURFACE_MAP

Series = tuple[np.ndarray, np.ndarray | None]

EXACT, MONTE_CARLO, RAW, WEIGHTED = "exact", "Monte Carlo", "flow, raw", "flow, reweighted"
_LOOKS: dict[str, dict[str, Any]] = {
    EXACT: {"fmt": "o-", "color": REFERENCE, "markersize": 2.8, "linewidth": 1.1},
    MONTE_CARLO: {
        "fmt": "s", "color": SERIES[2], "markerfacecolor": "none", "markersize": 7.0,
    },
    RAW: {"fmt": "x", "color": MODEL, "alpha": 0.6, "markersize": 3.5, "elinewidth": 0.6},
    WEIGHTED: {"fmt": "o", "color": REWEIGHTED, "markersize": 3.8},
}  # fmt: skip
_MARKERS = "osD^vPX"
_SPREAD = 0.4
"""Share of the distance of two points over which the markers of one point lie."""
_WITHOUT_SCATTER = 2.0
_LEAST_RANGE = 3.4
_MOST_NUMBERS = 80
_MOST_TICKS = 9
_DIVERGING_MAP = "PuOr_r"
_OUTLINE = (withStroke(linewidth=2.0, foreground="#222222"),)


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


def draw_observable(
    c: np.ndarray, sources: Mapping[str, Series], ax: Axes, *, label: str, control: str
) -> Axes:
    """Draw one observable over a coupling, as several sources have it.

    Args:
        c: The coupling, shape (K,).
        sources: Values and errors (or None), each (K,), by name; "exact", "Monte Carlo",
            "flow, raw" and "flow, reweighted" have looks of their own. NaN is left out.
        ax: Where to draw.
        label: Of the observable.
        control: Of the coupling.

    Returns:
        The same Axes.
    """
    for number, (name, (values, errors)) in enumerate(sources.items()):
        look = _LOOKS.get(name) or _series_look(number)
        known = np.isfinite(values)
        bars = _bars(None if errors is None else errors[known])
        ax.errorbar(c[known], values[known], yerr=bars, label=name, **look)
    ax.set_xlabel(control)
    ax.set_ylabel(label)
    ax.legend()
    return ax


def draw_residuals(
    c: np.ndarray, residuals: Mapping[str, np.ndarray], ax: Axes, *, control: str
) -> Axes:
    """Draw differences in standard errors over a coupling; the band is two of them.

    Args:
        c: The coupling, shape (K,).
        residuals: z by the names of what is compared, each (K,); what is not finite is left out.
        ax: Where to draw.
        control: Of the coupling.

    Returns:
        The same Axes.
    """
    ax.axhspan(-_WITHOUT_SCATTER, _WITHOUT_SCATTER, color="#999999", alpha=0.2, linewidth=0)
    ax.axhline(0.0, color=REFERENCE, linewidth=0.8)
    highest = _LEAST_RANGE
    for number, (name, z) in enumerate(residuals.items()):
        known = np.isfinite(z)
        colour = REFERENCE if name.endswith(EXACT) else SERIES[2]
        ax.plot(c[known], z[known], _fmt(number), color=colour, markersize=4.0, label=name)
        highest = max(highest, 1.1 * float(np.abs(z[known]).max(initial=0.0)))
    ax.set_ylim(-highest, highest)
    ax.set_xlabel(control)
    ax.set_ylabel("difference / σ")
    if residuals:
        _legend_above(ax)
    return ax


def draw_routes(
    c: np.ndarray, curves: Mapping[str, Series], ax: Axes, *, label: str, control: str
) -> Axes:
    """Draw one quantity over a coupling, as several routes lead to it.

    Args:
        c: The coupling, shape (K,).
        curves: Values and errors (or None), each (K,), by name.
        ax: Where to draw.
        label: Of the quantity.
        control: Of the coupling.

    Returns:
        The same Axes.
    """
    for number, (name, (values, errors)) in enumerate(curves.items()):
        look = _route_look(name, number) | {"markerfacecolor": "none", "fmt": _fmt(number) + "-"}
        look |= {"linewidth": 0.7, "markersize": 8.0 - 1.2 * (number % 5)}
        ax.errorbar(c, values, yerr=_bars(errors), label=name, **look)
    ax.set_xlabel(control)
    ax.set_ylabel(label)
    _legend_above(ax)
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
        c: The coupling, shape (K,).
        curves: Differences and their errors, each (K,), by name, in the order and with the colours
            of `draw_routes`.
        ax: Where to draw.
        reference: The name of the one that the others are compared with; its errors are the band.
        label: Of the difference, with its unit.
        control: Of the coupling.

    Returns:
        The same Axes.
    """
    ax.axhline(0.0, color=REFERENCE, linewidth=0.8)
    gap = float(np.diff(c).min()) if c.size > 1 else 1.0
    others = [name for name in curves if name != reference]
    for number, (name, (values, errors)) in enumerate(curves.items()):
        look = _route_look(name, number)
        if name == reference:
            if (band := _bars(errors)) is not None:
                ax.fill_between(
                    c, -band, band, alpha=0.2, linewidth=0, color=look["color"],
                    label=f"{name}, ± σ",
                )  # fmt: skip
            continue
        shift = _SPREAD * gap * (others.index(name) - (len(others) - 1) / 2) / len(others)
        ax.errorbar(c + shift, values, yerr=_bars(errors), label=name, markersize=4.0, **look)
    ax.set_xlabel(control)
    ax.set_ylabel(label)
    _legend_above(ax)
    return ax


def draw_map(
    controls: Mapping[str, np.ndarray],
    values: np.ndarray,
    ax: Axes,
    *,
    label: str,
    marks: Sequence[tuple[float, float]] = (),
    diverging: bool = False,
) -> Axes:
    """Draw a quantity over two couplings, with its numbers where there is room.

    All cells have the same size, however the values of the couplings are spaced.

    Args:
        controls: Increasing values of the two couplings by label, (K1,) and (K2,); the first is
            horizontal.
        values: Shape (K1, K2); what is not finite is grey.
        ax: Where to draw.
        label: Of the quantity.
        marks: Pairs of couplings that get a star, such as those with training data.
        diverging: Whether the colours are those of a difference, around 0.

    Returns:
        The same Axes.
    """
    (first, x), (second, y) = controls.items()
    shown = np.ma.masked_invalid(values.T)
    highest = float(np.abs(shown).max()) if diverging and shown.count() else None
    low = None if highest is None else -highest
    colours = mpl.colormaps[_DIVERGING_MAP if diverging else SURFACE_MAP].with_extremes(bad=EMPTY)
    ax.grid(visible=False)
    image = ax.imshow(shown, cmap=colours, vmin=low, vmax=highest, origin="lower", aspect="auto")
    ax.figure.colorbar(image, ax=ax, label=label, fraction=0.05, pad=0.02)
    numbered = values.size <= _MOST_NUMBERS
    if numbered:
        _write_numbers(ax, values, image.to_rgba(shown))
    for one, other in marks:
        cell = float(np.interp(one, x, np.arange(x.size))), np.interp(other, y, np.arange(y.size))
        ax.annotate(
            "★", cell, xytext=(0.0, 11.0 if numbered else 0.0),
            textcoords="offset points", ha="center", va="center",
            color="white", path_effects=_OUTLINE, annotation_clip=False,
        )  # fmt: skip
    ax.set_xticks(*_ticks(x), rotation=45 if x.size > 6 else 0)
    ax.set_yticks(*_ticks(y))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel(first)
    ax.set_ylabel(second)
    return ax


def mark_couplings(ax: Axes, values: Sequence[float], *, label: str | None = None) -> Axes:
    """Draw a dotted vertical line at each coupling; a label is in the legend made next."""
    for number, value in enumerate(values):
        ax.axvline(
            value, color="#666666", linestyle=":", linewidth=1.2, zorder=0.5,
            label=label if number == 0 else None,
        )  # fmt: skip
    return ax


def _legend_above(ax: Axes) -> None:
    """Where it hides no data, however they lie."""
    ax.legend(
        loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, frameon=False, borderaxespad=0.2,
        handletextpad=0.5, columnspacing=1.2,
    )  # fmt: skip


def _fmt(number: int) -> str:
    return _MARKERS[number % len(_MARKERS)]


def _series_look(number: int) -> dict[str, Any]:
    return {"fmt": _fmt(number), "color": SERIES[number % len(SERIES)]}


def _route_look(name: str, number: int) -> dict[str, Any]:
    """Of a series; what is exact is black."""
    return _series_look(number) | ({"color": REFERENCE} if name == EXACT else {})


def _bars(errors: np.ndarray | None) -> np.ndarray | None:
    """Lengths of error bars; None where there are none at all."""
    if errors is None or not np.any(errors > 0):
        return None
    return np.where(np.isfinite(errors), errors, 0.0)


def _ticks(values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Numbers of the cells that get a tick, and the values there."""
    cells = np.arange(0, values.size, -(-values.size // _MOST_TICKS))
    return cells, [f"{value:.4g}" for value in values[cells]]


def _write_numbers(ax: Axes, values: np.ndarray, colours: np.ndarray) -> None:
    size = 8.5 if values.shape[0] <= 6 else 6.5
    largest = np.abs(values[np.isfinite(values)]).max(initial=0.0)
    digits = int(np.clip(2 - np.floor(np.log10(largest)), 0, 6)) if largest > 0 else 0
    for (i, j), value in np.ndenumerate(values):
        if np.isnan(value):
            continue
        brightness = colours[j, i, :3] @ np.array([0.299, 0.587, 0.114])
        ink = "white" if np.isfinite(value) and brightness < 0.5 else "#222222"
        ax.text(i, j, f"{value:.{digits}f}", ha="center", va="center", color=ink, fontsize=size)
