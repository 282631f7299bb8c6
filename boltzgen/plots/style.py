"""One look for all pictures: Okabe-Ito colours, which the colour-blind tell apart, and sizes."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

MODEL = "#0072B2"
REWEIGHTED = "#D55E00"
REFERENCE = "#222222"
WARNING = "#CC3311"
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31")
SURFACE_MAP = "viridis"
ERROR_MAP = "magma"
EMPTY = "#E6E6E6"

_SETTINGS: Any = {
    "font.family": "sans-serif",
    "font.size": 10.0,
    "axes.titlesize": 11.0,
    "axes.labelsize": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 5.0,
    "errorbar.capsize": 2.5,
    "legend.frameon": True,
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "legend.fontsize": 9.0,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@contextmanager
def style() -> Iterator[None]:
    """Use our settings inside the block, where figures are made and drawn."""
    with mpl.rc_context(_SETTINGS):
        yield


def new_figure(
    n_rows: int = 1, n_columns: int = 1, *, width: float = 5.0, aspect: float = 0.72
) -> Figure:
    """Make a figure that belongs to no window system; call it inside `style()`.

    Args:
        n_rows: Rows of pictures.
        n_columns: Columns of pictures.
        width: Of the whole figure, inches: 5 for half a page of the report, 9.5 for a whole one.
        aspect: Height over width of one picture.

    Returns:
        A figure; its pictures come first in `figure.axes`, row by row.
    """
    height = aspect * width / n_columns * n_rows
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.subplots(n_rows, n_columns)
    return figure


def to_png(figure: Figure, *, dpi: int = 150) -> bytes:
    """Render a figure as PNG in memory."""
    buffer = BytesIO()
    with style():
        figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", pad_inches=0.06)
    return buffer.getvalue()


def draw_series(
    ax: Axes,
    x: np.ndarray,
    values: np.ndarray,
    errors: np.ndarray | None = None,
    *,
    label: str,
    colour: str,
) -> None:
    """Draw points with one-sigma error bars, joined by a thin line, shapes (M,)."""
    ax.errorbar(
        x, values, yerr=errors, fmt="o-", color=colour, label=label, linewidth=1.0, elinewidth=1.2
    )


def draw_reference(
    ax: Axes, x: np.ndarray, values: np.ndarray, errors: np.ndarray | None = None
) -> None:
    """Draw reference points as open squares with error bars, shapes (M,)."""
    ax.errorbar(
        x, values, yerr=errors, fmt="s", color=REFERENCE, markerfacecolor="none", label="reference"
    )
