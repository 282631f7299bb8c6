"""Quality of the importance weights over temperature, or over another control."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from boltzgen.plots.style import MODEL, REFERENCE, REWEIGHTED, WARNING, draw_series


def draw_ess(
    controls: np.ndarray,
    reverse: tuple[np.ndarray, np.ndarray],
    ax: Axes,
    *,
    forward: tuple[np.ndarray, np.ndarray] | None = None,
    logarithmic: bool = False,
    label: str = "temperature / K",
) -> Axes:
    """Draw the effective sample size over a control.

    Args:
        controls: Its values, shape (M,).
        reverse: ESS/N of the model's samples and its errors, each (M,).
        ax: Where to draw.
        forward: The same from reference samples; NaN where there are none.
        logarithmic: Whether the vertical axis is logarithmic.
        label: Of the control, with its unit.

    Returns:
        The same Axes.
    """
    draw_series(ax, controls, *reverse, label="reverse (model samples)", colour=MODEL)
    if forward is not None:
        draw_series(ax, controls, *forward, label="forward (target samples)", colour=REWEIGHTED)
    if logarithmic:
        ax.set_yscale("log")
    else:
        ax.set_ylim(0.0, 1.05 * ax.dataLim.y1)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
    ax.set_xlabel(label)
    ax.set_ylabel("effective sample size / N")
    ax.legend()
    return ax


def draw_khat(
    controls: np.ndarray, khat: np.ndarray, ax: Axes, *, label: str = "temperature / K"
) -> Axes:
    """Draw Pareto k-hat over a control with the limit of 0.7.

    Args:
        controls: Its values, shape (M,).
        khat: k-hat, shape (M,); infinite values are drawn at the edge of the picture.
        ax: Where to draw.
        label: Of the control, with its unit.

    Returns:
        The same Axes.
    """
    shown = np.clip(khat, -0.2, 1.4)
    bad = khat >= 0.7
    ax.axhspan(0.7, 1.5, color=WARNING, alpha=0.08, linewidth=0)
    ax.axhline(0.7, color=WARNING, linewidth=1.2, linestyle="--", label="0.7: weights unreliable")
    ax.plot(controls, shown, color=REFERENCE, linewidth=0.8)
    ax.plot(controls[~bad], shown[~bad], "o", color=MODEL)
    ax.plot(controls[bad], shown[bad], "X", color=WARNING, markersize=8)
    ax.set_ylim(min(-0.05, float(shown.min()) - 0.1), max(1.0, float(shown.max()) + 0.1))
    ax.set_xlabel(label)
    ax.set_ylabel(r"Pareto $\hat{k}$")
    ax.legend(loc="best")
    return ax
