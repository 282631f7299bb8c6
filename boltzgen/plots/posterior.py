"""Samples of a posterior: marginals of one component and of two, pairs of all, and chains."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from scipy.ndimage import gaussian_filter

from boltzgen.plots.series import RAW, WEIGHTED, legend_below, marker_of
from boltzgen.plots.style import EMPTY, MODEL, REFERENCE, REWEIGHTED, SERIES

REGIONS = (0.5, 0.9)
"""Shares of the regions of highest density whose borders are drawn."""
_SHADES = (0.22, 0.5)
_MAP = "Oranges"
_N_BINS = 40
_N_CELLS = (120, 90, 65, 45, 30, 20)
_BLUR = 1.2
"""Width of the blur of two-dimensional histograms, in cells."""
_LEAST_PER_CELL = 10.0
"""Effective samples that a cell of the larger region must have on average."""
_SMALL_FROM = 4
_DIVERGING_MAP = "PuOr_r"
_LEAST_SIGMA, _MOST_SIGMA = 4.0, 10.0
_MOST_NUMBERS = 100
_MOST_LABELS = 32


def new_pair_figure(n: int, *, width: float) -> Figure:
    """Make a figure of n x n square pictures for `draw_pairs`; call it inside `style()`.

    Args:
        n: Components.
        width: Of the whole figure, inches.
    """
    layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02)
    figure = Figure(figsize=(width, width if n > 1 else 0.72 * width), layout=layout)
    FigureCanvasAgg(figure)
    figure.subplots(n, n, squeeze=False)
    return figure


def draw_marginal(
    values: np.ndarray,
    ax: Axes,
    *,
    label: str,
    limits: tuple[float, float],
    weights: np.ndarray | None = None,
    reference: np.ndarray | None = None,
) -> Axes:
    """Draw the density of one component as histograms.

    Args:
        values: Samples of the model, shape (N,).
        ax: Where to draw.
        label: Of the component.
        limits: Of the picture; all outside counts for the norm.
        weights: Importance weights, (N,); with them the samples are drawn as they are, a line, and
            weighted, an area.
        reference: Samples of the target, (M,), an outline.

    Returns:
        The same Axes.
    """
    edges = np.linspace(*limits, _N_BINS + 1)
    if weights is not None:
        density = _density(values, edges, weights)
        ax.stairs(density, edges, fill=True, color=REWEIGHTED, alpha=0.35, label=WEIGHTED)
    name = RAW if weights is not None else "flow"
    ax.stairs(_density(values, edges), edges, color=MODEL, linewidth=1.0, label=name)
    if reference is not None:
        density = _density(reference, edges)
        ax.stairs(density, edges, color=REFERENCE, linewidth=1.2, label="reference")
    ax.set_xlim(*limits)
    ax.set_ylim(bottom=0.0)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.set_xlabel(label)
    ax.set_ylabel("density")
    legend_below(ax)
    return ax


def draw_joint(
    points: np.ndarray,
    ax: Axes,
    *,
    labels: tuple[str, str],
    limits: np.ndarray,
    weights: np.ndarray | None = None,
    reference: np.ndarray | None = None,
) -> Axes:
    """Draw the density of two components: the regions that hold 50 % and 90 % of the mass.

    Histograms of both are blurred alike, by about one cell, so that their borders may be compared.

    Args:
        points: Samples of the model, shape (N, 2); filled.
        ax: Where to draw.
        labels: Of the horizontal and the vertical component.
        limits: Of the picture, (2, 2), one row for each component.
        weights: Importance weights, (N,).
        reference: Samples of the target, (M, 2); lines.

    Returns:
        The same Axes.
    """
    colours = mpl.colormaps[_MAP](_SHADES)
    fewest = float(len(points)) if weights is None else _effective(weights)
    if reference is not None:
        fewest = min(fewest, len(reference))
    n_cells = _n_cells(points, limits, weights, fewest)
    x, y, density = _blurred(points, limits, weights, n_cells)
    levels = _levels(density)
    if levels:
        ax.contourf(x, y, density.T, levels=[*levels, np.inf], colors=colours[-len(levels) :])
    if reference is not None:
        density = _blurred(reference, limits, None, n_cells)[2]
        levels = _levels(density)
        if levels:
            ax.contour(x, y, density.T, levels=levels, colors=REFERENCE, linewidths=1.0)
    ax.set_xlim(*limits[0])
    ax.set_ylim(*limits[1])
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.yaxis.set_major_locator(MaxNLocator(4))
    ax.set_xlabel(labels[0])
    ax.set_ylabel(labels[1])
    return ax


def draw_pairs(
    points: np.ndarray,
    figure: Figure,
    *,
    labels: Sequence[str],
    limits: np.ndarray,
    weights: np.ndarray | None = None,
    reference: np.ndarray | None = None,
) -> Figure:
    """Draw all marginals of one and of two components, those of two below the diagonal.

    Args:
        points: Samples of the model, shape (N, P).
        figure: Of `new_pair_figure(P)`.
        labels: Of the components.
        limits: Of each component, (P, 2).
        weights: Importance weights, (N,).
        reference: Samples of the target, (M, P).

    Returns:
        The same figure.
    """
    n = len(labels)
    axes = np.array(figure.axes, dtype=object).reshape(n, n)
    for (row, column), ax in np.ndenumerate(axes):
        if column > row:
            ax.set_axis_off()
            continue
        pair = [column, row]
        if row == column:
            draw_marginal(
                points[:, row], ax, label=labels[row], limits=tuple(limits[row]), weights=weights,
                reference=None if reference is None else reference[:, row],
            )  # fmt: skip
            ax.legend().remove() if n > 1 else None
        else:
            draw_joint(
                points[:, pair], ax, labels=(labels[column], labels[row]), limits=limits[pair],
                weights=weights, reference=None if reference is None else reference[:, pair],
            )  # fmt: skip
        if n > 1:
            _trim(ax, row, column, n)
    if n > 1:
        handles = pair_handles(weighted=weights is not None, reference=reference is not None)
        figure.legend(handles=handles, loc="upper right")
        figure.align_labels(axes[:, 0])
        figure.align_xlabels(axes[-1])
    return figure


def pair_handles(*, weighted: bool, reference: bool) -> list[Any]:
    """What a legend of `draw_joint` and `draw_marginal` together lists.

    Args:
        weighted: Whether there are weights.
        reference: Whether there is a reference.
    """
    shares = " and ".join(f"{100 * share:.0f} %" for share in REGIONS)
    name = WEIGHTED if weighted else "flow"
    found: list[Any] = [Patch(color=mpl.colormaps[_MAP](_SHADES[1]), label=f"{name}; {shares}")]
    if reference:
        found.append(Line2D([], [], color=REFERENCE, linewidth=1.2, label=f"reference; {shares}"))
    if weighted:
        found.append(Line2D([], [], color=MODEL, linewidth=1.0, label=RAW))
    return found


def draw_deviations(
    z: np.ndarray, ax: Axes, *, powers: Sequence[str], labels: Sequence[str], power: str
) -> Axes:
    """Draw differences in standard errors over powers and components, with colours up to 4 or more.

    Args:
        z: Shape (K, P); NaN is grey, what is larger than 10 drawn as 10.
        ax: Where to draw.
        powers: K names.
        labels: Of the P components; where there is no room for all, every so-many-th is named.
        power: Label of the powers.

    Returns:
        The same Axes.
    """
    shown = np.ma.masked_invalid(np.clip(z.T, -_MOST_SIGMA, _MOST_SIGMA))
    highest = max(_LEAST_SIGMA, float(np.abs(shown).max()) if shown.count() else 0.0)
    colours = mpl.colormaps[_DIVERGING_MAP].with_extremes(bad=EMPTY)
    ax.grid(visible=False)
    image = ax.imshow(shown, cmap=colours, vmin=-highest, vmax=highest, aspect="auto")
    bar = ax.figure.colorbar(image, ax=ax, fraction=0.05, pad=0.02, aspect=40)
    bar.set_label("difference / σ", labelpad=8)
    if shown.size <= _MOST_NUMBERS:
        for (row, column), value in np.ndenumerate(z.T):
            if not np.isnan(value):
                ink = "white" if abs(value) > 0.6 * highest else "#222222"
                ax.text(
                    column, row, f"{value:+.1f}", ha="center", va="center", color=ink, fontsize=8.0
                )
    step = -(-len(labels) // _MOST_LABELS)
    small = 7.5 if len(labels) > 12 else 9.0
    ax.set_yticks(np.arange(len(labels))[::step], labels[::step], fontsize=small)
    ax.set_xticks(np.arange(len(powers)), powers, rotation=45 if len(powers) > 5 else 0)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel(power)
    return ax


def draw_band(
    controls: np.ndarray,
    quantiles: np.ndarray,
    ax: Axes,
    *,
    label: str,
    control: str,
    lines: Mapping[str, np.ndarray],
) -> Axes:
    """Draw how a number spreads over many cases, at each value of a control.

    Args:
        controls: Values of the control, shape (K,).
        quantiles: 10 %, 50 % and 90 %, (3, K).
        ax: Where to draw.
        label: Of the number, with its unit.
        control: Of the control.
        lines: More of it, such as the lowest, by name, (K,) each; dotted.

    Returns:
        The same Axes.
    """
    low, middle, high = quantiles
    if len(controls) > 1:
        ax.fill_between(
            controls, low, high, color=MODEL, alpha=0.25, linewidth=0, label="10 to 90 %"
        )
    else:
        bars = np.stack([middle - low, high - middle])
        ax.errorbar(controls, middle, yerr=bars, color=MODEL, fmt="none", label="10 to 90 %")
    ax.plot(controls, middle, "o-", color=MODEL, linewidth=1.2, markersize=4.0, label="median")
    for number, (name, values) in enumerate(lines.items()):
        ax.plot(
            controls, values, f"{marker_of(number + 1)}:", color=SERIES[1 + number % 6],
            linewidth=1.0, markersize=3.5, label=name,
        )  # fmt: skip
    ax.set_xlabel(control)
    ax.set_ylabel(label)
    legend_below(ax, n_columns=2)
    return ax


def draw_traces(chains: np.ndarray, ax: Axes, *, label: str) -> Axes:
    """Draw one number along Markov chains.

    Args:
        chains: Shape (n_chains, n_steps).
        ax: Where to draw.
        label: Of the number, with its unit.

    Returns:
        The same Axes.
    """
    for number, chain in enumerate(chains):
        ax.plot(
            np.arange(1, chain.size + 1), chain, color=SERIES[number % len(SERIES)], linewidth=0.7,
            drawstyle="steps-post", label=f"chain {number + 1}",
        )  # fmt: skip
    ax.set_xlabel("step")
    ax.set_ylabel(label)
    ax.legend(ncols=len(chains), loc="lower left", bbox_to_anchor=(0.0, 1.0), frameon=False)
    return ax


def _density(
    values: np.ndarray, edges: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Histogram over that of all values, inside and out, (n_bins,)."""
    total = values.size if weights is None else weights.sum()
    counts: np.ndarray = np.histogram(values, edges, weights=weights)[0]
    return counts / (total * np.diff(edges))


def _effective(weights: np.ndarray) -> float:
    return float(weights.sum() ** 2 / (weights @ weights))


def _blurred(
    points: np.ndarray, limits: np.ndarray, weights: np.ndarray | None, n_cells: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Middles of the cells, and the share of the mass in each after the blur."""
    edges = [np.linspace(low, high, n_cells + 1) for low, high in limits]
    x, y = (0.5 * (each[1:] + each[:-1]) for each in edges)
    mass = _masses(points, limits, weights, n_cells)
    return x, y, gaussian_filter(mass, _BLUR, mode="constant")


def _masses(
    points: np.ndarray, limits: np.ndarray, weights: np.ndarray | None, n_cells: int
) -> np.ndarray:
    """Share of all samples, inside and out, in each cell, (n_cells, n_cells)."""
    total = len(points) if weights is None else weights.sum()
    counts: np.ndarray = np.histogram2d(
        points[:, 0], points[:, 1], bins=n_cells, range=limits.tolist(), weights=weights
    )[0]
    return counts / total


def _n_cells(
    points: np.ndarray, limits: np.ndarray, weights: np.ndarray | None, n_effective: float
) -> int:
    """The finest cells of which those in the larger region have samples enough."""
    for n_cells in _N_CELLS:
        ordered = np.sort(_masses(points, limits, weights, n_cells).ravel())[::-1]
        n_inside = 1 + np.searchsorted(np.cumsum(ordered), REGIONS[-1])
        if n_effective * REGIONS[-1] >= _LEAST_PER_CELL * n_inside:
            return n_cells
    return _N_CELLS[-1]


def _levels(density: np.ndarray) -> list[float]:
    """Densities at the borders of the regions, rising; none where nothing is inside."""
    ordered = np.sort(density.ravel())[::-1]
    at = np.minimum(np.searchsorted(np.cumsum(ordered), REGIONS), ordered.size - 1)
    return sorted({float(level) for level in ordered[at] if 0 < level < ordered[0]})


def _trim(ax: Axes, row: int, column: int, n: int) -> None:
    """Leave labels at the left and at the bottom alone."""
    small = n >= _SMALL_FROM
    ax.xaxis.set_major_locator(MaxNLocator(3))
    ax.tick_params(labelsize=7.5 if small else 9.0)
    if row == column:
        ax.set_yticks([])
        ax.grid(visible=False)
    else:
        ax.yaxis.set_major_locator(MaxNLocator(3))
    if row < n - 1:
        ax.set_xlabel("")
        ax.tick_params(labelbottom=False)
    if column > 0 or row == 0:
        ax.set_ylabel("density" if row == column == 0 else "")
        ax.tick_params(labelleft=False)
