"""Pictures of the weights, evidence and calibration of a posterior flow."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from matplotlib.ticker import PercentFormatter
from scipy import stats

from boltzgen.plots import (
    draw_band,
    draw_coverage,
    draw_deviations,
    draw_ess,
    draw_khat,
    draw_rank_ecdf,
    draw_ranks,
    draw_traces,
    new_figure,
    to_png,
)
from boltzgen.plots.routes import draw_differences, draw_routes, new_stacked_figure
from boltzgen.report import Figure
from pipeline.numbers import numbers_of
from pipeline.routes import aligned, differences
from posterior.agreement import averages, compared, reference_name, routes_of
from posterior.pictures import common_legend
from posterior.results import (
    Calibration,
    OverObservations,
    PosteriorResults,
    PosteriorStory,
    ProposalChains,
)

POWER = "power β of the likelihood"
_LOWEST_LINEAR = 0.03
"""Smallest ESS/N for which a linear axis does."""
_LOGARITHMIC_FROM = 10.0
_MOST_CHAINS = 3
_MOST_STEPS = 150
_MOST_HISTOGRAMS = 6
_MOST_MARKED = 6
_TESTED = 0.95


def agreement_figures(story: PosteriorStory) -> list[Figure]:
    """Differences from the references over powers and components, in standard errors."""
    results = story.results
    rows = [(point.beta, found) for point in results.points if (found := compared(point))]
    if len(rows) < 2:
        return []
    n = len(results.labels)
    aspect = float(np.clip(0.4 + 0.035 * n, 0.5, 1.5))
    figure = new_figure(1, 2, width=9.5, aspect=aspect)
    powers = [f"{beta:.4g}" for beta, _ in rows]
    for ax, which, name in zip(figure.axes, (0, 1), ("means", "standard deviations"), strict=True):
        z = np.array([found[which].z for _, found in rows])
        draw_deviations(z, ax, powers=powers, labels=results.labels, power=POWER)
        ax.set_title(name)
    return [
        Figure(
            image=to_png(figure), wide=True,
            caption="Flow, reweighted, minus reference, in combined standard errors.",
        )
    ]  # fmt: skip


def weight_figures(story: PosteriorStory) -> list[Figure]:
    """Effective sample sizes and k-hat over the powers."""
    points, betas = story.results.points, story.results.betas
    reverse = numbers_of([p.ess_reverse for p in points])
    known = [p.ess_forward for p in points]
    forward = numbers_of(known) if any(each is not None for each in known) else None
    figure = new_figure(1, 2, width=9.5)
    smallest = np.nanmin(np.concatenate([reverse.values, (forward or reverse).values]))
    draw_ess(
        betas, reverse, figure.axes[0], forward=forward, label=POWER,
        logarithmic=bool(0 < smallest < _LOWEST_LINEAR),
    )  # fmt: skip
    draw_khat(betas, np.array([p.khat for p in points]), figure.axes[1], label=POWER)
    for ax in figure.axes:
        _scale(ax, story)
    return [
        Figure(
            image=to_png(figure), wide=True,
            caption="Effective share of the samples, and the tail of the weights (k-hat above 0.7: "
            "do not trust), over the power.",
        )
    ]  # fmt: skip


def evidence_figures(story: PosteriorStory) -> list[Figure]:
    """Log Z by all routes, and their differences."""
    routes, betas = routes_of(story.results), story.results.betas
    if not routes:
        return []
    reference = reference_name(story.results)
    several = len(routes) > 1
    figure = new_stacked_figure(width=7.0, heights=(2.8, 2.0) if several else (3.4,))
    _scale(figure.axes[0], story)
    curves = dict(aligned(routes, reference))
    draw_routes(betas, curves, figure.axes[0], label="log Z / nats", control=POWER)
    text = "Log evidence by every route."
    if several:
        draw_differences(
            betas, dict(differences(routes, reference)), figure.axes[1], reference=reference,
            label=f"log Z minus that\nby “{reference}” / nats", control=POWER,
        )  # fmt: skip
        figure.axes[0].set_xlabel("")
        moved = [name for name, each in routes.items() if each.relative and name != reference]
        also = f" Moved onto it at the first power: {', '.join(moved)}." if moved else ""
        text += (
            f" Below: differences from “{reference}”, side by side; bars are one standard error of "
            f"each route, the band (if any) that of the reference.{also}"
        )
    return [Figure(image=to_png(figure), caption=text)]


def calibration_figures(calibration: Calibration) -> list[Figure]:
    """Distributions of ranks, and coverage, of each source."""
    n_truths = len(next(iter(calibration.ranks.values())))
    what = f"{n_truths:,} simulated truths among {calibration.n_draws} draws each"
    return [
        Figure(
            image=to_png(_rank_picture(calibration)), wide=True,
            caption=f"Ranks of {what}: distribution minus that of uniform ranks; the band holds "
            "all of a curve in 95 % of cases if ranks are uniform. Of many components those that "
            "are farthest out of it have a colour.",
        ),
        Figure(
            image=to_png(_coverage_picture(calibration)), wide=True,
            caption="How often central credible intervals hold the truth, minus how often they "
            "should; bars: 95 % confidence intervals, correlated along a component; grey: where "
            "95 % of shares are if the posterior is right.",
        ),
        *_histograms(calibration, what),
    ]  # fmt: skip


def over_figures(story: PosteriorStory, over: OverObservations) -> list[Figure]:
    """Effective sample sizes, k-hat and errors of log Z over many observations."""
    found = averages(over)
    exact = found.log_z
    n_panels = 2 if exact is None else 3
    figure = new_figure(1, n_panels, width=9.5, aspect=0.8 if exact is None else 1.15)
    ess, khat, *rest = figure.axes
    lines = {"lowest": found.ess_lowest}
    if found.ess_forward is not None:
        lines["mean, forward"] = found.ess_forward.values
    draw_band(
        over.betas, found.ess_quantiles, ess, label="effective sample size / N", control=POWER,
        lines=lines,
    )  # fmt: skip
    ess.set_ylim(0.0, 1.05)
    ess.yaxis.set_major_formatter(PercentFormatter(1.0))
    khat.axhline(0.7, color="#CC3311", linewidth=1.0, linestyle="--")
    draw_band(
        over.betas, np.clip(found.khat_quantiles, -0.5, 2.0), khat, label=r"Pareto $\hat{k}$",
        control=POWER, lines={"highest": np.clip(found.khat_highest, -0.5, 2.0)},
    )  # fmt: skip
    if exact is not None:
        draw_band(
            over.betas, exact.quantiles, rest[0], label="log Z minus exact / nats", control=POWER,
            lines={"highest": exact.highest, "lowest": exact.lowest},
        )  # fmt: skip
    for ax in figure.axes:
        _scale(ax, story)
    text = f"Over {len(over.ess)} simulated observations: effective share of the samples, tail of "
    text += "the weights (dashed: 0.7)" + (", error of the log evidence." if rest else ".")
    return [Figure(image=to_png(figure), wide=True, caption=text)]


def chain_figures(results: PosteriorResults, chains: ProposalChains) -> list[Figure]:
    """The slowest component along a few chains."""
    if chains.label not in results.labels:
        return []
    number = results.labels.index(chains.label)
    figure = new_figure(1, 1, width=9.5, aspect=0.26)
    shown = chains.theta[:_MOST_CHAINS, :_MOST_STEPS, number]
    draw_traces(shown, figure.axes[0], label=chains.label)
    return [
        Figure(
            image=to_png(figure), wide=True,
            caption=f"The slowest component, {chains.label}, along {shown.shape[1]} steps of "
            f"{len(shown)} of {len(chains.theta)} chains.",
        )
    ]  # fmt: skip


def _scale(ax: Axes, story: PosteriorStory) -> None:
    """Spread powers of different magnitude; those from 0 on in log(β + offset)."""
    low, high, offset = story.config.low, story.config.high, story.config.learn.offset
    if low > 0 and high / low >= _LOGARITHMIC_FROM:
        ax.set_xscale("log")
    elif low == 0 and 0 < offset and high / offset >= _LOGARITHMIC_FROM:
        ax.set_xscale("symlog", linthresh=offset, linscale=0.5)
        ax.set_xlim(-0.6 * offset, 1.2 * high)


def _rank_picture(calibration: Calibration) -> Picture:
    figure = new_figure(1, len(calibration.uniformity), width=9.5)
    for ax, (source, tests) in zip(figure.axes, calibration.uniformity.items(), strict=True):
        curves = dict(zip(calibration.labels, (each.ecdf for each in tests), strict=True))
        order = np.argsort([each.ecdf_p_value for each in tests], kind="stable")
        leaves = [calibration.labels[k] for k in order[:_MOST_MARKED] if tests[k].leaves]
        first = tests[0]
        draw_rank_ecdf(first.points, curves, (first.lower, first.upper), ax, marked=leaves)
        ax.set_title(source)
    _same_heights(figure)
    return figure


def _coverage_picture(calibration: Calibration) -> Picture:
    figure = new_figure(1, len(calibration.coverage), width=9.5)
    for ax, (source, found) in zip(figure.axes, calibration.coverage.items(), strict=True):
        shares = {
            name: (each.observed, each.lower, each.upper)
            for name, each in zip(calibration.labels, found, strict=True)
        }
        first = found[0]
        band = stats.binom.interval(_TESTED, first.n_truths, first.expected)
        low, high = (each / first.n_truths for each in band)
        draw_coverage(first.expected, shares, (low, high), ax)
        ax.set_title(source)
    _same_heights(figure)
    return figure


def _same_heights(figure: Picture) -> None:
    """Give all pictures the vertical range of the one with the largest."""
    low, high = zip(*(ax.get_ylim() for ax in figure.axes), strict=True)
    for ax in figure.axes:
        ax.set_ylim(min(low), max(high))


def _histograms(calibration: Calibration, what: str) -> list[Figure]:
    """Histograms of the ranks of those components whose ranks are the least uniform."""
    labels, tests = calibration.labels, calibration.uniformity
    columns = zip(*tests.values(), strict=True)
    least = [min(each.ecdf_p_value for each in column) for column in columns]
    chosen = sorted(np.argsort(least, kind="stable")[:_MOST_HISTOGRAMS])
    n_columns = min(3, len(chosen))
    n_rows = -(-len(chosen) // n_columns)
    figure = new_figure(n_rows, n_columns, width=9.5 if n_columns > 1 else 5.0)
    for ax in figure.axes[len(chosen) :]:
        ax.remove()
    for ax, number in zip(figure.axes, chosen, strict=True):
        expected = next(iter(tests.values()))[number].expected
        total = expected.sum()
        band = stats.binom.interval(_TESTED, int(round(total)), expected / total)
        counts = {source: each[number].counts for source, each in tests.items()}
        draw_ranks(counts, expected, band, ax, label=labels[number])
    common_legend(figure)
    fewer = len(chosen) < len(labels)
    part = f" The {len(chosen)} components whose ranks are the least uniform." if fewer else ""
    return [
        Figure(
            image=to_png(figure), wide=n_columns > 1,
            caption=f"Histograms of the ranks of {what}; grey: where 95 % of the bins are if ranks "
            f"are uniform.{part}",
        )
    ]  # fmt: skip
