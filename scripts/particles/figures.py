"""Pictures of a flow of particles."""

import numpy as np

from boltzgen.estimators import normalise
from boltzgen.plots import (
    draw_ess,
    draw_khat,
    draw_marginal,
    draw_over_temperature,
    new_figure,
    to_png,
)
from boltzgen.plots.routes import draw_differences, draw_routes, new_stacked_figure
from boltzgen.report import Figure
from particles.evaluation import CHAINS, SAMPLING
from particles.results import AtTemperature, ParticleStory
from pipeline.numbers import numbers_of
from pipeline.routes import aligned, differences

TEMPERATURE = "temperature T"
_LOWEST_LINEAR = 0.03
_INSIDE = (0.001, 0.999)


def weight_figures(story: ParticleStory) -> list[Figure]:
    """Effective sample sizes and k-hat over temperature."""
    points, at = story.results.points, story.results.temperatures
    reverse = numbers_of([p.ess_reverse for p in points])
    forward = numbers_of([p.ess_forward for p in points])
    figure = new_figure(1, 2, width=9.5)
    smallest = min(reverse.values.min(), forward.values.min())
    draw_ess(
        at, reverse, figure.axes[0], forward=forward, label=TEMPERATURE,
        logarithmic=bool(0 < smallest < _LOWEST_LINEAR),
    )  # fmt: skip
    draw_khat(at, np.array([p.khat for p in points]), figure.axes[1], label=TEMPERATURE)
    return [
        Figure(
            image=to_png(figure), wide=True,
            caption="Effective share of the samples, and the tail of the weights (k-hat above 0.7: "
            "do not trust), over temperature.",
        )
    ]  # fmt: skip


def evidence_figures(story: ParticleStory) -> list[Figure]:
    """Log Z by all routes, and their differences."""
    routes, at = story.results.log_z, story.results.temperatures
    if len(at) < 2:
        return []
    figure = new_stacked_figure(width=7.0, heights=(2.8, 2.0))
    curves = dict(aligned(routes, SAMPLING))
    draw_routes(at, curves, figure.axes[0], label="log Z / nats", control=TEMPERATURE)
    draw_differences(
        at, dict(differences(routes, SAMPLING)), figure.axes[1], reference=SAMPLING,
        label=f"log Z minus that\nby “{SAMPLING}” / nats", control=TEMPERATURE,
    )  # fmt: skip
    figure.axes[0].set_xlabel("")
    moved = (
        f" {CHAINS} knows differences alone; at T = {story.config.learn.at:g} it is moved onto it."
    )
    return [
        Figure(
            image=to_png(figure),
            caption="Log Z by every route, and differences from importance sampling with one "
            f"standard error.{moved if CHAINS in routes else ''}",
        )
    ]  # fmt: skip


def thermodynamic_figures(story: ParticleStory) -> list[Figure]:
    """Mean potential and heat capacity over temperature."""
    results, at = story.results, story.results.temperatures
    if len(at) < 2:
        return []
    energy = numbers_of([p.energy for p in results.points])
    reference = numbers_of([p.reference.energy for p in results.points])
    found = results.thermodynamics
    figure = new_figure(1, 2, width=9.5)
    draw_over_temperature(
        at, *energy, figure.axes[0], label=f"U / {story.unit}", reference=(at, *reference)
    )
    draw_over_temperature(
        at, found.heat_capacity, found.heat_capacity_errors, figure.axes[1],
        label="configurational C_v / k",
    )  # fmt: skip
    for ax in figure.axes:
        ax.set_xlabel(TEMPERATURE)
    return [
        Figure(image=to_png(figure), wide=True,
               caption="Mean potential, reweighted, beside replica exchange; heat capacity.")
    ]  # fmt: skip


def structure_figures(story: ParticleStory) -> list[Figure]:
    """Histograms of potential and pair distances at the lowest, the data's, the highest T."""
    points = story.results.points
    data = int(np.abs(story.results.temperatures - story.config.learn.at).argmin())
    return [_histograms(points[k], story.unit) for k in sorted({0, data, len(points) - 1})]


def _histograms(point: AtTemperature, unit: str) -> Figure:
    figure = new_figure(1, 2, width=9.5)
    shares, theirs = normalise(point.log_w), point.reference.draws
    kept = np.isfinite(point.draws.potential)
    n_pairs = point.draws.distances.shape[1]
    draw_marginal(
        point.draws.potential[kept], figure.axes[0], label=f"potential / {unit}",
        limits=_limits(theirs.potential), weights=shares[kept], reference=theirs.potential,
    )  # fmt: skip
    draw_marginal(
        point.draws.distances.ravel(), figure.axes[1], label="distance of two particles",
        limits=_limits(theirs.distances), weights=np.repeat(shares / n_pairs, n_pairs),
        reference=theirs.distances.ravel(),
    )  # fmt: skip
    return Figure(
        image=to_png(figure), wide=True,
        caption=f"Potential and distances of all pairs at T = {point.T:.4g}; the axis holds "
        "99.8 % of the reference and a margin.",
    )  # fmt: skip


def _limits(values: np.ndarray) -> tuple[float, float]:
    low, high = (float(v) for v in np.quantile(values, _INSIDE))
    margin = 0.25 * (high - low)
    return low - margin, high + margin
