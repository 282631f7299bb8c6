"""Observables of a model over its couplings: curves, residuals, maps."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from boltzgen.plots.series import (
    EXACT,
    MONTE_CARLO,
    RAW,
    WEIGHTED,
    Series,
    bars_of,
    legend_above,
    look_of,
    marker_of,
)
from boltzgen.plots.style import EMPTY, MODEL, REFERENCE, REWEIGHTED, SERIES, SURFACE_MAP

_LOOKS: dict[str, dict[str, Any]] = {
    EXACT: {"fmt": "o-", "color": REFERENCE, "markersize": 2.8, "linewidth": 1.1},
    MONTE_CARLO: {
        "fmt": "s", "color": SERIES[2], "markerfacecolor": "none", "markersize": 7.0,
    },
    RAW: {"fmt": "x", "color": MODEL, "alpha": 0.6, "markersize": 3.5, "elinewidth": 0.6},
    WEIGHTED: {"fmt": "o", "color": REWEIGHTED, "markersize": 3.8},
}  # fmt: skip
_WITHOUT_SCATTER = 2.0
_LEAST_RANGE = 3.4
_MOST_NUMBERS = 80
_MOST_TICKS = 9
_DIVERGING_MAP = "PuOr_r"
_OUTLINE = (withStroke(linewidth=2.0, foreground="#222222"),)


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
        look = _LOOKS.get(name) or look_of(number)
        known = np.isfinite(values)
        bars = bars_of(None if errors is None else errors[known])
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
        ax.plot(c[known], z[known], marker_of(number), color=colour, markersize=4.0, label=name)
        highest = max(highest, 1.1 * float(np.abs(z[known]).max(initial=0.0)))
    ax.set_ylim(-highest, highest)
    ax.set_xlabel(control)
    ax.set_ylabel("difference / σ")
    if residuals:
        legend_above(ax)
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
