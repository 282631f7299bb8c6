"""Training curves of any run: what is logged at every step, under its running median."""

from collections.abc import Sequence

import numpy as np

from boltzgen.plots import draw_training, new_figure, to_png
from boltzgen.report import Figure, Section

_WINDOW = 50
_NAMES = {
    "nll": "negative log-likelihood of the data / nats",
    "free_form_surrogate": "loss in place of the likelihood",
    "held_out_nll": "exact −log q of held-out data / nats",
    "reconstruction": "squared reconstruction error",
    "reverse_kl": "reverse KL − log Z / nats",
    "trade_rms": "rms TRADE residual, d log q / d log {}",
    "log_variance_rms": "rms log-weight of samples",
    "data_log_variance_rms": "rms log-weight of data",
    "gradient_norm": "gradient norm",
}
_LINEAR = ("nll", "reverse_kl", "free_form_surrogate", "held_out_nll")


def training_section(history: Sequence[dict[str, float]], *, control: str = "T") -> Section:
    """Training curves, of those metrics that were logged.

    Args:
        history: Metrics of all steps, with "step".
        control: Symbol of the control.
    """
    shown = [name for name in _NAMES if any(row.get(name) is not None for row in history)]
    if not shown:
        return Section(title="Training", text="Nothing was logged.")
    figure = new_figure(-(-len(shown) // 2), 2, width=9.5)
    for ax in figure.axes[len(shown) :]:
        ax.remove()
    for ax, name in zip(figure.axes, shown, strict=True):
        rows = [(row["step"], row[name]) for row in history if row.get(name) is not None]
        steps, values = (np.array(column) for column in zip(*rows, strict=True))
        smooth, label = running_median(values), _NAMES[name].format(control)
        draw_training(steps, {name: values}, ax, label=label, smoothed={name: smooth})
        if name not in _LINEAR:
            ax.set_yscale("log")
    return Section(
        title="Training",
        text="Faint: every step. Full: running median.",
        figures=[Figure(image=to_png(figure), caption="Training curves.", wide=True)],
    )


def running_median(values: np.ndarray) -> np.ndarray:
    """Running median over a window that shrinks at the ends."""
    half = max(1, min(_WINDOW, values.size // 10) // 2)
    return np.array(
        [np.median(values[max(0, i - half) : i + half + 1]) for i in range(values.size)]
    )
