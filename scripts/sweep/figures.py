"""Pictures of a sweep: over one coupling as curves, over two as maps; none over more."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from boltzgen.plots import draw_ess, draw_khat, new_figure, to_png
from boltzgen.plots.lattice import draw_map, draw_observable, draw_residuals, mark_couplings
from boltzgen.plots.routes import draw_differences, draw_routes, new_stacked_figure
from boltzgen.plots.series import MONTE_CARLO, WEIGHTED
from boltzgen.report import Figure
from pipeline.routes import aligned, differences
from sweep.lattice import Observable
from sweep.story import (
    SweepStory,
    agreements_of,
    forward_ess,
    khat,
    reference_of,
    reverse_ess,
    sources_of,
)

_LOWEST_LINEAR = 0.03
"""Smallest ESS/N for which a linear axis does."""
_FLOW_ROUTES = ("mixture of flows", "importance sampling")


def observable_figures(story: SweepStory) -> list[Figure]:
    """All observables over the couplings, with residuals over one."""
    if len(story.controls) == 1:
        drawn = [each for each in story.lattice.observables if sources_of(story, each.name)]
        return [_observable_figure(story, each) for each in drawn]
    if len(story.controls) == 2:
        return _observable_maps(story)
    return []


def weight_figures(story: SweepStory) -> list[Figure]:
    """Effective sample sizes and k-hat."""
    if len(story.controls) == 2:
        return _weight_maps(story)
    if len(story.controls) != 1:
        return []
    c, (label,) = story.results.values[:, 0], story.axis_labels
    reverse, forward = reverse_ess(story), forward_ess(story)
    smallest = np.nanmin(np.concatenate([reverse.values, (forward or reverse).values]))
    figure = new_figure(1, 2, width=9.5)
    for ax in figure.axes:
        _mark(story, ax)
    draw_ess(
        c, reverse, figure.axes[0], forward=forward, label=label,
        logarithmic=bool(smallest < _LOWEST_LINEAR),
    )  # fmt: skip
    draw_khat(c, khat(story), figure.axes[1], label=label)
    caption = "Effective share of the samples, and the tail of the weights (k-hat above 0.7: do"
    return [Figure(image=to_png(figure), wide=True, caption=f"{caption} not trust).")]


def free_energy_figures(story: SweepStory) -> list[Figure]:
    """-log Z by all routes, and their differences."""
    free = story.results.free
    if len(story.controls) == 2:
        return _free_energy_maps(story)
    if len(story.controls) != 1:
        return []
    c, (label,), n_sites = story.results.values[:, 0], story.axis_labels, _n_sites(story)
    figure = new_figure(1, 2, width=9.5)
    for ax in figure.axes:
        _mark(story, ax)
    reference = reference_of(free)
    curves = aligned(free, reference)
    sites = {name: (f.values / n_sites, f.errors / n_sites) for name, f in curves.items()}
    draw_routes(c, sites, figure.axes[0], label="−log Z / V, in nats per site", control=label)
    draw_differences(
        c, dict(differences(free, reference)), figure.axes[1], reference=reference, control=label,
        label="difference of −log Z, in nats",
    )  # fmt: skip
    moved = [name for name, curve in free.items() if curve.relative and name != reference]
    also = f" Moved onto it at the first point: {', '.join(moved)}." if moved else ""
    text = (
        "Left: free energy per site by every route. Right: differences of the free energy of the "
        f"whole lattice from the route “{reference}”; bars are the errors of each route, the band "
        f"that of the reference.{also}"
    )
    return [Figure(image=to_png(figure), wide=True, caption=text)]


def _mark(story: SweepStory, ax: Axes) -> None:
    mark_couplings(ax, [c for (c,) in story.boundaries], label="training data")


def _n_sites(story: SweepStory) -> int:
    return story.config.lattice.n_sites


def _observable_figure(story: SweepStory, observable: Observable) -> Figure:
    c, (label,) = story.results.values[:, 0], story.axis_labels
    residuals = {k: found.z for k, found in agreements_of(story, observable.name).items()}
    shown = dict(list(residuals.items())[:2])
    figure = new_stacked_figure(heights=(2.8, 1.3) if shown else (3.4,))
    mark_couplings(figure.axes[-1], [c for (c,) in story.boundaries])
    _mark(story, figure.axes[0])
    draw_observable(
        c, dict(sources_of(story, observable.name)), figure.axes[0], label=observable.label,
        control=label,
    )  # fmt: skip
    if shown:
        draw_residuals(c, shown, figure.axes[1], control=label)
        figure.axes[0].set_xlabel("")
    below = f" Below: {' and '.join(shown)} in standard errors; band: two." if shown else ""
    return Figure(
        image=to_png(figure), caption=f"{observable.label} over {story.symbols[0]}.{below}"
    )


def _observable_maps(story: SweepStory) -> list[Figure]:
    panels, names = [], []
    for each in story.lattice.observables:
        sources = sources_of(story, each.name)
        for source in (WEIGHTED, MONTE_CARLO):
            if source in sources:
                panels.append((each.label, sources[source].values, False))
                names.append(source)
                break
    residuals = [
        (f"({pair}) / σ of {each.label.split(' = ')[0]}", found.z, True)
        for each in story.lattice.observables
        for pair, found in list(agreements_of(story, each.name).items())[:1]
    ]
    where = f"{_stars(story)} Source: {', '.join(sorted(set(names)))}."
    figures = [_maps(story, panels, f"Observables over {' and '.join(story.symbols)}.{where}")]
    if residuals:
        figures.append(_maps(story, residuals, "Differences in standard errors."))
    return figures


def _weight_maps(story: SweepStory) -> list[Figure]:
    forward = forward_ess(story)
    panels = [("reverse ESS/N in %", 100 * reverse_ess(story).values, False)]
    if forward is not None:
        panels.append(("forward ESS/N in %", 100 * forward.values, False))
    panels.append(("Pareto k-hat", khat(story), False))
    text = f"Effective share of the samples, and the tail of the weights.{_stars(story)}"
    return [_maps(story, panels, text)]


def _free_energy_maps(story: SweepStory) -> list[Figure]:
    free = story.results.free
    reference = reference_of(free)
    curves = aligned(free, reference)
    flow = [name for name in _FLOW_ROUTES if name in free]
    shown = (flow or [reference])[0]
    panels = [("−log Z / V, in nats per site", curves[shown].values / _n_sites(story), False)]
    others = [
        (name, found) for name, found in differences(free, reference).items() if name != reference
    ]
    panels += [(f"{name}: difference in nats", found.values, True) for name, found in others]
    text = f"Free energy per site by the route “{shown}”"
    text += f", and differences of the whole lattice's from “{reference}”." if others else "."
    return [_maps(story, panels, text + _stars(story))]


def _stars(story: SweepStory) -> str:
    return " Stars: couplings with training data." if story.boundaries else ""


def _maps(
    story: SweepStory, panels: Sequence[tuple[str, np.ndarray, bool]], caption: str
) -> Figure:
    """Maps, two side by side, of (label, values (K,), whether it is a difference)."""
    axes = dict(zip(story.axis_labels, map(np.array, story.config.values), strict=True))
    shape = tuple(values.size for values in axes.values())
    n_columns = min(2, len(panels))
    figure = new_figure(-(-len(panels) // 2), n_columns, width=4.75 * n_columns, aspect=0.78)
    for ax in figure.axes[len(panels) :]:
        ax.remove()
    marks = [(one, other) for one, other in story.boundaries]
    for ax, (label, values, diverging) in zip(figure.axes, panels, strict=True):
        draw_map(axes, values.reshape(shape), ax, label=label, marks=marks, diverging=diverging)
    return Figure(image=to_png(figure), caption=caption, wide=n_columns == 2)
