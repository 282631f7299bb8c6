"""Pictures of the posterior itself: marginals of one and two components at several powers."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure as Picture

from boltzgen.estimators import normalise
from boltzgen.plots import (
    draw_joint,
    draw_marginal,
    draw_pairs,
    new_figure,
    new_pair_figure,
    pair_handles,
    to_png,
)
from boltzgen.plots.series import RAW
from boltzgen.report import Figure
from posterior.agreement import posterior_point
from posterior.results import AtBeta, PosteriorResults, PosteriorStory

MOST_COMPONENTS = 6
_FEW_COMPONENTS = 3
_MOST_PANELS = 4
_ENDS = (0.003, 0.05, 0.95, 0.997)
_TAIL = 0.5
"""Most of a heavy tail that is shown, in units of the range of the inner 90 %."""
_MARGIN = 0.08
_SIMILAR = 3.5
"""How much wider than the narrowest a marginal is that may share its axis."""


def posterior_figures(story: PosteriorStory) -> list[Figure]:
    """Marginals of one and two components, at several powers."""
    results = story.results
    main, n = posterior_point(results), len(results.labels)
    if n == 1:
        return [_marginals(results)]
    shown = min(n, MOST_COMPONENTS)
    wide = shown > _FEW_COMPONENTS
    found = [_pairs(results, main, shown, width=9.5 if wide else 5.5, wide=wide)]
    others = [k for k in _choose(results, 3) if k != main]
    few = others if wide else others[:1]
    found += [_pairs(results, k, min(n, _FEW_COMPONENTS), width=5.5) for k in few]
    if n == 2 and others:
        found.append(_joints(results))
    return found


def _marginals(results: PosteriorResults) -> Figure:
    chosen = _choose(results, _MOST_PANELS - 1)
    limits = _shared([_limits(results.points[k], 1) for k in chosen])
    width = 9.5 if len(chosen) > 1 else 5.0
    figure = new_figure(1, len(chosen), width=width, aspect=0.95 if len(chosen) > 1 else 0.72)
    for k, ax, own in zip(chosen, figure.axes, limits, strict=True):
        point = results.points[k]
        draw_marginal(
            point.samples.theta[:, 0], ax, label=results.labels[0], limits=tuple(own[0]),
            weights=normalise(point.samples.log_w),
            reference=None if point.reference is None else point.reference.theta[:, 0],
        )  # fmt: skip
        ax.set_title(f"β = {point.beta:.4g}")
        if ax is not figure.axes[0]:
            ax.set_ylabel("")
    common_legend(figure)
    return Figure(
        image=to_png(figure), wide=len(chosen) > 1,
        caption=f"Marginal of {results.labels[0]}.{_source(results, chosen)}",
    )  # fmt: skip


def _pairs(
    results: PosteriorResults, number: int, n: int, *, width: float, wide: bool = False
) -> Figure:
    point = results.points[number]
    figure = draw_pairs(
        point.samples.theta[:, :n], new_pair_figure(n, width=width), labels=results.labels[:n],
        limits=_limits(point, n), weights=normalise(point.samples.log_w),
        reference=None if point.reference is None else point.reference.theta[:, :n],
    )  # fmt: skip
    total = len(results.labels)
    part = f" The first {n} of {total} components." if n < total else ""
    return Figure(
        image=to_png(figure), wide=wide,
        caption=f"Posterior at β = {point.beta:.4g}: marginals of one and two components, and the "
        f"regions of highest density that hold half and 90 % of it.{_source(results, [number])}"
        f"{part}",
    )  # fmt: skip


def _joints(results: PosteriorResults) -> Figure:
    chosen = _choose(results, _MOST_PANELS)
    limits = _shared([_limits(results.points[k], 2) for k in chosen])
    figure = new_figure(1, len(chosen), width=2.9 * len(chosen), aspect=1.15)
    labels = (results.labels[0], results.labels[1])
    for k, ax, own in zip(chosen, figure.axes, limits, strict=True):
        point = results.points[k]
        draw_joint(
            point.samples.theta[:, :2], ax, labels=labels, limits=own,
            weights=normalise(point.samples.log_w),
            reference=None if point.reference is None else point.reference.theta[:, :2],
        )  # fmt: skip
        ax.set_title(f"β = {point.beta:.4g}")
        ax.set_box_aspect(1.0)
        if ax is not figure.axes[0]:
            ax.set_ylabel("")
    known = any(results.points[k].reference is not None for k in chosen)
    _legend_below(figure, reference=known)
    own_axes = any(not np.array_equal(each, limits[0]) for each in limits)
    return Figure(
        image=to_png(figure), wide=True,
        caption=f"The posterior at several powers of the likelihood.{_source(results, chosen)}"
        f"{' Mind that the axes differ.' if own_axes else ''}",
    )  # fmt: skip


def common_legend(figure: Picture) -> None:
    """One legend below all pictures, that of the first, in place of theirs."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    for ax in figure.axes:
        ax.legend().remove()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)


def _legend_below(figure: Picture, *, reference: bool) -> None:
    handles = [h for h in pair_handles(weighted=True, reference=reference) if h.get_label() != RAW]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)


def _source(results: PosteriorResults, chosen: Sequence[int]) -> str:
    references = [results.points[k].reference for k in chosen]
    names = list(dict.fromkeys(r.source for r in references if r is not None))
    return f" Reference: {', '.join(names)}." if names else " There is no reference."


def _choose(results: PosteriorResults, n: int) -> list[int]:
    """Numbers of up to n powers from the lowest to the highest, the one nearest to 1 included."""
    last = len(results.points) - 1
    chosen = np.unique(np.round(np.linspace(0, last, n)).astype(int))
    main = posterior_point(results)
    if main not in chosen:
        inner = chosen[1:-1]
        chosen[1 + int(np.argmin(np.abs(inner - main)))] = main
    return [int(k) for k in chosen]


def _limits(point: AtBeta, n: int) -> np.ndarray:
    """Where nearly all of the weighted samples and of the reference are, (n, 2).

    Of heavy tails only a part is.
    """
    sources = [(point.samples.theta, normalise(point.samples.log_w))]
    if point.reference is not None:
        x = point.reference.theta
        sources.append((x, np.full(len(x), 1 / len(x))))
    found = np.empty((n, 2))
    for i in range(n):
        ends = np.array([_quantiles(x[:, i], weights) for x, weights in sources])
        lower, low, high, upper = ends.T
        low = np.maximum(lower, low - _TAIL * (high - low)).min()
        high = np.minimum(upper, high + _TAIL * (high - ends[:, 1])).max()
        margin = _MARGIN * (high - low) or 0.5
        found[i] = low - margin, high + margin
    return found


def _quantiles(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    at = np.searchsorted(cumulative, np.array(_ENDS) * cumulative[-1])
    return values[order][np.minimum(at, len(values) - 1)]


def _shared(limits: list[np.ndarray]) -> list[np.ndarray]:
    """The same limits for all where none is much narrower than another."""
    stacked = np.stack(limits)
    widths = np.diff(stacked, axis=2)
    if (widths.max(0) > _SIMILAR * widths.min(0)).any():
        return limits
    common = np.stack([stacked[:, :, 0].min(0), stacked[:, :, 1].max(0)], 1)
    return [common] * len(limits)
