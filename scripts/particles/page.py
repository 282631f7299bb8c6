"""The report of a flow of particles, put together."""

import numpy as np

from boltzgen.estimators import describe_khat
from boltzgen.plots import style
from boltzgen.report import ReportContent, Section, Table
from particles.evaluation import CHAINS, SAMPLING
from particles.figures import (
    evidence_figures,
    structure_figures,
    thermodynamic_figures,
    weight_figures,
)
from particles.results import AtTemperature, ParticleStory
from particles.tables import likelihood
from pipeline.certificates import EXPLAINED, HEADER, certificate_cells
from pipeline.curves import training_section
from pipeline.ledger_table import ledger_table
from pipeline.numbers import percentage, quote
from pipeline.routes import combined_errors, differences
from pipeline.summary import versions
from pipeline.trust import untrusted

_CARRIES = {
    "backward-kl": "carried to other temperatures by the backward KL",
    "trade": "carried to other temperatures by TRADE",
    "samples": "and on those at all other temperatures of the reference",
    "none": "nothing else",
}


def compose(story: ParticleStory) -> ReportContent:
    """Put the report together."""
    config, points = story.config, story.results.points
    with style():
        sections = [
            _weights_section(story), _structure_section(story), _certificate_section(story),
            _evidence_section(story), _reference_section(story),
        ]  # fmt: skip
        if story.history:
            sections.append(training_section(story.history))
    single = config.low == config.high
    span = f"T = {config.low:g}" if single else f"T from {config.low:g} to {config.high:g}"
    carried = "" if single else f", {_CARRIES[config.learn.carry]}"
    return ReportContent(
        title=f"Free-form flow of {story.title}",
        subtitle=f"{span}, {len(points)} reported; trained on draws at T = {config.learn.at:g}"
        f"{carried}; {story.results.n_parameters:,} parameters; preset {config.preset}, seed "
        f"{config.seed}",
        verdict=verdict_of(story),
        warnings=story.results.warnings,
        sections=sections,
        ledger=ledger_table(story.energy_calls, story.seconds),
        command=story.command,
        versions=versions(),
    )


def verdict_of(story: ParticleStory) -> str:
    """What was reached and where not to trust it, one paragraph."""
    points = story.results.points
    ess = np.array([p.ess_reverse.value for p in points])
    low, high = points[int(ess.argmin())], points[int(ess.argmax())]
    n = len(points[0].log_w)
    spans = [
        f"{percentage(p.ess_reverse.value, p.ess_reverse.error)} % (T = {p.T:.4g})"
        for p in ((low, high) if low is not high else (low,))
    ]
    bad = [f"{points[k].T:.4g}" for k in untrusted(points)]
    worst = max(points, key=lambda p: abs(p.z))
    at = min(points, key=lambda p: abs(p.T - story.config.learn.at))
    parts = [
        f"Of {n:,} samples at each temperature the effective share (ESS/N, no weight clipped) is "
        f"{'between ' if len(spans) > 1 else ''}{' and '.join(spans)}.",
        f"Do not trust the flow at T = {', '.join(bad)}: k-hat is above 0.7 there, or the forward "
        "ESS far below the reverse." if bad else "",
        f"The exact negative log-likelihood of held-out draws at T = {at.T:.4g} is "
        f"{likelihood(at)} nats.",
        f"The mean potential is at most {abs(worst.z):.1f} standard errors off that of replica "
        f"exchange (T = {worst.T:.4g}).",
    ]  # fmt: skip
    return " ".join(part for part in parts if part)


def _weights_section(story: ParticleStory) -> Section:
    points = story.results.points
    bad = untrusted(points)
    rows = [
        [
            f"{p.T:.4g}", percentage(p.ess_reverse.value, p.ess_reverse.error),
            percentage(p.ess_forward.value, p.ess_forward.error), f"{p.khat:.2f}",
            describe_khat(p.khat).split(":")[0], "no" if k in bad else "yes",
        ]
        for k, p in enumerate(points)
    ]  # fmt: skip
    header = ["T", "reverse ESS/N / %", "forward / %", "k-hat", "weights", "trust"]
    return Section(
        title="How good are the weights?",
        text="Reverse ESS is measured on samples of the flow and cannot see what the flow misses; "
        "forward ESS is measured on draws of replica exchange and can. It is 0 where one of these "
        "draws has no latent.",
        figures=weight_figures(story),
        tables=[Table(header=header, rows=rows, caption="Weights at each temperature.")],
    )


def _structure_section(story: ParticleStory) -> Section:
    rows = [
        [
            f"{p.T:.4g}",
            *(f"{value:.3g}" for found in (p.pair, p.potential)
              for value in (found.raw, found.weighted, found.floor)),
        ]
        for p in story.results.points
    ]  # fmt: skip
    header = ["T", *(f"{what}: {kind}" for what in ("pairs", "U")
                     for kind in ("raw", "weighted", "floor"))]  # fmt: skip
    return Section(
        title="Energies and distances",
        text="Orange: samples of the flow, weighted, which is exact for many samples. Blue: as the "
        "flow draws them. Black: replica exchange. The table has two-Wasserstein distances of "
        "the distributions of pair distances and of the potential from those of replica exchange; "
        "the floor is that between two halves of the reference.",
        figures=structure_figures(story),
        tables=[Table(
            header=header, rows=rows,
            caption=f"Two-Wasserstein distances; those of the potential in {story.unit}.",
        )],
    )  # fmt: skip


def _certificate_section(story: ParticleStory) -> Section:
    rows = [
        [
            f"{p.T:.4g}", likelihood(p), f"{p.n_lost} of {p.n_compared}",
            *certificate_cells(p.round_trip),
        ]
        for p in story.results.points
    ]  # fmt: skip
    header = ["T", "NLL / nats", "draws lost", *HEADER]
    return Section(
        title="Likelihood and round trip",
        text=f"The negative log-likelihood is that of held-out draws. {EXPLAINED}",
        tables=[Table(header=header, rows=rows, caption="Exact likelihood and certificate.")],
    )


def _evidence_section(story: ParticleStory) -> Section:
    results = story.results
    routes, found = results.log_z, results.thermodynamics
    rows = [
        [
            f"{p.T:.4g}", quote(p.log_z.value, p.log_z.error),
            quote(p.energy.value, p.energy.error),
            quote(p.reference.energy.value, p.reference.energy.error), f"{p.z:+.1f}",
            quote(found.heat_capacity[k], found.heat_capacity_errors[k]),
        ]
        for k, p in enumerate(results.points)
    ]  # fmt: skip
    header = ["T", "log Z / nats", f"U / {story.unit}", "reference", "z", "C_v / k"]
    caption = "By importance sampling; C_v without momenta."
    tables = [Table(header=header, rows=rows, caption=caption)]
    if len(routes) > 1:
        errors, gaps = combined_errors(routes, SAMPLING), differences(routes, SAMPLING)
        others = [name for name in routes if name != SAMPLING]
        lines = [
            [f"{T:.4g}", *(_gap(gaps[n].values[k], errors[n][k]) for n in others)]
            for k, T in enumerate(results.temperatures)
        ]
        tables.append(Table(
            header=["T", *others], rows=lines,
            caption=f"Log Z minus that by {SAMPLING}, with errors as if both were independent; "
            f"{CHAINS} is moved onto it at T = {story.config.learn.at:g}.",
        ))  # fmt: skip
    return Section(
        title="Free energies",
        text="log Z(T) is the log of the integral of exp(-U / T) over centred configurations, in "
        "orthonormal coordinates. The mixture of flows takes samples of all temperatures "
        "together; MBAR of the chains has nothing of the flow.",
        figures=[*evidence_figures(story), *thermodynamic_figures(story)],
        tables=tables,
    )


def _gap(value: float, error: float) -> str:
    return quote(value, error) + (f" ({value / error:+.1f} σ)" if error > 0 else "")


def _reference_section(story: ParticleStory) -> Section:
    rows = [_reference_row(point) for point in story.results.points]
    header = ["T", "accepted / %", "τ of U / steps", "held-out draws"]
    n_held_out = len(np.unique(story.results.points[0].reference.blocks))
    n_learnt = story.config.chains.n_ladders - n_held_out
    return Section(
        title="The reference",
        text="Replica exchange with Hamiltonian Monte Carlo at each temperature. From "
        f"{n_learnt} independent ladders the flow learns at the temperature of the data; "
        f"{n_held_out} others are what everything is compared with. τ is the integrated "
        "autocorrelation time of the potential; errors are from the scatter of ladders.",
        tables=[Table(header=header, rows=rows, caption="Chains at each temperature.")],
    )


def _reference_row(point: AtTemperature) -> list[str]:
    reference, tau = point.reference, point.reference.tau
    return [
        f"{point.T:.4g}", f"{100 * reference.acceptance:.0f}",
        quote(tau.value, tau.error) if np.isfinite(tau.value) else "unknown",
        f"{len(reference.blocks):,}",
    ]  # fmt: skip
