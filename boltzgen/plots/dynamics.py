"""Autocorrelation times over the size of a system, with the power laws fitted to them."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, ScalarFormatter

from boltzgen.plots.style import SERIES

_MARKERS = "osD^vPX"
_MARGIN = 1.15


def draw_power_laws(
    L: np.ndarray,
    times: Mapping[str, tuple[np.ndarray, np.ndarray]],
    fits: Mapping[str, tuple[float, float, float, float]],
    ax: Axes,
    *,
    label: str,
    size_label: str = "L / lattice sites",
) -> Axes:
    """Draw times over sizes, both on logarithmic axes, and lines A L^z.

    Args:
        L: Sizes, above 0, shape (K,).
        times: Values and standard errors, each (K,), by name; NaN leaves a gap.
        fits: A, z, the error of z, and the size from which the line is drawn, by the same names;
            a name may be missing.
        ax: Where to draw.
        label: Of the times, with their unit.
        size_label: Of the sizes, with their unit.

    Returns:
        The same Axes.
    """
    ends = np.array([L.min() / _MARGIN, L.max() * _MARGIN])
    for number, (name, (values, errors)) in enumerate(times.items()):
        colour, known = SERIES[number % len(SERIES)], np.isfinite(values)
        text = name
        if name in fits:
            amplitude, exponent, error, first = fits[name]
            line = np.array([max(first / _MARGIN, ends[0]), ends[1]])
            text = f"{name}: z = {exponent:.3f} ± {error:.3f}"
            ax.plot(line, amplitude * line**exponent, color=colour, linewidth=1.0)
        ax.errorbar(
            L[known], values[known], yerr=errors[known], color=colour, label=text,
            fmt=_MARKERS[number % len(_MARKERS)], markersize=4.5,
        )  # fmt: skip
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(L)
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlim(*ends)
    ax.set_xlabel(size_label)
    ax.set_ylabel(label)
    if times:
        ax.legend(loc="upper left", handletextpad=0.5)
    return ax
