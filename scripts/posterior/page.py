"""The report of a posterior flow, put together."""

from collections.abc import Mapping

import numpy as np

from boltzgen.estimators import describe_khat
from boltzgen.plots import style
from boltzgen.report import ReportContent, Section, Table
from pipeline.agreement import Agreement, farthest
from pipeline.curves import training_section
from pipeline.ledger_table import ledger_table
from pipeline.numbers import percentage, quote
from pipeline.routes import combined_errors, differences
from pipeline.summary import versions
from pipeline.trust import untrusted
from posterior.agreement import averages, compared, reference_name, routes_of
from posterior.figures import (
    agreement_figures,
    calibration_figures,
    chain_figures,
    evidence_figures,
    over_figures,
    weight_figures,
)
from posterior.pictures import posterior_figures
from posterior.results import (
    AtBeta,
    Calibration,
    OverObservations,
    PosteriorResults,
    PosteriorStory,
    ProposalChains,
)
from posterior.verdict import verdict_of

_OBJECTIVES = {
    "simulations": "simulated pairs at β = 1, carried to other powers by TRADE",
    "prior": "draws of the prior at β = 0, carried to other powers by TRADE",
    "draws": "draws by Monte Carlo at β = 1, carried to other powers by TRADE",
    "backward-kl": "the energy alone (backward KL)",
}


_MOST_ROWS = 8
_EXPLAIN_AGREEMENT = (
    " The table has the largest difference of a mean or a standard deviation (sd) in combined "
    "standard errors, p of chi-square over all components with their correlations, and the "
    "accuracy of a classifier (C2ST) that tells flow from reference: 1/2 where it cannot."
)


def compose(story: PosteriorStory) -> ReportContent:
    """Put the report together."""
    config, results = story.config, story.results
    with style():
        sections = [_posterior_section(story), _weights_section(story)]
        if results.evidence:
            sections.append(_evidence_section(story))
        if results.calibration is not None:
            sections.append(_calibration_section(results.calibration))
        if results.over is not None:
            sections.append(_over_section(story, results.over))
        if results.chains is not None:
            sections.append(_chains_section(results, results.chains))
        if story.history:
            offset = config.learn.offset
            control = f"(β + {offset:g})" if offset > 0 else "β"
            sections.append(training_section(story.history, control=control))
    powers = f"β from {config.low:g} to {config.high:g}, {len(results.points)} reported"
    powers = powers if config.low < config.high else f"β = {config.low:g}"
    n = len(results.labels)
    observed = ", ".join(f"{value:.4g}" for value in config.observation)
    return ReportContent(
        title=f"Posterior flow of {story.title}",
        subtitle=f"Powers of the likelihood: {powers}; {n} parameter{'s' if n > 1 else ''}; "
        f"{f'y = ({observed}); ' if observed else ''}trained on "
        f"{_OBJECTIVES[config.learn.objective]}; preset {config.preset}, seed {config.seed}",
        verdict=verdict_of(story),
        warnings=results.warnings,
        sections=sections,
        ledger=ledger_table(story.energy_calls, story.seconds),
        command=story.command,
        versions=versions(),
    )


def _posterior_section(story: PosteriorStory) -> Section:
    results = story.results
    rows = [row for point in results.points if (row := _agreement_row(point, results.labels))]
    tables = []
    if rows:
        header = ["β", "mean: |z|", "of", "p", "sd: |z|", "of", "p", "C2ST accuracy", "p"]
        caption = "How flow, reweighted, and reference agree at each power."
        tables.append(Table(header=header, rows=rows, caption=caption))
    tables += [_component_table(point, results.labels) for point in results.points]
    return Section(
        title="Posterior",
        text="Orange: samples of the flow, weighted, which is exact for many samples. Blue: the "
        "same as the flow draws them, which shows how much is left to the weights. Black: the "
        f"reference.{_EXPLAIN_AGREEMENT if rows else ''}",
        figures=[*posterior_figures(story), *agreement_figures(story)],
        tables=tables,
    )


def _agreement_row(point: AtBeta, labels: tuple[str, ...]) -> list[str] | None:
    found = compared(point)
    if found is None:
        return None
    c2st = ["-", "-"]
    if point.c2st is not None:
        estimate, p_value = point.c2st
        c2st = [quote(estimate.value, estimate.error), f"{p_value:.2g}"]
    return [
        f"{point.beta:.4g}", *_worst(found.mean, labels), *_worst(found.spread, labels), *c2st,
    ]  # fmt: skip


def _worst(found: Agreement, labels: tuple[str, ...]) -> list[str]:
    """Largest |z|, the component, p of chi-square."""
    worst = farthest(found.z)
    if worst is None:
        return ["-", "-", "-"]
    return [f"{abs(found.z[worst]):.1f}", labels[worst], f"{found.p_value:.2g}"]


def _component_table(point: AtBeta, labels: tuple[str, ...]) -> Table:
    reference, found = point.reference, compared(point)
    header = ["component", "mean", "standard deviation"]
    if reference is not None:
        header = ["component", "mean", "reference", "z", "standard deviation", "reference", "z"]
    rows = []
    for i, label in enumerate(labels):
        mean = [quote(point.mean[i], point.mean_error[i])]
        spread = [quote(point.spread[i], point.spread_error[i])]
        if reference is not None and found is not None:
            mean += [quote(reference.mean[i], reference.mean_error[i]), _z(found.mean.z[i])]
            spread += [quote(reference.spread[i], reference.spread_error[i]), _z(found.spread.z[i])]
        rows.append([label, *mean, *spread])
    caption = f"Means and standard deviations at β = {point.beta:.4g}"
    return Table(header=header, rows=rows, caption=caption, folded=True)


def _z(value: float) -> str:
    return f"{value:+.1f}" if np.isfinite(value) else "-"


def _weights_section(story: PosteriorStory) -> Section:
    points = story.results.points
    bad = untrusted(points)
    rows = [
        [
            f"{p.beta:.4g}", percentage(p.ess_reverse.value, p.ess_reverse.error),
            "-" if p.ess_forward is None else percentage(p.ess_forward.value, p.ess_forward.error),
            f"{p.khat:.2f}", describe_khat(p.khat).split(":")[0], "no" if k in bad else "yes",
        ]
        for k, p in enumerate(points)
    ]  # fmt: skip
    header = ["β", "reverse ESS/N / %", "forward / %", "k-hat", "weights", "trust"]
    return Section(
        title="How good are the weights?",
        text="Reverse ESS is measured on samples of the flow and cannot see what the flow misses; "
        "forward ESS is measured on draws of the reference and can. Where it is below a fifth of "
        "the reverse one, or k-hat above 0.7, the flow is not to be trusted.",
        figures=weight_figures(story),
        tables=[Table(header=header, rows=rows, caption="Weights at each power.")],
    )


def _evidence_section(story: PosteriorStory) -> Section:
    results, betas = story.results, story.results.betas
    reference = reference_name(results)
    routes = routes_of(results)
    powers = [f"{beta:.4g}" for beta in betas]
    relative = [name for name, route in routes.items() if route.relative]
    note = f" Relative to the first power: {', '.join(relative)}." if relative else ""
    ruled = [name for name, route in results.evidence.items() if route.discretisation is not None]
    note += f" With the error of the rule of integration: {', '.join(ruled)}." if ruled else ""
    values = {
        name: [quote(v, e) for v, e in zip(route.values, route.errors, strict=True)]
        for name, route in routes.items()
    }
    tables = [_table({"β": powers, **values}, f"Log evidence in nats.{note}")]
    errors = combined_errors(routes, reference)
    others = {
        name: [_difference(v, e) for v, e in zip(found.values, errors[name], strict=True)]
        for name, found in differences(routes, reference).items()
        if name != reference
    }
    if others:
        caption = f"Minus that by “{reference}”, with errors as if both were independent."
        tables.append(_table({"β": powers, **others}, caption))
    return Section(
        title="Evidence",
        text="log Z(β), the log of the integral of L^β times the prior. Importance sampling and "
        "the mixture of flows have the same samples, the integral of log L has others, and MBAR "
        "of the chains, where they were run, has nothing of the flow.",
        figures=evidence_figures(story),
        tables=tables,
    )


def _table(columns: Mapping[str, list[str]], caption: str) -> Table:
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    return Table(header=list(columns), rows=rows, caption=caption)


def _difference(value: float, error: float) -> str:
    z = f" ({value / error:+.1f} σ)" if error > 0 else ""
    return quote(value, error) + z


def _calibration_section(calibration: Calibration) -> Section:
    smallest, median = calibration.n_effective
    columns = {"component": list(calibration.labels)}
    for source, tests in calibration.uniformity.items():
        columns[f"{source}: p of ECDF"] = [f"{each.ecdf_p_value:.2g}" for each in tests]
        columns[f"{source}: p of χ²"] = [f"{each.p_value:.2g}" for each in tests]
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    return Section(
        title="Calibration",
        text="Parameters from the prior and data simulated from them: if the posterior at β = 1 is "
        "right, a true parameter is equally likely to have any rank among draws given its data. "
        "The weighted samples from which the reweighted draws are taken have an effective size of "
        f"{median:,.0f} in the median over the data, and of {smallest:,.0f} at the least.",
        figures=calibration_figures(calibration),
        tables=[
            Table(header=list(columns), rows=rows, folded=len(rows) > _MOST_ROWS,
                  caption="Are the ranks uniform? Where p of the ECDF is below 0.05, it leaves the "
                  "band. Multiply the smallest p by the number of components, and take one test."),
            *(_coverage_table(calibration, source) for source in calibration.coverage),
        ],
    )  # fmt: skip


def _coverage_table(calibration: Calibration, source: str) -> Table:
    found = calibration.coverage[source]
    header = ["component", *(f"{100 * level:.3g} %" for level in found[0].expected)]
    rows = [
        [label, *(f"{100 * v:.1f} ({100 * a:.1f}–{100 * b:.1f})" for v, a, b in
                  zip(each.observed, each.lower, each.upper, strict=True))]
        for label, each in zip(calibration.labels, found, strict=True)
    ]  # fmt: skip
    return Table(
        header=header, rows=rows, folded=True,
        caption=f"{source}: share of truths in central intervals of each level, in %, with "
        f"{100 * found[0].confidence:.0f} % confidence intervals",
    )  # fmt: skip


def _over_section(story: PosteriorStory, over: OverObservations) -> Section:
    found = averages(over)
    powers = [f"{beta:.4g}" for beta in over.betas]
    shares = {
        "β": powers,
        "mean ESS/N / %": [percentage(v, e) for v, e in zip(*found.ess, strict=True)],
        "median / %": [f"{100 * value:.1f}" for value in found.ess_quantiles[1]],
        "lowest / %": [f"{100 * value:.1f}" for value in found.ess_lowest],
    }
    if (forward := found.ess_forward) is not None:
        shares["mean forward / %"] = [percentage(v, e) for v, e in zip(*forward, strict=True)]
    shares["k-hat above 0.7"] = [f"{n} of {len(over.khat)}" for n in found.n_unreliable]
    tables = [_table(shares, "Averages over observations at each power.")]
    if exact := found.log_z:
        gaps = {
            "β": powers,
            "mean / nats": [quote(v, e) for v, e in zip(*exact.mean, strict=True)],
            "rms / nats": [f"{v:.2g}" for v in exact.rms],
            "largest / nats": [f"{v:.2g}" for v in exact.largest],
            "rms / σ": [f"{v:.2g}" for v in exact.z_rms],
        }
        tables.append(_table(gaps, "Log evidence minus the exact one, over observations."))
    return Section(
        title="Over observations",
        text=f"The flow has the observation as a control. Here are {len(over.ess)} observations "
        "simulated anew from the prior; errors of means are from the scatter of observations.",
        figures=over_figures(story, over),
        tables=tables,
    )


def _chains_section(results: PosteriorResults, chains: ProposalChains) -> Section:
    n_chains, n_steps = chains.theta.shape[:2]
    row = [
        f"{chains.beta:.4g}", f"{n_chains} x {n_steps}", f"{100 * chains.acceptance:.1f}",
        quote(chains.tau.value, chains.tau.error), chains.label or "-",
        f"{chains.n_effective:.0f}", f"{chains.rhat:.3f}",
    ]  # fmt: skip
    header = [
        "β", "chains x steps", "accepted / %", "longest τ / steps", "component", "effective draws",
        "split R-hat",
    ]  # fmt: skip
    return Section(
        title="Flow as proposal",
        text="Metropolis-Hastings chains whose proposals are independent draws of the flow sample "
        "the posterior exactly, and get stuck where the flow has too little density. τ is the "
        "integrated autocorrelation time, 1/2 for independent draws.",
        figures=chain_figures(results, chains),
        tables=[Table(header=header, rows=[row], caption="Chains with the flow as proposal.")],
    )
