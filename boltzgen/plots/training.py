"""Training curves."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from boltzgen.plots.style import SERIES


def draw_training(
    steps: np.ndarray,
    curves: Mapping[str, np.ndarray],
    ax: Axes,
    *,
    label: str = "loss",
    smoothed: Mapping[str, np.ndarray] | None = None,
) -> Axes:
    """Draw curves over training steps.

    Args:
        steps: Step numbers, shape (M,).
        curves: Values by name, each of shape (M,); NaN leaves a gap.
        ax: Where to draw.
        label: Label of the vertical axis, with its unit.
        smoothed: Smoothed versions of the same names, drawn strongly over the pale raw curve.

    Returns:
        The same Axes.
    """
    for number, (name, values) in enumerate(curves.items()):
        colour = SERIES[number % len(SERIES)]
        smooth = None if smoothed is None else smoothed.get(name)
        if smooth is None:
            ax.plot(steps, values, color=colour, label=name, linewidth=1.2)
        else:
            ax.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
            ax.plot(steps, smooth, color=colour, label=name)
    ax.set_xlabel("training step")
    ax.set_ylabel(label)
    ax.legend()
    return ax
