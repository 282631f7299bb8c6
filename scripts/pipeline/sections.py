"""Sections of the report on weights, thermodynamics, energies and MBAR."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure as MatplotlibFigure

from boltzgen.estimators import Estimate, describe_khat, normalise
from boltzgen.plots import (
    draw_energies,
    draw_ess,
    draw_khat,
    draw_over_temperature,
    draw_overlap,
    new_figure,
    to_png,
)
from boltzgen.report import Figure, Section, Table
from pipeline.evaluation import AtTemperature, Evaluation, Frames
from pipeline.story import Story, shown_points
from pipeline.summary import percent

_N_ENERGY_BINS = 60


def weights_section(story: Story) -> Section:
    """Effective sample sizes, k-hat and bounds."""
    evaluation = story.evaluation
    temperatures = evaluation.temperatures
    points = evaluation.points
    reverse = _columns([p.ess_reverse for p in points])
    known = [p.ess_forward for p in points]
    forward = _columns(known) if any(known) else None
    figure = new_figure(1, 2, width=9.5)
    draw_ess(temperatures, reverse, figure.axes[0], forward=forward)
    draw_khat(temperatures, np.array([p.khat for p in points]), figure.axes[1])
    rows = [
        [
            f"{p.temperature:g}", percent(p.ess_reverse), percent(p.ess_forward),
            f"{p.khat:.2f}", describe_khat(p.khat).split(":")[0],
            _maybe(p.elbo),
            _maybe(p.eubo),
            _maybe(p.gap),
        ]
        for p in points
    ]  # fmt: skip
    header = ["T / K", "ESS/N reverse", "forward", "k-hat", "weights", "ELBO", "EUBO", "gap"]
    sources = sorted({p.frames for p in points if p.frames is not None})
    return Section(
        title="How good are the weights?",
        text="Reverse ESS is measured on samples of the model and cannot see what the model "
        "misses; forward ESS is measured on frames of a simulation and can. The bounds are on "
        "log Z in the coordinates of the chart, in nats; their gap is the sum of both "
        "Kullback-Leibler divergences.",
        figures=[Figure(image=to_png(figure), wide=True,
                        caption="Effective share of the samples, and the tail of the weights "
                        "(k-hat above 0.7: do not trust), over temperature.")],
        tables=[Table(header=header, rows=rows, caption="Weights at each temperature. Forward ESS "
                      f"and EUBO are on frames of: {', '.join(sources)}.")],
    )  # fmt: skip


def thermodynamics_section(story: Story) -> Section:
    """F, U, S and C_v over temperature."""
    return Section(
        title="Free energy, energy, entropy, heat capacity",
        text="Configurational parts, without momenta. -log Z is relative to the first "
        "temperature; F and S carry the constant of the chart's volume element. Errors are one "
        "standard error, of -log Z the larger of the asymptotic one and the bootstrap.",
        figures=[
            Figure(
                image=to_png(_thermodynamics_figure(story)),
                wide=True,
                caption="Thermodynamics of the reweighted model with standard errors; squares: "
                "replica-exchange reference, where there is one.",
            )
        ],
        tables=[_thermodynamics_table(story.evaluation)],
    )


def _thermodynamics_figure(story: Story) -> MatplotlibFigure:
    found, thermo = story.evaluation, story.evaluation.thermodynamics
    free = energy = capacity = None
    if story.agreement is not None:
        at = story.agreement.free
        free = (at.temperatures, at.free_energy, at.error)
        measured = story.agreement.energetics
        where = np.array(list(measured))
        energy = (where, *_pairs(measured, "energy", 1.0))
        capacity = (where, *_pairs(measured, "heat_capacity", 1e3))
    figure = new_figure(2, 2, width=9.5)
    entropy, heat = (1e3 * thermo.entropy, 1e3 * thermo.heat_capacity)
    entropy_errors, heat_errors = (1e3 * thermo.entropy_errors, 1e3 * thermo.heat_capacity_errors)
    curves = [
        ("-log Z relative to the first T", found.free.f_k, found.free_energy_errors, free),
        ("U / (kJ/mol)", thermo.energy, thermo.energy_errors, energy),
        ("S / (J/(mol K)), in the chart", entropy, entropy_errors, None),
        ("$C_v$ / (J/(mol K))", heat, heat_errors, capacity),
    ]
    for ax, (label, values, errors, reference) in zip(figure.axes, curves, strict=True):
        draw_over_temperature(
            found.temperatures, values, errors, ax, label=label, reference=reference
        )
    return figure


def _thermodynamics_table(evaluation: Evaluation) -> Table:
    free, mixture, thermo = evaluation.free, evaluation.mixture, evaluation.thermodynamics
    rows = [
        [
            f"{t:g}",
            plus_minus(free.f_k[i], evaluation.free_energy_errors[i], 4),
            plus_minus(mixture.f_k[i], mixture.bootstrap_errors[i], 4),
            plus_minus(thermo.free_energy[i], thermo.free_energy_errors[i], 3),
            plus_minus(thermo.energy[i], thermo.energy_errors[i], 3),
            plus_minus(1e3 * thermo.entropy[i], 1e3 * thermo.entropy_errors[i], 2),
            plus_minus(1e3 * thermo.heat_capacity[i], 1e3 * thermo.heat_capacity_errors[i], 1),
        ]
        for i, t in enumerate(evaluation.temperatures)
    ]
    header = [
        "T / K",
        "-log Z (MBAR)",
        "-log Z (mixture)",
        "F / (kJ/mol)",
        "U / (kJ/mol)",
        "S / (J/(mol K))",
        "C_v / (J/(mol K))",
    ]
    return Table(header=header, rows=rows, caption="Estimates at each temperature.")


def _maybe(estimate: Estimate | None) -> str:
    return "-" if estimate is None else plus_minus(estimate.value, estimate.error, 3)


def plus_minus(value: float, error: float, digits: int) -> str:
    """Value and error as text."""
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def energies_section(story: Story) -> Section:
    """Histograms of the potential energy."""
    figures = []
    for point in shown_points(story):
        figure = new_figure(1, 1, width=5.0)
        edges, densities = _energy_densities(point, story.frames.get(point.temperature))
        draw_energies(edges, densities, figure.axes[0], unit="kJ/mol")
        figures.append(
            Figure(image=to_png(figure),
                   caption=_energy_caption(point, story.frames.get(point.temperature)))
        )  # fmt: skip
    return Section(
        title="Energies",
        text="The model's raw samples, the same reweighted, and frames of a simulation where "
        "there are any. Samples above the last bin are not drawn.",
        figures=figures,
    )


def _energy_caption(point: AtTemperature, frames: Frames | None) -> str:
    source = "" if frames is None else f" Reference: {frames.source}."
    return f"Potential energy at {point.temperature:g} K.{source}"


def _energy_densities(
    point: AtTemperature, frames: Frames | None
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    u, w = point.samples.potential, normalise(point.samples.log_w)
    finite = np.isfinite(u)
    typical = u[finite & (w > 0)]
    low, high = np.quantile(typical, [0.0005, 0.995])
    edges = np.linspace(low - 5, high + 10, _N_ENERGY_BINS + 1)
    width = edges[1] - edges[0]

    def density(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return np.histogram(values, edges, weights=weights)[0] / (weights.sum() * width)

    found = {
        "model": density(u[finite], np.ones(int(finite.sum()))),
        "reweighted": density(u[finite], w[finite]),
    }
    if frames is not None:
        found["reference"] = density(frames.potential, np.ones(frames.potential.size))
    return edges, found


def mbar_section(story: Story) -> Section:
    """Overlap and effective samples of MBAR."""
    free, temperatures = story.evaluation.free, story.evaluation.temperatures
    figure = new_figure(1, 1, width=6.0)
    names = [f"{t:g}" for t in temperatures]
    ax = draw_overlap(free.overlap, figure.axes[0], rows=names, columns=names)
    ax.set_xlabel("samples of the model at T / K")
    ax.set_ylabel("weight of the target at T / K")
    return Section(
        title="MBAR over all temperatures",
        text="All samples enter the estimate at every temperature. The matrix says which model's "
        "samples (columns) carry the weight of each target temperature (rows). The model's own "
        "free energies should be 0; the largest found is "
        f"{float(np.abs(free.model_f_k).max()):.4f} kT.",
        figures=[Figure(image=to_png(figure), caption="Overlap of targets with models.")],
        tables=[
            Table(
                header=["T / K", "effective samples"],
                rows=[[n, f"{e:.0f}"] for n, e in zip(names, free.n_effective, strict=True)],
                caption=f"Effective samples out of {free.weights.shape[0]} at each temperature.",
            )
        ],
    )


def _columns(estimates: list[Estimate | None] | list[Estimate]) -> tuple[np.ndarray, np.ndarray]:
    """Values and errors, NaN where there is none."""
    pairs = [(np.nan, np.nan) if e is None else (e.value, e.error) for e in estimates]
    values, errors = zip(*pairs, strict=True)
    return np.array(values), np.array(errors)


def _pairs(found: Mapping[float, object], name: str, scale: float) -> tuple[np.ndarray, np.ndarray]:
    values = [scale * float(getattr(each, name)) for each in found.values()]
    errors = [scale * float(getattr(each, f"{name}_error")) for each in found.values()]
    return np.array(values), np.array(errors)
