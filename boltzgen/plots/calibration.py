"""Calibration by simulation: ranks of true parameters, and how often intervals hold them."""

from collections.abc import Collection, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from boltzgen.plots.series import legend_below, marker_of
from boltzgen.plots.style import REFERENCE, REWEIGHTED, SERIES

_SHADE = "#999999"
_SPREAD = 0.7
"""Share of the distance of two levels over which the marks of one level lie."""
Shares = tuple[np.ndarray, np.ndarray, np.ndarray]


def draw_rank_ecdf(
    points: np.ndarray,
    ecdf: Mapping[str, np.ndarray],
    band: tuple[np.ndarray, np.ndarray],
    ax: Axes,
    *,
    marked: Collection[str] = (),
) -> Axes:
    """Draw how far shares of ranks up to each point are from those of uniform ranks.

    Args:
        points: Shares if uniform, shape (K,).
        ecdf: Shares found, by component, (K,) each.
        band: Lower and upper end of a simultaneous band of the shares, (K,) each.
        ax: Where to draw.
        marked: Components that have a colour and are in the legend, at most seven; all have
            where there are no more.

    Returns:
        The same Axes.
    """
    lower, upper = band
    ax.fill_between(
        points, lower - points, upper - points, step="mid", color=_SHADE, alpha=0.25, linewidth=0,
        label="band",
    )  # fmt: skip
    ax.axhline(0.0, color=REFERENCE, linewidth=0.8)
    named = set(ecdf) if len(ecdf) <= len(SERIES) else set(marked)
    colours = dict(zip([name for name in ecdf if name in named], SERIES, strict=False))
    for name, values in ecdf.items():
        ax.plot(
            points, values - points, drawstyle="steps-mid", linewidth=1.2,
            color=colours.get(name, _SHADE), label=name if name in named else None,
        )  # fmt: skip
    farthest = max(np.abs(each - points).max() for each in (*ecdf.values(), lower, upper))
    ax.set_ylim(-1.15 * farthest, 1.15 * farthest)
    ax.set_xlim(0.0, 1.0)
    ax.set_xlabel("rank of the truth / number of draws")
    ax.set_ylabel("share of ranks up to here\nminus that of uniform ranks")
    legend_below(ax)
    return ax


def draw_ranks(
    counts: Mapping[str, np.ndarray],
    expected: np.ndarray,
    band: tuple[np.ndarray, np.ndarray],
    ax: Axes,
    *,
    label: str,
) -> Axes:
    """Draw histograms of the ranks of one component over those of uniform ranks.

    Args:
        counts: By source, shape (J,) each.
        expected: If uniform, (J,); the widths of the bins are in its proportion.
        band: Lower and upper end of what a bin may have, (J,) each.
        ax: Where to draw.
        label: Of the component.

    Returns:
        The same Axes.
    """
    edges = np.concatenate([[0.0], np.cumsum(expected) / expected.sum()])
    ax.stairs(
        band[1], edges, baseline=band[0], fill=True, color=_SHADE, alpha=0.25, label="95 % of bins"
    )
    ax.stairs(expected, edges, baseline=None, color=REFERENCE, linewidth=0.8)
    for number, (name, values) in enumerate(counts.items()):
        ax.stairs(
            values, edges, baseline=None, color=SERIES[number % len(SERIES)], linewidth=1.4,
            label=name,
        )  # fmt: skip
    ax.set_ylim(0.0, 1.1 * max(float(band[1].max()), *(float(v.max()) for v in counts.values())))
    ax.set_xlim(0.0, 1.0)
    ax.set_xlabel(f"rank of {label} / number of draws")
    ax.set_ylabel("truths")
    legend_below(ax)
    return ax


def draw_coverage(
    nominal: np.ndarray,
    shares: Mapping[str, Shares],
    band: tuple[np.ndarray, np.ndarray],
    ax: Axes,
) -> Axes:
    """Draw how much more often than they should central intervals hold the truth.

    Args:
        nominal: Levels of the intervals, rising, shape (K,).
        shares: By component: share of truths inside, lower and upper end of its confidence
            interval, (K,) each; where there are more than seven, intervals are left out.
        band: Lower and upper end of what a share may be if the level is right, (K,) each.
        ax: Where to draw.

    Returns:
        The same Axes.
    """
    gap = float(np.diff(nominal).min()) if nominal.size > 1 else 0.1
    few = len(shares) <= len(SERIES)
    ax.axhline(0.0, color=REFERENCE, linewidth=0.8)
    ends = [each - nominal for each in band]
    ax.fill_between(nominal, *ends, color=_SHADE, alpha=0.25, linewidth=0, label="95 % of shares")
    for number, (name, (found, lower, upper)) in enumerate(shares.items()):
        shift = _SPREAD * gap * (number - (len(shares) - 1) / 2) / len(shares)
        ax.errorbar(
            nominal + shift, found - nominal,
            yerr=np.stack([found - lower, upper - found]) if few else None,
            fmt=marker_of(number if few else 0), markersize=4.0 if few else 2.5, elinewidth=1.0,
            color=SERIES[number] if few else REWEIGHTED, label=name if few else None,
            capsize=2.0,
        )  # fmt: skip
    for y, text in ((0.97, "intervals too wide"), (0.03, "intervals too narrow")):
        ax.text(
            0.02, y, text, transform=ax.transAxes, color="#666666", fontsize=8.5,
            va="top" if y > 0.5 else "bottom",
        )  # fmt: skip
    edges = [edge for each in shares.values() for edge in (each[1:] if few else each[:1])]
    farthest = max(float(np.abs(edge - nominal).max()) for edge in (*edges, *band))
    ax.set_ylim(-1.4 * farthest, 1.4 * farthest)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
    ax.set_xlabel("nominal level")
    ax.set_ylabel("actual share minus nominal level")
    legend_below(ax)
    return ax
