"""Overlap matrices of MBAR."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes


def draw_overlap(
    overlap: np.ndarray,
    ax: Axes,
    *,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
) -> Axes:
    """Draw an overlap matrix with its numbers.

    Args:
        overlap: Numbers between 0 and 1, shape (L, K).
        ax: Where to draw.
        rows: Names of the L rows.
        columns: Names of the K columns.

    Returns:
        The same Axes.
    """
    ax.grid(visible=False)
    ax.imshow(overlap, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    size = 9.0 if overlap.shape[1] <= 10 else 7.0
    for (row, column), value in np.ndenumerate(overlap):
        text = "0" if value < 5e-4 else f"{value:.2f}" if value >= 5e-3 else "<.01"
        colour = "white" if value > 0.55 else "#333333"
        ax.text(column, row, text, ha="center", va="center", color=colour, fontsize=size)
    names = columns if columns is not None else [str(k) for k in range(overlap.shape[1])]
    ax.set_xticks(range(overlap.shape[1]), names, rotation=0 if overlap.shape[1] < 9 else 45)
    names = rows if rows is not None else [str(k) for k in range(overlap.shape[0])]
    ax.set_yticks(range(overlap.shape[0]), names)
    ax.set_xlabel("samples from")
    ax.set_ylabel("weight of")
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    return ax
