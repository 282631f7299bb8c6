"""The report of a run, put together."""

from boltzgen.estimators import reliable
from boltzgen.plots import style
from boltzgen.report import ReportContent, Section, Table
from pipeline.certificates import EXPLAINED, HEADER, certificate_cells
from pipeline.curves import training_section
from pipeline.evaluation import AtTemperature
from pipeline.sections import (
    energies_section,
    mbar_section,
    thermodynamics_section,
    weights_section,
)
from pipeline.story import Story
from pipeline.summary import versions
from pipeline.surfaces import surfaces_section


def compose(story: Story) -> ReportContent:
    """Put the report together."""
    config = story.config
    with style():
        sections = [weights_section(story), thermodynamics_section(story), energies_section(story)]
        if story.angles is not None:
            sections.append(surfaces_section(story, story.angles))
        if story.certificates:
            sections.append(_certificate_section(story))
        sections += [mbar_section(story), training_section(story.history)]
    return ReportContent(
        title=f"Boltzmann generator of {config.system}"
        f"{' (free-form flow)' if config.free_form is not None else ''}",
        subtitle=f"{config.low:g} K to {config.high:g} K, trained on molecular dynamics at "
        f"{config.high:g} K only; preset {config.preset}, seed {config.seed}",
        verdict=_verdict(story),
        warnings=story.warnings,
        sections=sections,
        ledger=_ledger(story),
        command=story.command,
        versions=versions(),
    )


def _certificate_section(story: Story) -> Section:
    rows = [[f"{t:g}", *certificate_cells(found)] for t, found in story.certificates.items()]
    return Section(
        title="Round trip",
        text=EXPLAINED,
        tables=[Table(header=["T / K", *HEADER], rows=rows, caption="Certificate, of frames.")],
    )


def _verdict(story: Story) -> str:
    points = story.evaluation.points
    worst = min(points, key=lambda p: p.ess_reverse.value)
    best = max(points, key=lambda p: p.ess_reverse.value)
    n = story.config.evaluation.n_samples
    text = (
        f"Of {n} samples at each temperature, the effective share (reverse ESS/N, no weight "
        f"clipped) is between {100 * worst.ess_reverse.value:.1f} % at {worst.temperature:g} K "
        f"and {100 * best.ess_reverse.value:.1f} % at {best.temperature:g} K. "
        f"-log Z rises by {story.evaluation.free.f_k[-1]:.3f} ± "
        f"{story.evaluation.free_energy_errors[-1]:.3f} kT from {points[0].temperature:g} K to "
        f"{points[-1].temperature:g} K. "
    ) + _distrust(points)
    agreement = story.agreement
    if agreement is None:
        return text + "No independent reference was found in the cache to check this against."
    if agreement.z_free_energy is not None:
        text += (
            f"An independent replica-exchange reference differs by {agreement.z_free_energy:+.1f} "
            f"standard errors, at {agreement.n_energy_calls:.3g} energy calls against "
            f"{sum(story.energy_calls.values()):.3g} for the model."
        )
    return text


def _distrust(points: tuple[AtTemperature, ...]) -> str:
    """A sentence that takes back what the weights do not support."""
    bad = [f"{p.temperature:g}" for p in points if not reliable(p.khat)]
    if not bad:
        return ""
    return f"Do not trust the numbers at {', '.join(bad)} K: k-hat is above 0.7 there. "


def _ledger(story: Story) -> Table:
    stages = ("data", "training", "evaluation")
    rows = [
        [
            stage,
            f"{story.energy_calls.get(stage, 0):,}",
            f"{story.seconds.get(stage, 0.0):,.0f}",
        ]
        for stage in stages
    ]
    rows.append(["all", f"{sum(story.energy_calls.values()):,}",
                 f"{sum(story.seconds.values()):,.0f}"])  # fmt: skip
    if story.agreement is not None:
        rows.append(["reference (not part of the run)", f"{story.agreement.n_energy_calls:,}", "-"])
    return Table(header=["stage", "energy calls", "wall time / s"], rows=rows)
