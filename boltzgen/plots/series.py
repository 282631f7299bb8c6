"""How series from several sources look in one picture: names, markers, bars and legends."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from boltzgen.plots.style import SERIES

Series = tuple[np.ndarray, np.ndarray | None]
"""Values and errors, or None, (K,) each."""

EXACT, MONTE_CARLO, RAW, WEIGHTED = "exact", "Monte Carlo", "flow, raw", "flow, reweighted"
_MARKERS = "osD^vPX"


def marker_of(number: int) -> str:
    """Marker of a series by its number."""
    return _MARKERS[number % len(_MARKERS)]


def look_of(number: int) -> dict[str, Any]:
    """Marker and colour of a series by its number."""
    return {"fmt": marker_of(number), "color": SERIES[number % len(SERIES)]}


def bars_of(errors: np.ndarray | None) -> np.ndarray | None:
    """Lengths of error bars; None where there are none at all."""
    if errors is None or not np.any(errors > 0):
        return None
    return np.where(np.isfinite(errors), errors, 0.0)


def legend_below(ax: Axes, *, n_columns: int = 3) -> None:
    """Make a legend below the label of the horizontal axis."""
    ax.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.19), ncols=n_columns, frameon=False,
        handletextpad=0.5, columnspacing=1.2,
    )  # fmt: skip


def legend_above(ax: Axes) -> None:
    """Make a legend where it hides no data, however they lie."""
    ax.legend(
        loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, frameon=False, borderaxespad=0.2,
        handletextpad=0.5, columnspacing=1.2,
    )  # fmt: skip
